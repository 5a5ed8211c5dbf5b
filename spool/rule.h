// spool/rule.h -- what the operator ordered for whole domains: one entry of the log each, whatever
// the number of messages.
//
// Pure: bytes and back. What a rule does to the queue is RuleBook's.
// Errors: Decode gives nothing for bytes that Encode cannot have made.
// See:    FORMAT.md 2 "rules"; DESIGN 5 "Bulk operations".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/units.h"

namespace backstay {

enum class RuleVerb : uint8_t {
  kReset = 1,    // schedule and age start again
  kHold = 2,     // no attempts, and its age does not end it
  kRelease = 3,  // what was held is reset
  kExpire = 4,   // given up: a DSN is owed
  kDelete = 5,   // gone without a DSN
  // Of the domain as such: what comes later is held as well, until kStart.
  kStop = 6,   // by the operator
  kTrip = 7,   // by a breaker: the primary refuses everybody
  kStart = 8,  // what was queued is reset
  // Not ordered by anybody: a shard's own, for one domain, without an epoch.
  kPark = 9,  // its time is over and it is not to be given up: held until a release or a reset
  kTold = 10  // its sender was told that it is late, if he wanted to be
};

// Orders come from the desk and are the same on all shards.
constexpr bool IsOrder(RuleVerb verb) {
  return verb <= RuleVerb::kStart;
}

struct Rule {
  RuleVerb verb = RuleVerb::kReset;
  bool keeps_age = false;            // of a reset: expiry is left alone
  bool accepts_refusals = false;     // of a start: what was refused stays refused
  uint64_t epoch = 0;                // one a rule, growing, the same on all shards
  SpoolTime at;                      // of the shard that has it in its log
  std::vector<std::string> domains;  // empty: all
};

// What fits into one record; an order for more domains takes several rules.
constexpr size_t kRuleBytesMax = 16_KiB;

size_t RuleBytes(const Rule& rule);
std::vector<uint8_t> EncodeRule(const Rule& rule);
std::optional<Rule> DecodeRule(Bytes bytes);

}  // namespace backstay
