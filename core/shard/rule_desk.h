// core/shard/rule_desk.h -- gives the operator's rules to all shards, one rule at a time, and his
// questions.
//
// One counter of epochs for the spool: a rule has its epoch before any shard has the rule, and the
// next rule waits until every shard has this one on disk. So the logs differ in the last rule at
// most. A start asks every shard for its last one and gives the newest to those that missed it; a
// shard that is new gets what is stopped before that.
//
// Life:    Start(), then Poll() now and then; Begin() when ready(), Poll() until result().
// Threads: one party of the post office, on any one thread.
// Errors:  a shard whose device takes nothing is named in the result; the rule is in force there
//          and reaches the disk when that is possible, and no other rule is taken before.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/shard/inbox.h"

namespace backstay {

struct RuleOutcome {
  uint64_t recipients = 0;          // that the rule speaks for
  std::vector<size_t> not_on_disk;  // shards
};

class RuleDesk {
 public:
  explicit RuleDesk(PostOffice& post) : post_(post), answers_(post.shards()) {}
  RuleDesk(const RuleDesk&) = delete;
  RuleDesk& operator=(const RuleDesk&) = delete;

  void Start();
  void Poll();
  // Every shard knows its queue and has every rule on disk.
  bool ready() const { return phase_ == Phase::kReady; }
  void Begin(Rule rule, bool counts_only);
  // Of the last Begin(), once every shard has answered.
  const std::optional<RuleOutcome>& result() const { return result_; }
  uint64_t epoch() const { return epoch_; }  // of the last rule

  size_t shards() const { return post_.shards(); }
  // At any time, whatever the rules do. The answer is there when question.state says so.
  void Ask(size_t shard, ShardQuestion& question);

 private:
  enum class Phase : uint8_t { kNew, kAsking, kCompleting, kReady, kWorking };

  void Give(RuleTask task, Rule rule, const std::vector<size_t>& shards);
  void OnMessage(const ShardMessage& message);
  void Work(RuleTask task, Rule rule);
  void OnAnswer(const RuleAnswer& answer);
  // What shards missed, into missed_.
  void Compare();
  void Complete();
  bool EveryoneIsDone() const;
  void Summarize();

  PostOffice& post_;
  Phase phase_ = Phase::kNew;
  uint64_t epoch_ = 0;
  uint64_t orders_ = 0;
  std::unique_ptr<const RuleOrder> order_;          // what the answers are to
  std::vector<std::optional<RuleAnswer>> answers_;  // of each shard; of those not asked: kDone
  struct Missed {
    Rule rule;
    std::vector<size_t> by;  // shards
  };
  std::deque<Missed> missed_;  // in the order of their epochs
  std::optional<RuleOutcome> result_;
  // Stops that breakers want; they come between the operator's rules.
  std::deque<std::string> tripped_;
  bool is_stopping_ = false;  // the rule under way is one of these
};

}  // namespace backstay
