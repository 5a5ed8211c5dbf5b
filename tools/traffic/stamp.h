// tools/traffic/stamp.h -- the line by which a generated message is known again, whole or damaged.
//
// "X-Load-Id: 0123456789abcdef 4096 1a2b3c4d": the id, and size and CRC-32C of all that follows the
// line. A relay may put fields above it; what is below must arrive as it was.
//
// Life:  StampReader: Start(), Take() the content in pieces, then Finish().
// Owns:  of the content, at most kHeadBytesMax until the line is found.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/units.h"

namespace backstay {

struct Stamp {
  uint64_t id = 0;
  uint64_t bytes = 0;  // behind the line
  uint32_t crc = 0;
};

void AppendStamp(const Stamp& stamp, std::string& output);  // with CRLF
std::string IdText(uint64_t id);                            // 16 digits

class StampReader {
 public:
  enum class Verdict : uint8_t { kNoStamp, kIntact, kDamaged };
  // Where the line must have come: far behind any header that a server lets through.
  static constexpr size_t kHeadBytesMax = 256_KiB;

  void Start();
  void Take(Bytes content);
  Verdict Finish() const;
  // Of the line, once it was found.
  const Stamp& stamp() const { return stamp_; }

 private:
  enum class State : uint8_t { kSearching, kFound, kGivenUp };
  bool Search(Bytes& rest);

  State state_ = State::kSearching;
  std::string head_;
  Stamp stamp_;
  uint64_t bytes_ = 0;
  uint32_t crc_ = 0;
};

}  // namespace backstay
