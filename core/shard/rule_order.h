// core/shard/rule_order.h -- what the desk asks of every shard, and what each answers.
//
// Answers are values and travel through the inbox; an order is the desk's until it is answered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "spool/rule.h"

namespace backstay {

enum class RuleTask : uint8_t {
  kAskLast,   // which rule is your last, what is stopped? Answered when the shard knows its queue
  kCount,     // how many recipients would it speak for?
  kApply,     // put it in force
  kComplete,  // the same for what earlier runs stored: you missed it
};

struct KnownRules {
  Rule last;
  std::vector<Rule> stops;  // in force, the oldest first
};

struct RuleOrder {
  uint64_t number = 0;  // of the order; answers name it
  RuleTask task = RuleTask::kAskLast;
  Rule rule;
  // kAskLast: room for what each shard knows, which writes it before it answers. A shard may end
  // before the answer is read.
  mutable std::vector<KnownRules> known;
};

enum class RuleResult : uint8_t {
  kDone,       // on disk, or only asked
  kNotOnDisk,  // in force, and the device takes nothing; kDone follows when it does
};

struct RuleAnswer {
  uint64_t number = 0;
  size_t shard = 0;
  RuleResult result = RuleResult::kDone;
  uint64_t recipients = 0;
};

}  // namespace backstay
