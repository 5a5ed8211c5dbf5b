// core/shard/report_lane.h -- reports to senders elsewhere: each goes to the MX hosts of its own
// domain.
//
// All of them are mail of one domain of the spool, kReportDomain. Whose each is stands in its
// envelope, so a head is read first, and the message then waits in the table of strangers for a
// search of the DNS and for its turn on a connection. A stranger is no destination: nobody probes
// it, and a domain that could not be reached is left alone for kAwayFor; what is queued for it is
// deferred by the schedule without a connection. What the DNS says takes no mail, or would be
// ourselves, ends as a dead report: discarded by that rule, as is what was refused or whose time is
// over.
//
// One connection to a domain and shard, kVisitsMax of all shards; where all are taken and somebody
// waits, those that are idle end, and whoever has made no progress for kPatience is left. So no
// number of domains that are dead, or answer as slowly as they like, keeps the others waiting for
// long.
//
// TLS:    at most opportunistic, whatever `[delivery] tls` demands of primaries. Nobody has agreed
//         with strangers on certificates: to demand them would keep most senders from being told.
//
// Life:   as long as the shard; without a domain of the spool it has nothing to do. Stop() ends
//         what is under way; then idle().
// Owns:   the table, searches, visits; one reader.
// Turn:   Dispatch() reads at most one head. Events come from Io::Turn and the wheel.
// See:    DESIGN 3.2 `[dsn] route = "mx"`, 9; core/shard/stranger_table.h.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/shard/delivery.h"
#include "core/shard/lane.h"
#include "core/shard/own_places.h"
#include "core/shard/primary_searcher.h"
#include "core/shard/primary_tls.h"
#include "core/shard/route.h"
#include "core/shard/snapshot.h"
#include "core/shard/stranger_table.h"
#include "spool/message_reader.h"

namespace backstay {

class ReportLaneHome : public LaneHome {
 public:
  // Null: the domain is none of ours.
  virtual const Route* PrimaryOf(std::string_view domain) const = 0;

 protected:
  ~ReportLaneHome() = default;
};

class ReportLane final : public Lane, private MessageReaderEvents, private PrimarySearcherHome {
 public:
  static constexpr size_t kVisitsMax = 64;  // connections of the process, shared by the shards
  static constexpr size_t kSearchesMax = 256;
  // Addresses of one domain that are known and tried; RFC 5321 s5.1 wants two at least.
  static constexpr size_t kHostsMax = 5;
  static constexpr absl::Duration kAwayFor = absl::Minutes(5);
  static constexpr absl::Duration kPatience = absl::Seconds(30);

  ReportLane(const ShardParts& parts, ReportLaneHome& home);
  ~ReportLane() override;

  void UseSnapshot(const Snapshot& snapshot);
  void RestartDomain(DomainId domain) override;
  void Dispatch() override;
  // The failure of one domain says nothing of another one's mail: what is over ends here, with an
  // attempt of its own.
  bool MayGiveUp(MessageRef, uint32_t, const RetryOrigin&, DomainId) const override {
    return false;
  }
  void Stop(bool now_too);
  bool idle() const;

  size_t connections() const { return visits_.size(); }
  const StrangerTable& strangers() const { return strangers_; }

 private:
  // One connection to a host of a stranger.
  class Visit final : private DeliveryHome {
   public:
    Visit(ReportLane& lane, const OutboundParts& parts, Stranger& visited);

    Stranger* stranger;  // null when it is over
    Instant since;       // it began, or took its last message
    bool is_left = false;
    Delivery delivery;

   private:
    std::optional<Attempt> NextAttempt() override { return lane_.NextOf(*this); }
    // One after the other: few are for the same stranger.
    std::optional<Attempt> NextAhead() override { return std::nullopt; }
    bool MayChain() override { return false; }
    bool Begin(Attempt&) override { return true; }
    void OnFollowed(Attempt&) override {}
    void OnNotBegun(const Attempt&) override {}
    bool Eligible(const Attempt& attempt, uint32_t recipient, DomainId domain) override;
    void OnUnreadable(const Attempt& attempt, ReadOutcome outcome) override;
    void OnNotStarted(const Attempt& attempt) override { lane_.Return(*this, attempt); }
    void OnNothingToDo(const Attempt& attempt) override { lane_.Release(attempt.message); }
    void OnOutcomes(const Attempt& attempt, const AttemptReport& report) override;
    void OnDeliveryGreeted(Delivery&) override { stranger->refused = 0; }
    void OnDeliveryClosed(Delivery&) override { lane_.OnVisitOver(*this); }

    ReportLane& lane_;
  };
  void OnHead(ReadOutcome outcome) override;
  void OnContent(ReadOutcome outcome, Bytes content) override;
  void OnSearched(uint64_t number, const PrimarySearch& search) override;

  bool MayTake() const { return !reading_.has_value() && !reader_.busy() && !strangers_.full(); }
  void TakeNext();
  void Judge(const Attempt& attempt, const Envelope& envelope);
  void Conclude(Attempt attempt, const Envelope& envelope, const Stranger& stranger);
  void Record(const Attempt& attempt, const AttemptReport& report, size_t position,
              SpoolTime failed_at);
  bool IsOver(const Attempt& attempt, const AttemptReport& report, size_t position,
              SpoolTime failed_at) const;
  void PutOff(MessageRef message);
  void Search(Stranger& stranger);
  void StartSearches();
  void VisitPrimary(Stranger& stranger, const Route& primary);
  void Advance(Stranger& stranger);
  void TurnAway(Stranger& stranger, Stranger::State state, std::string_view reason);
  void StartVisits();
  void MakeRoom();
  void BuryFinished();
  void SetAlarm();
  std::optional<Attempt> NextOf(Visit& visit);
  void Return(Visit& visit, const Attempt& attempt);
  void OnVisitOver(Visit& visit);
  void OnRefused(Stranger& stranger, const OutboundConnection& connection);

  ReportLaneHome& home_;
  PrimaryTls tls_;
  DeliveryTimes times_;
  const OutboundParts outbound_;
  const size_t visits_max_;  // of this shard
  std::string hostname_;
  OwnPlaces own_places_;
  StrangerTable strangers_;
  // By number: to be searched for; known, and not visited yet.
  std::deque<uint64_t> unknown_;
  std::deque<uint64_t> in_line_;
  std::deque<MessageRef> again_;  // waited for a stranger that turned out to be away, or nobody
  std::vector<std::unique_ptr<PrimarySearcher>> searchers_;
  std::vector<std::unique_ptr<Visit>> visits_;
  std::optional<Attempt> reading_;
  MessageReader reader_;
  bool stopping_ = false;
};

}  // namespace backstay
