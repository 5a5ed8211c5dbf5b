// core/shard/rule_clerk.cc -- into the log, into force, and the answer.
#include "core/shard/rule_clerk.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"

namespace backstay {

void RuleClerk::OnQueueReady() {
  is_ready_ = true;
  if (const RuleOrder* asked = std::exchange(asked_, nullptr); asked != nullptr) {
    AnswerLast(*asked);
  }
}

void RuleClerk::Take(const RuleOrder& order) {
  switch (order.task) {
    case RuleTask::kAskLast:
      if (is_ready_) {
        AnswerLast(order);
      } else {
        asked_ = &order;
      }
      return;
    case RuleTask::kCount:
      return Post({order.number, spool_.CountRule(order.rule)}, RuleResult::kDone);
    case RuleTask::kApply:
    case RuleTask::kComplete:
      return Apply(order);
  }
  UNREACHABLE();
}

void RuleClerk::AnswerLast(const RuleOrder& order) {
  const RuleAnswer answer{order.number, shard_};
  order.known[shard_] = {spool_.LastRule(), spool_.Stops()};
  post_.Post(shard_, post_.desk(), {.kind = ShardMessage::Kind::kRuleAnswer, .answer = answer});
}

void RuleClerk::Apply(const RuleOrder& order) {
  ASSERT(is_ready_);  // the desk gives no orders before
  const bool is_late = order.task == RuleTask::kComplete;
  Waiting waiting;
  waiting.number = order.number;
  waiting.recipients =
      spool_.ApplyRule(order.rule, is_late ? std::optional(spool_.RunStart()) : std::nullopt);
  waiting.outcome = spool_.SettlesQueued();
  waiting_.push_back(waiting);
  routes_.OnRule(order.rule);
  if (order.rule.verb == RuleVerb::kExpire) {
    expiry_.LookNow();
  }
}

void RuleClerk::OnMessagesChanged(const Rule& rule, std::span<const MessageRef> messages) {
  Rule seen = rule;
  for (const MessageRef message : messages) {
    for (uint32_t i = 0; i < spool_.Recipients(message); ++i) {
      seen.domains.emplace_back(spool_.Name(spool_.DomainOf(message, i)));
    }
  }
  std::sort(seen.domains.begin(), seen.domains.end());
  seen.domains.erase(std::unique(seen.domains.begin(), seen.domains.end()), seen.domains.end());
  if (!seen.domains.empty()) {  // none would be all
    routes_.OnRule(seen);
  }
  if (rule.verb == RuleVerb::kExpire) {
    expiry_.LookNow();
  }
}

void RuleClerk::Answer() {
  while (!waiting_.empty() && spool_.OutcomesSynced() >= waiting_.front().outcome) {
    Post(waiting_.front(), RuleResult::kDone);
    waiting_.erase(waiting_.begin());
  }
  // Decided and not synced: the device takes nothing.
  for (Waiting& waiting : waiting_) {
    if (!waiting.is_told && spool_.SettlesDecided() >= waiting.outcome) {
      waiting.is_told = true;
      Post(waiting, RuleResult::kNotOnDisk);
    }
  }
}

void RuleClerk::Post(const Waiting& waiting, RuleResult result) {
  const RuleAnswer answer{waiting.number, shard_, result, waiting.recipients};
  post_.Post(shard_, post_.desk(), {.kind = ShardMessage::Kind::kRuleAnswer, .answer = answer});
}

}  // namespace backstay
