// core/shard/rule_clerk.h -- carries out the desk's orders on one shard and answers when they are
// on disk.
//
// Turn:  Answer() comes once a turn, behind the commit. Nothing waits.
// See:   core/shard/rule_desk.h; DESIGN 5 "Bulk operations".
#pragma once

#include <span>
#include <vector>

#include "core/shard/expiry.h"
#include "core/shard/inbox.h"
#include "core/shard/route_table.h"
#include "spool/spool.h"

namespace backstay {

class RuleClerk {
 public:
  RuleClerk(PostOffice& post, size_t shard, Spool& spool, RouteTable& routes, Expiry& expiry)
      : post_(post), shard_(shard), spool_(spool), routes_(routes), expiry_(expiry) {}
  RuleClerk(const RuleClerk&) = delete;
  RuleClerk& operator=(const RuleClerk&) = delete;

  void OnQueueReady();
  void Take(const RuleOrder& order);
  // The spool has put a rule in force for each of these.
  void OnMessagesChanged(const Rule& rule, std::span<const MessageRef> messages);
  void Answer();

 private:
  struct Waiting {
    uint64_t number = 0;
    uint64_t recipients = 0;
    uint64_t outcome = 0;  // on disk when the spool has synced so many
    bool is_told = false;  // that it is not
  };

  void AnswerLast(const RuleOrder& order);
  void Apply(const RuleOrder& order);
  void Post(const Waiting& waiting, RuleResult result);

  PostOffice& post_;
  const size_t shard_;
  Spool& spool_;
  RouteTable& routes_;
  Expiry& expiry_;
  bool is_ready_ = false;
  const RuleOrder* asked_ = nullptr;  // before the queue was ready
  std::vector<Waiting> waiting_;      // in the order of the log
};

}  // namespace backstay
