// core/shard/route.h -- one destination as one shard sees it: its mail, its connections, its
// health.
//
// Every shard has a route for every destination. One of them is the home route: it alone probes
// while the destination is down, and tells the others (ShardMessage). The others report what they
// see. How many connections and messages there may be is counted over all of them
// (SharedDestination); probes and the verifier's one connection of each shard are not counted.
//
// Life:     lives as long as the shard; a reload changes its plan, or retires it (no new attempts).
// Owns:     deliveries, the probe, the queue of positions.
// Turn:     Dispatch() starts what may start, once a turn; events come from Io::Turn and the wheel.
// See:      DESIGN 6.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/dns/primary_search.h"
#include "core/queue/breaker.h"
#include "core/queue/destination.h"
#include "core/queue/shard_places.h"
#include "core/queue/timer_wheel.h"
#include "core/shard/delivery.h"
#include "core/shard/host_watch.h"
#include "core/shard/inbox.h"
#include "core/shard/lane.h"
#include "core/shard/next_event.h"
#include "core/shard/primary_tls.h"
#include "core/shard/probe.h"
#include "core/shard/snapshot.h"
#include "core/shard/verifier.h"

namespace backstay {

class Route;

class RouteHome : public LaneHome {
 public:
  // The home route's: its mail may have to go elsewhere.
  virtual void OnWentDown(Route& route) = 0;
  // It was held as ourselves, and is another: what waits for it has not met it.
  virtual void OnHoldEnded(Route& route) = 0;
  // The home route's outages are other than they were.
  virtual void OnOutages(Route& route) = 0;
  // The primary took this recipient, or does not know it.
  virtual void Learn(DomainId domain, std::string_view address, bool is_taken) = 0;

 protected:
  ~RouteHome() = default;
};

class Route final : public Lane, private DeliveryHome, private ProbeEvents, private VerifierHome {
 public:
  Route(const ShardParts& parts, RouteHome& home, uint64_t key);
  ~Route() override;

  uint64_t key() const { return key_; }
  // As an earlier run left it, before anything else: what was down is probed first.
  void Resume(const Outages& outages);
  // `connections_max`: of all shards.
  void UsePlan(const DestinationPlan& plan, std::string_view hostname, size_t connections_max);
  void UseDelivery(const DeliveryConfig& delivery, const TlsContext* context) {
    times_ = delivery.times;
    tls_.UsePlan(delivery.tls, context, is_home_);
  }
  // Where it is from now on. Connections to other places end behind what is under way on them.
  void UsePrimaries(const FoundPrimaries& found);
  // Some domain of it defers while it is up: it is probed then, too.
  void SetGated(bool is_gated) { is_gated_ = is_gated; }
  PrimaryHealth health() const;
  // Nothing goes there until somebody acts: it is ourselves, or has no place where mail may go.
  // That the DNS says nothing is no such verdict.
  bool is_held() const;
  // The last time that it was; 0: never in this run. Mail from before begins its age anew then, as
  // nothing is given up for having been held (RouteTable::CountsFrom).
  SpoolTime held_until() const { return held_until_; }
  void Verify(RecipientQuestion& question) { verifier_.Ask(question); }
  // Whether new mail is to try the primary itself: it is up, or has not been away for so long.
  bool MustTryPrimary(absl::Duration store_after);
  // No destination of the configuration any more: what is queued is held.
  void Retire();
  // What waits here of a domain may meet a primary now that it has not met before, or not in this
  // run: it is on trial, so a refusal is doubted and not final for a while. From so many messages
  // on canaries go first, unless somebody's mail was taken already.
  void OnBacklog(DomainId domain, uint64_t canaries_from);
  // It is elsewhere now, or out of use: what it took says nothing any more.
  void Forget() { destination_.Forget(); }
  void RemoveDomain(DomainId domain) override;
  // As RestartDomain, and its breaker does not trip until nothing is left.
  void StartDomain(DomainId domain, bool accepts_refusals);
  void OnShardMessage(const ShardMessage& message);
  // All that waits is due, and a destination that is down is probed at once; charged to no
  // schedule. Not again within a few seconds, however often it is asked for. False: held.
  bool GoNow(bool ask_others);
  // GoNow() of this shard, and one look whatever state it is in: the operator asks, each shard in
  // turn. What is held as ourselves comes back by it when it has another name.
  void LookNow();
  void Dispatch() override;
  void Stop(bool now_too);
  bool idle() const;
  // For the operator, on this shard: probes are the home route's. Mail that waits for a connection
  // is no event.
  NextEvent Upcoming() const;

  // For a connection of somebody else's to its hosts.
  const OutboundParts& outbound() const { return outbound_; }
  const Destination& destination() const { return destination_; }
  size_t connections() const { return deliveries_.size(); }
  // The list of addresses as text.
  const std::string& name() const { return plan_.name; }
  // Complete at the home route only.
  const Outages& outages() const { return outages_; }
  bool is_home() const { return is_home_; }
  // In the order of trying, without those that are ourselves. None: `standing` says why, and what
  // is queued waits.
  const std::vector<PrimaryHost>& hosts() const { return hosts_; }
  PrimaryStanding standing() const { return standing_; }
  const std::string& standing_reason() const { return standing_reason_; }

 private:
  // Connections that are not on their way out.
  struct Load {
    size_t attempting = 0;
    size_t resting = 0;
    size_t connecting = 0;
  };

  std::optional<Attempt> NextAttempt() override;
  std::optional<Attempt> NextAhead() override;
  bool MayChain() override;
  bool Begin(Attempt& attempt) override;
  void OnFollowed(Attempt& attempt) override;
  void OnNotBegun(const Attempt& attempt) override;
  bool Eligible(const Attempt& attempt, uint32_t recipient, DomainId domain) override;
  void OnUnreadable(const Attempt& attempt, ReadOutcome outcome) override;
  void OnNotStarted(const Attempt& attempt) override;
  void OnNothingToDo(const Attempt& attempt) override;
  void OnOutcomes(const Attempt& attempt, const AttemptReport& report) override;
  void OnDeliveryGreeted(Delivery& delivery) override;
  void OnDeliveryClosed(Delivery& delivery) override;
  void OnProbeAnswered(size_t host) override;
  void OnProbeMetOurselves(const OutboundConnection& connection) override {
    OnVerifierFailed(connection);
  }
  void OnProbeFailed(bool is_soft, std::string_view reason) override;
  const PrimaryHost* VerifierHost() override;
  bool HasHost(const SocketAddress& address) const override;
  const std::string& VerifierHostname() override { return hostname_; }
  void OnVerifierGreeted() override;
  void OnVerifierFailed(const OutboundConnection& connection) override;

  // A message that arrived before its domain met this primary.
  bool IsOnTrial(DomainId domain, SpoolTime arrival) const;
  bool RepeatsAtOnce(const Attempt& attempt, const Outcome& outcome, bool is_progress) const;
  Breaker& BreakerOf(DomainId domain);
  Breaker::Verdict AskBreaker(const AttemptReport& report, size_t position);
  bool IsFinal(const Attempt& attempt, const AttemptReport& report, size_t position,
               Breaker::Verdict verdict) const;
  void Trip(DomainId domain, const Outcome& outcome);
  bool IsTripped(DomainId domain) const;
  absl::Duration HoldOff(DomainId domain, SpoolTime arrival) const;
  void Apply(const Attempt& attempt, const AttemptReport& report, size_t position);
  void UseFound();
  bool OnHostTrouble(const SocketAddress& host, bool is_silence, std::string_view reason);
  void LeavePassedOver();
  void OnMetOurselves(const OutboundConnection& connection, std::string_view reason);
  void OnNotGreeted(const OutboundConnection& connection, std::string_view reason);
  void OnChainLost();
  void OnCanariesDeferred();
  bool MayBegin(bool is_counted);
  size_t SettlesMax() const;
  void OnEnded(const Attempt& attempt, MessageFate fate, absl::Duration took);
  void OnNothingLeft();
  void Feed(DestinationEvent event, std::string_view reason);
  void LetGo();
  void NoteHold();
  void TellOfHold();
  void EndHold();
  void WentDown(std::string_view reason);
  void TellHome(std::string_view reason);
  void TellHomeAgain();
  void CameUp();
  Instant ProbeDue() const;
  Instant NextLook() const;
  NextEvent NextAlarm() const;
  void StartProbeIfDue();
  void StartDeliveries();
  void BuryFinished();
  Load CountLoad() const;
  bool MayUse(bool is_counted) const;
  void CountPlaces();
  bool OpenConnection();
  bool IsKeptWaiting();
  void WaitForPlace(bool waits);
  void GiveWay();
  void SetAlarm();
  void Broadcast(ShardMessage::Kind kind, std::string_view reason);

  PrimaryTls tls_;
  DeliveryTimes times_;
  const OutboundParts outbound_;
  RouteHome& home_;
  const uint64_t key_;
  DestinationPlan plan_;
  std::string hostname_;
  const bool is_home_;
  bool is_gated_ = false;
  bool is_doubted_ = false;  // another shard cannot get through
  Instant doubt_from_;       // it is looked into from then on
  bool retired_ = false;
  bool stopping_ = false;
  Destination destination_;
  ShardPlaces places_;
  bool is_blocked_ = false;                          // mail waits for what other shards have
  absl::flat_hash_map<DomainId, Breaker> breakers_;  // of domains that had an answer
  absl::flat_hash_map<DomainId, SpoolTime> trials_;  // what arrived until then; see OnBacklog
  Probe probe_;
  Verifier verifier_;
  Instant probe_from_;    // its place in the line of all probes; Instant(): none
  Instant tell_home_at_;  // once more that it is down, unless something is heard before
  Instant probe_asked_;   // for a gated domain, here or of the home shard
  Instant next_look_;     // at a gated one that is up
  std::vector<std::unique_ptr<Delivery>> deliveries_;
  std::vector<PrimaryHost> found_;  // as it was told last
  std::vector<PrimaryHost> hosts_;
  PrimaryStanding standing_ = PrimaryStanding::kNotAsked;
  std::string standing_reason_;
  std::optional<SpoolTime> deferring_since_;  // all canaries, without one that was taken
  size_t address_ = 0;                        // index into hosts_: the next connection goes there
  size_t addresses_failed_ = 0;               // in a row
  HostWatch watch_;                           // which of them take nothing
  Instant first_again_at_;                    // the first of them has another chance
  Instant pause_until_;       // after a connection that ended badly while the destination is up
  Instant chains_from_;       // after a connection that ended behind a chained message
  uint32_t chains_lost_ = 0;  // since one was answered
  std::optional<Instant> went_now_;       // GoNow
  std::optional<Instant> looked_at_;      // LookNow
  bool is_look_asked_ = false;            // the next probe does not wait; of the home route
  bool is_looking_ = false;               // that probe runs, or was the last one
  std::optional<PrimaryHost> ourselves_;  // the host that greeted as we do, while that holds it
  bool home_holds_ = false;               // while it is down here: the home route met ourselves
  bool was_held_ = false;                 // when that was noted last
  SpoolTime held_until_;
  Outages outages_;
};

}  // namespace backstay
