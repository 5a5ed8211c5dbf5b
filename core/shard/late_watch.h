// core/shard/late_watch.h -- finds mail whose senders are to be told that it is late
// (`retry.delay_warning`).
//
// In one domain of one shard the log's order is that of age. So what was told is a place in it
// (Spool::MarkTold): everything before is told, whoever wanted to be, and a look goes on behind it.
// It is written down with each report, and a crash before that is on disk costs one report once
// more. A message with recipients in several domains of the same delay is told of once, with the
// first of them that waits.
//
// Owns:  for each domain how far it has come; one message under way.
// Turn:  NextLate() looks at a bounded number of messages and reads none.
// See:   DESIGN 9; RFC 3464 s2.3.3 "delayed".
#pragma once

#include <optional>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "core/queue/timer_wheel.h"
#include "core/shard/reporter.h"
#include "core/shard/route_table.h"
#include "io/io.h"
#include "spool/spool.h"

namespace backstay {

class LateWatch final : private LateMailSource {
 public:
  LateWatch(Io& io, TimerWheel& wheel, Spool& spool, RouteTable& routes, Reporter& reporter);

  void Start();
  void Stop();

 private:
  std::optional<LateMail> NextLate() override;
  bool has_more() const override { return is_looking_; }
  void OnTold(const LateMail& late, bool is_stored) override;
  void OnNotTold() override { EndDomain(); }
  void Look();
  void EndDomain();
  std::optional<MessageRef> ToldUpTo(DomainId domain) const;
  // Nothing: it is told of with another of its domains, or was.
  std::optional<LateMail> Describe(DomainId domain, MessageRef message) const;

  Io& io_;
  TimerWheel& wheel_;
  Spool& spool_;
  RouteTable& routes_;
  Reporter& reporter_;
  Alarm<&LateWatch::Look> clock_{this};
  bool is_looking_ = false;
  size_t looked_at_ = 0;  // index into routes_.domains()
  absl::flat_hash_map<DomainId, MessageRef> told_up_to_;
  // Told of with one of its domains; the others come to it soon. The oldest go.
  absl::btree_set<MessageRef> told_for_several_;
};

}  // namespace backstay
