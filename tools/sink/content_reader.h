// tools/sink/content_reader.h -- mail data off the wire, read by a second opinion.
//
// Not core/smtp/data_reader: what the daemon sends is judged by code that shares nothing with it.
// A CR or LF alone and NUL are violations; what is read goes on.
//
// Life:  Start(), Consume() until done().
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "core/base/bytes.h"

namespace backstay {

class ContentReader {
 public:
  using Take = absl::FunctionRef<void(Bytes)>;  // content without its stuffed dots, in order

  void Start();
  // Returns the bytes used: all, or up to and with the end of data.
  size_t Consume(Bytes bytes, Take take);
  bool done() const { return place_ == Place::kDone; }
  uint64_t violations() const { return violations_; }

 private:
  enum class Place : uint8_t { kLineStart, kDot, kDotCr, kText, kDone };
  size_t ConsumeText(Bytes bytes, Take take);

  Place place_ = Place::kDone;
  bool after_cr_ = false;  // kText: the byte before was a CR
  uint64_t violations_ = 0;
};

}  // namespace backstay
