// tools/backstay/finding.h -- one thing in a spool that is not as it was written, and where.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "spool/segment_scan.h"

namespace backstay {

enum class FindingKind : uint8_t {
  kDamaged,     // was whole once: acknowledged mail may be in it
  kTorn,        // the last batch of the log: interrupted, nobody was promised anything
  kUnreadable,  // the device or a permission: nothing is known
  kNote         // odd, and no reason to worry
};

struct Finding {
  FindingKind kind = FindingKind::kDamaged;
  std::optional<uint16_t> shard;    // nothing: of the whole spool
  std::optional<uint32_t> segment;  // nothing: of the whole shard
  std::optional<ByteRange> range;   // nothing: of the whole file
  std::string what;
};

class FindingEvents {
 public:
  virtual void OnFinding(const Finding& finding) = 0;

 protected:
  ~FindingEvents() = default;
};

}  // namespace backstay
