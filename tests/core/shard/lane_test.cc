// tests/core/shard/lane_test.cc -- what a lane knows of recipients when there is room for few.
#include "core/shard/lane.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/mark.h"
#include "core/shard/retry_origin.h"
#include "io/outbox.h"
#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

constexpr absl::Duration kHoldOff = absl::Seconds(20);

// Its mail goes nowhere: the test says what became of it.
class LaneToNowhere final : public Lane {
 public:
  using Lane::Defer;
  using Lane::Lane;
  using Lane::queue_;
  using Lane::RefusedSince;
  void Dispatch() override {}
};

// What a shard has for its lanes, and one of them.
class LaneBed final : private LaneHome, private RecipientHome {
 public:
  LaneBed(SpoolHarness& harness, size_t deferrals_max)
      : room(deferrals_max),
        spool_(*harness.spool),
        wheel_(harness.io->Now()),
        outbox_(*harness.io),
        log_(*harness.io, wheel_, Fd(), 0, 1),
        clerk_(*harness.io, wheel_, post_, 0, RecipientFiles(), *this),
        reporter_(*harness.io, *harness.spool, snapshot_, 1),
        lane({*harness.io, wheel_, outbox_, handshakes_, *harness.spool, post_, log_, clerk_,
              reporter_, shared_, 0},
             *this),
        other({*harness.io, wheel_, outbox_, handshakes_, *harness.spool, post_, log_, clerk_,
               reporter_, shared_, 0},
              *this) {
    policy.schedule = {absl::Seconds(10)};
    policy.expire_after = absl::Minutes(1);
  }

  RetryPolicy policy = RetryPolicy::Default();
  DeferralRoom room;
  bool makes_room = false;

 private:
  void WantDispatch(Lane&) override {}
  void WaitForSettles(Lane&) override {}
  const RetryPolicy& PolicyOf(DomainId) const override { return policy; }
  RetryOrigin CountsFrom(MessageRef message, DomainId domain) const override {
    return OriginOf(spool_.Arrival(message), spool_.StandingOf(message, domain));
  }
  DeferralRoom& deferral_room() override { return room; }
  bool MakeDeferralRoom() override {
    if (makes_room) {
      lane.DropStrayDeferrals();
      other.DropStrayDeferrals();
    }
    return !room.is_full();
  }
  PrimaryHealth HealthOf(std::string_view) override { return PrimaryHealth(); }
  void AskPrimary(std::string_view, RecipientQuestion&) override {}

  Spool& spool_;
  const Snapshot* snapshot_ = nullptr;
  TimerWheel wheel_;
  Outbox outbox_;
  List<PendingHandshake> handshakes_;
  PostOffice post_{1};
  EventLog log_;
  RecipientClerk clerk_;
  Reporter reporter_;
  SharedCounts shared_{1, 100, 1};

 public:
  LaneToNowhere lane;
  LaneToNowhere other;  // to another primary
};

class LaneTest : public testing::Test {
 protected:
  LaneTest() { harness_.Start(); }

  void MakeLanes(size_t deferrals_max) { bed_.emplace(harness_, deferrals_max); }
  LaneToNowhere& lane() { return bed_->lane; }
  SpoolTime now() { return harness_.spool->Clock(); }
  // Of so many recipients.
  MessageRef Send(size_t recipients) {
    const std::vector<std::string> domains(recipients, "a.example");
    const MessageRef message = harness_.SendAndWait(TestContent(++sent_, 500), domains).message;
    domain_ = harness_.spool->Intern("a.example");
    lane().AddDomain(domain_);
    lane().OnLiveMessage(domain_, message);
    return message;
  }
  // The primary has said `code` to one recipient.
  void Say(LaneToNowhere& lane, MessageRef message, uint32_t recipient, int code) {
    Envelope envelope;
    for (uint32_t i = 0; i <= recipient; ++i) {
      envelope.AddRecipient().address = "r@a.example";
    }
    Outcome outcome;
    outcome.kind = code < 500 ? Outcome::Kind::kDeferred : Outcome::Kind::kFailed;
    outcome.phase = Outcome::Phase::kRcpt;
    outcome.code = code;
    outcome.own = true;
    const std::vector<uint32_t> recipients = {recipient};
    const std::vector<DomainId> domains = {domain_};
    const std::vector<Outcome> outcomes = {outcome};
    const SocketAddress relay = SocketAddress::V4({192, 0, 2, 10}, 25);
    const AttemptReport report{.envelope = envelope,
                               .recipients = recipients,
                               .domains = domains,
                               .outcomes = outcomes,
                               .arrival = harness_.spool->Arrival(message),
                               .relay = relay};
    Attempt attempt;
    attempt.message = message;
    lane.Defer(attempt, report, 0, kHoldOff);
  }
  void Say(MessageRef message, uint32_t recipient, int code) {
    Say(lane(), message, recipient, code);
  }
  bool MayGiveUp(MessageRef message, uint32_t recipient) {
    const RetryOrigin origin =
        OriginOf(harness_.spool->Arrival(message), harness_.spool->StandingOf(message, domain_));
    return lane().MayGiveUp(message, recipient, origin, domain_);
  }
  // Everything that the queue hands out now has been tried.
  size_t TryAll() {
    size_t tried = 0;
    while (const std::optional<Attempt> attempt = lane().queue_.Take(now())) {
      Say(attempt->message, 0, 452);
      lane().queue_.Release(attempt->message);
      ++tried;
    }
    return tried;
  }

  SpoolHarness harness_;
  std::optional<LaneBed> bed_;
  DomainId domain_ = {};
  uint64_t sent_ = 0;
};

// A note that finds no entry at the next start would be carried from checkpoint to checkpoint.
TEST_F(LaneTest, OnlyWhoHasAnEntryHasANote) {
  MakeLanes(2);
  const MessageRef message = Send(4);
  const uint64_t full_before = MarkCount("deferral_table_full");
  for (uint32_t recipient = 0; recipient < 4; ++recipient) {
    Say(message, recipient, 452);
  }
  EXPECT_EQ(MarkCount("deferral_table_full"), full_before + 2);
  EXPECT_EQ(lane().counters().deferred, 4u);
  Say(message, 0, 451);  // has one: it is kept up to date
  harness_.Idle(absl::Seconds(1));
  bed_.reset();
  harness_.Restart(CrashMode::kNothingUnsynced);
  ASSERT_EQ(harness_.deferrals.size(), 2u);
  const auto first = DecodeDeferralNote(AsBytes(harness_.deferrals[{message, 0}]));
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->code, 451);
  EXPECT_EQ(first->attempts, 2u);
  EXPECT_TRUE(harness_.deferrals.contains({message, 1}));
}

// Thousands of primaries have no more than one.
TEST_F(LaneTest, TheRoomIsThatOfAllLanes) {
  MakeLanes(2);
  const MessageRef message = Send(3);
  Say(lane(), message, 0, 452);
  Say(bed_->other, message, 1, 452);
  Say(lane(), message, 2, 452);
  EXPECT_EQ(lane().queue().deferrals().size() + bed_->other.queue().deferrals().size(), 2u);
  EXPECT_TRUE(bed_->room.is_full());
}

// By an order, or because a reload gave its domain to another lane: nobody tells this one.
TEST_F(LaneTest, WhoEndedByAnotherWayMakesRoom) {
  MakeLanes(3);
  bed_->makes_room = true;
  const MessageRef message = Send(5);
  Say(lane(), message, 0, 452);
  Say(bed_->other, message, 1, 452);  // a domain that is not its own
  Say(lane(), message, 2, 452);
  harness_.Settle(message, 0, SettleKind::kDiscarded, "");
  harness_.Idle(absl::Seconds(1));
  Say(lane(), message, 3, 452);
  Say(lane(), message, 4, 452);
  const DeferralTable& kept = lane().queue().deferrals();
  EXPECT_EQ(kept.size(), 3u);
  for (const uint32_t recipient : {2, 3, 4}) {
    EXPECT_NE(kept.Find({message.segment, message.block, recipient}), nullptr) << recipient;
  }
}

TEST_F(LaneTest, ARefusalWithoutAnEntryIsFinalWhenTheFirstOneIs) {
  MakeLanes(1);
  const MessageRef message = Send(4);
  Say(message, 0, 452);
  const SpoolTime first = now();
  Say(message, 1, 550);
  harness_.Idle(kHoldOff);
  EXPECT_EQ(lane().RefusedSince(nullptr, now()), first) << "refused again, by a later pass";
  Say(message, 2, 550);
  EXPECT_EQ(lane().RefusedSince(nullptr, now()), first);
  // The destination went and came: it may not be what it was yet.
  lane().queue_.Restart();
  EXPECT_EQ(lane().RefusedSince(nullptr, now()), now());
  const SpoolTime again = now();
  Say(message, 1, 550);
  harness_.Idle(absl::Seconds(1));
  EXPECT_EQ(lane().RefusedSince(nullptr, now()), again);
  // The operator has looked at it.
  lane().RestartDomain(domain_);
  EXPECT_EQ(lane().RefusedSince(nullptr, now()), now());
}

TEST_F(LaneTest, WhereThereIsRoomEachRefusalCountsForItself) {
  MakeLanes(1);
  const MessageRef message = Send(3);
  Say(message, 0, 452);
  Say(message, 1, 550);
  harness_.Idle(kHoldOff);
  lane().queue_.deferrals().Erase({message.segment, message.block, 0});
  const SpoolTime then = now();
  EXPECT_EQ(lane().RefusedSince(nullptr, then), then);
  Say(message, 2, 550);
  harness_.Idle(absl::Seconds(1));
  const Deferral* entry = lane().queue().deferrals().Find({message.segment, message.block, 2});
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(lane().RefusedSince(entry, now()), then);
}

// That a neighbour found no room says nothing of who was not tried since his time is over.
TEST_F(LaneTest, WithoutAnEntryOnlyAWholePassEndsWhatIsOver) {
  MakeLanes(1);
  Say(Send(1), 0, 452);
  const MessageRef tried = Send(1);
  const MessageRef untried = Send(1);
  harness_.Idle(absl::Minutes(2));
  EXPECT_FALSE(MayGiveUp(tried, 0));
  Say(tried, 0, 452);
  EXPECT_FALSE(MayGiveUp(untried, 0));
  lane().queue_.Restart();
  ASSERT_TRUE(lane().queue_.HasWork(now()));
  harness_.Idle(absl::Seconds(1));
  EXPECT_FALSE(MayGiveUp(untried, 0)) << "the pass goes on";
  EXPECT_GE(TryAll(), 3u);
  EXPECT_TRUE(MayGiveUp(tried, 0));
  EXPECT_TRUE(MayGiveUp(untried, 0));
}

// One that nobody had to be left out of says nothing of those who wait for other reasons.
TEST_F(LaneTest, APassWithRoomForAllEndsNothing) {
  MakeLanes(10);
  const MessageRef message = Send(2);
  harness_.Idle(absl::Minutes(2));
  lane().queue_.Restart();
  EXPECT_EQ(TryAll(), 1u);
  EXPECT_FALSE(MayGiveUp(message, 1));
}

}  // namespace
}  // namespace backstay
