// core/shard/rule_desk.cc -- ask, complete, then one rule after the other.
#include "core/shard/rule_desk.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/shard/question.h"

namespace backstay {

void RuleDesk::Start() {
  ASSERT(phase_ == Phase::kNew);
  phase_ = Phase::kAsking;
  std::vector<size_t> all(post_.shards());
  for (size_t shard = 0; shard < all.size(); ++shard) {
    all[shard] = shard;
  }
  Give(RuleTask::kAskLast, Rule(), all);
}

void RuleDesk::Give(RuleTask task, Rule rule, const std::vector<size_t>& shards) {
  order_ = std::make_unique<const RuleOrder>(
      RuleOrder{++orders_, task, std::move(rule), std::vector<KnownRules>(post_.shards())});
  answers_.assign(post_.shards(), RuleAnswer{});
  for (const size_t shard : shards) {
    answers_[shard].reset();
    post_.Post(post_.desk(), shard, {.kind = ShardMessage::Kind::kRule, .order = order_.get()});
  }
}

void RuleDesk::Poll() {
  post_.Flush(post_.desk());
  post_.Drain(post_.desk(), [this](const ShardMessage& message) { OnMessage(message); });
  if (ready() && !tripped_.empty()) {
    is_stopping_ = true;
    Rule trip;
    trip.verb = RuleVerb::kTrip;
    trip.domains = {std::move(tripped_.front())};
    Work(RuleTask::kApply, std::move(trip));
    tripped_.pop_front();
  }
}

void RuleDesk::Ask(size_t shard, ShardQuestion& question) {
  ASSERT(question.state != ShardQuestion::State::kAsked);
  question.state = ShardQuestion::State::kAsked;
  post_.Post(post_.desk(), shard, {.kind = ShardMessage::Kind::kAsk, .question = &question});
}

void RuleDesk::OnMessage(const ShardMessage& message) {
  if (message.kind == ShardMessage::Kind::kRuleAnswer) {
    OnAnswer(message.answer);
    return;
  }
  if (message.kind == ShardMessage::Kind::kBreakerTripped) {
    if (std::find(tripped_.begin(), tripped_.end(), message.reason) == tripped_.end()) {
      tripped_.push_back(message.reason);
    }
    return;
  }
  ASSERT(message.kind == ShardMessage::Kind::kAnswered);
  message.question->state =
      message.is_refused ? ShardQuestion::State::kRefused : ShardQuestion::State::kDone;
}

bool RuleDesk::EveryoneIsDone() const {
  return std::all_of(answers_.begin(), answers_.end(), [](const auto& answer) {
    return answer.has_value() && answer->result == RuleResult::kDone;
  });
}

void RuleDesk::OnAnswer(const RuleAnswer& answer) {
  if (answer.number != order_->number) {
    return;
  }
  answers_[answer.shard] = answer;
  if (!std::all_of(answers_.begin(), answers_.end(), [](const auto& a) { return a.has_value(); })) {
    return;
  }
  switch (phase_) {
    case Phase::kAsking:
      Compare();
      return Complete();
    case Phase::kCompleting:
      return EveryoneIsDone() ? Complete() : void();
    case Phase::kWorking:
      if (!is_stopping_) {
        Summarize();
      }
      phase_ = EveryoneIsDone() ? Phase::kReady : phase_;
      return;
    case Phase::kNew:
    case Phase::kReady:
      break;
  }
  UNREACHABLE();
}

// Only stops speak for mail that is still to come: a shard that is new needs no others but the
// last, by which the epochs are counted.
void RuleDesk::Compare() {
  const std::vector<KnownRules>& known = order_->known;
  const KnownRules& newest = *std::max_element(known.begin(), known.end(),
                                               [](const KnownRules& left, const KnownRules& right) {
                                                 return left.last.epoch < right.last.epoch;
                                               });
  epoch_ = newest.last.epoch;
  std::vector<Rule> rules = newest.stops;
  if (!rules.empty() && rules.back().epoch == epoch_) {
    rules.pop_back();  // what is left of the last one
  }
  rules.push_back(newest.last);
  for (Rule& rule : rules) {
    std::vector<size_t> by;
    for (size_t shard = 0; shard < known.size(); ++shard) {
      if (known[shard].last.epoch < rule.epoch) {
        by.push_back(shard);
      }
    }
    if (!by.empty()) {
      LogInfo("rule {} was not complete: given to {} shards", rule.epoch, by.size());
      missed_.push_back({std::move(rule), std::move(by)});
    }
  }
}

void RuleDesk::Complete() {
  if (missed_.empty()) {
    phase_ = Phase::kReady;
    return;
  }
  phase_ = Phase::kCompleting;
  const Missed missed = std::move(missed_.front());
  missed_.pop_front();
  Give(RuleTask::kComplete, missed.rule, missed.by);
}

void RuleDesk::Begin(Rule rule, bool counts_only) {
  result_.reset();
  is_stopping_ = false;
  Work(counts_only ? RuleTask::kCount : RuleTask::kApply, std::move(rule));
}

void RuleDesk::Work(RuleTask task, Rule rule) {
  ASSERT(ready());
  rule.epoch = epoch_ + 1;
  epoch_ += task == RuleTask::kCount ? 0 : 1;
  phase_ = Phase::kWorking;
  std::vector<size_t> all(post_.shards());
  for (size_t shard = 0; shard < all.size(); ++shard) {
    all[shard] = shard;
  }
  Give(task, std::move(rule), all);
}

void RuleDesk::Summarize() {
  result_ = RuleOutcome();
  for (const auto& answer : answers_) {
    result_->recipients += answer->recipients;
    if (answer->result == RuleResult::kNotOnDisk) {
      result_->not_on_disk.push_back(answer->shard);
    }
  }
}

}  // namespace backstay
