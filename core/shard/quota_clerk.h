// core/shard/quota_clerk.h -- how much of a domain is queued, told to the other shards, compared
// with its quota, and said to who asks by ETRN.
//
// Of this shard a domain's load is known to the message. The others say what they have when a
// message of it is stored, when one comes, and once a second while they have some: a quota may be
// passed by what is on its way to the disk, and what has gone out makes room a second later.
//
// Owns:     a line for each domain that has a quota, and for all if there is somebody who may ask.
// Outlives: `domains` outlives it.
// Turn:     none waits; the clock runs only while there is something to say.
// See:      DESIGN 3.2 quota_bytes, quota_messages, etrn_from.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/container/btree_map.h"
#include "core/queue/domain_tally.h"
#include "core/queue/shared_table.h"
#include "core/queue/timer_wheel.h"
#include "core/shard/snapshot.h"
#include "io/io.h"
#include "spool/spool.h"

namespace backstay {

class QuotaClerk {
 public:
  QuotaClerk(Io& io, TimerWheel& wheel, Spool& spool, SharedTable<DomainTally>& domains,
             size_t shard);

  void UseSnapshot(const Snapshot& snapshot);
  // All that was on disk is in the queue.
  void OnQueueReady();
  void OnLiveMessage(DomainId domain);
  bool HasRoom(const DomainPlan& plan);
  // Messages of it that wait on all shards. Nothing: some have not all been read yet. Somebody may
  // ask by ETRN.
  std::optional<uint64_t> Waiting(const DomainPlan& plan);

 private:
  struct Line {
    DomainTally* tally = nullptr;
    DomainTally::Load told;
  };
  Line& TellNow(const DomainPlan& plan);
  void Tell(DomainId domain, Line& line);
  void OnClock();

  Io& io_;
  TimerWheel& wheel_;
  Spool& spool_;
  SharedTable<DomainTally>& domains_;
  const size_t shard_;
  bool queue_ready_ = false;
  absl::btree_map<DomainId, Line> lines_;
  Alarm<&QuotaClerk::OnClock> clock_{this};
};

}  // namespace backstay
