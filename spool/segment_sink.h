// spool/segment_sink.h -- who wants the bytes of a segment in order; fed by SegmentReader.
//
// Units: offsets in the file.
#pragma once

#include <cstdint>

#include "core/base/bytes.h"

namespace backstay {

class SegmentSink {
 public:
  // The next byte wanted; Feed moves it. At end() it is satisfied.
  virtual uint64_t at() const = 0;
  virtual uint64_t end() const = 0;
  // How many bytes from at() it takes to get on; never beyond end().
  virtual uint64_t need() const = 0;
  // `bytes` start at at() and are at least need() long. at() has moved, or need() has grown.
  virtual void Feed(Bytes bytes) = 0;
  // All is zero from at() to `to`; both start a block, and neither is beyond end(). need() is a
  // block at most.
  virtual void SkipZeros(uint64_t to) = 0;

 protected:
  ~SegmentSink() = default;
};

}  // namespace backstay
