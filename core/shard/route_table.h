// core/shard/route_table.h -- the routes of a shard, and which domain's mail takes which.
//
// Mail of a domain that the configuration does not have (any more) has no route: it is held, with
// an alarm in the log, and goes on when a reload brings the domain back.
//
// Owns:  the routes; none is destroyed before the shard is.
// Turn:  Dispatch() looks only at routes that asked for it, so thousands of idle ones cost nothing.
#pragma once

#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/base/list.h"
#include "core/shard/primary_finder.h"
#include "core/shard/report_lane.h"
#include "core/shard/retry_origin.h"
#include "core/shard/route.h"

namespace backstay {

class RouteTable : private RouteHome, private ReportLaneHome, private PrimaryFinderHome {
 public:
  RouteTable(const ShardParts& parts, const PrimaryFiles& primaries, const Snapshot& snapshot);

  void UseSnapshot(const Snapshot& snapshot);
  void OnLiveMessage(DomainId domain, MessageRef message);
  void OnSettlesDecided();
  void OnRecoveredDeferral(MessageRef message, uint32_t recipient, DomainId domain, Bytes note);
  // The spool has it in force already.
  void OnRule(const Rule& rule);
  void OnShardMessage(const ShardMessage& message);
  // What waits for this destination is tried now, on all shards. False: it is held.
  bool GoNow(uint64_t key);
  void Dispatch();
  // Some route asked for Dispatch() after this turn's: the next turn must not wait.
  bool wanting() const { return !wanting_.empty(); }
  void Stop(bool now_too);
  bool idle() const;

  // Domains that have had mail since start, in order of first sight.
  const std::vector<DomainId>& domains() const { return domains_; }
  // Where its mail waits. Null: held.
  Lane* LaneOf(DomainId domain) const;
  // Null: held, or reports that each have a way of their own.
  Route* RouteOf(DomainId domain) const;
  // Null: there is no such destination.
  Route* RouteTo(uint64_t key) const;
  const RetryPolicy& PolicyOf(DomainId domain) const override;
  // From when its schedule and age count: its arrival, the newest reset that speaks for it, or the
  // end of the last hold that no rule made (its domain was not configured, its primary was held),
  // which acts as a reset in this run. Held so now: from now on.
  RetryOrigin CountsFrom(MessageRef message, DomainId domain) const override;
  // The recipient's time is over, by a failure then, and that ends it as `ending` says. Not while
  // its message is under way.
  bool IsOver(MessageRef message, uint32_t recipient, OnExpiry ending) const;
  // Senders are told when their mail has waited so long; zero: never.
  absl::Duration DelayWarningOf(DomainId domain) const;
  // Null: not configured.
  Route* RouteOf(const DomainPlan& plan) const;
  // When the DNS is asked next where this destination is, by this shard; Max(): never.
  Instant NextQuestion(uint64_t key) const { return finder_.NextQuestion(key); }
  const std::vector<std::unique_ptr<Route>>& routes() const { return routes_; }
  const ReportLane& reports() const { return reports_; }
  RouteCounters totals() const;

 private:
  struct Way {
    Lane* lane = nullptr;
    Route* route = nullptr;            // the same, if it is one
    const DomainPlan* plan = nullptr;  // into the current snapshot; null when held
  };
  void WantDispatch(Lane& lane) override;
  void WaitForSettles(Lane& lane) override { waiting_for_settles_.push_back(&lane); }
  DeferralRoom& deferral_room() override { return deferral_room_; }
  bool MakeDeferralRoom() override;
  const Route* PrimaryOf(std::string_view domain) const override;
  void Learn(DomainId domain, std::string_view address, bool is_taken) override;
  void OnWentDown(Route& route) override { finder_.Hasten(route.key()); }
  void OnHoldEnded(Route& route) override;
  void OnOutages(Route& route) override { finder_.Keep(route.key(), route.outages()); }
  void OnPrimaries(uint64_t key, const FoundPrimaries& found) override;
  bool IsUp(uint64_t key) const override;
  const SharedAnswers* AnswersOf(uint64_t domain) const override {
    return parts_.shared.answers.Find(domain);
  }
  const Way& WayOf(DomainId domain);
  SpoolTime HeldUntil(DomainId domain) const;
  // Domains that the configuration has and did not have before: what they have was held.
  void NoteNewDomains(const Snapshot& before);
  uint64_t CanariesFrom() const;
  // All that waits for it, see Route::OnBacklog.
  void MeetBacklog(Route& route);
  std::vector<Lane*> LanesAtWork();
  Way Resolve(DomainId domain);
  Route& RouteWithKey(uint64_t key);

  const ShardParts parts_;
  const Snapshot* snapshot_;
  const RetryPolicy default_policy_;
  DeferralRoom deferral_room_{DeferralRoom::kOfShard};  // before the lanes
  Instant room_made_at_;                                // looked for what may go from it
  PrimaryFinder finder_;
  ReportLane reports_;
  std::vector<std::unique_ptr<Route>> routes_;
  absl::flat_hash_map<uint64_t, Route*> by_key_;
  absl::flat_hash_map<DomainId, Way> ways_;
  absl::flat_hash_map<DomainId, SpoolTime> held_until_;  // without a way, or by another route
  std::vector<DomainId> domains_;
  List<Lane> wanting_;
  std::vector<Lane*> waiting_for_settles_;
};

}  // namespace backstay
