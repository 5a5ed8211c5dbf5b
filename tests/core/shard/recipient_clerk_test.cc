// tests/core/shard/recipient_clerk_test.cc -- what is known of recipients is found while primaries
// take their time.
#include "core/shard/recipient_clerk.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/mark.h"
#include "io/sim/world.h"

namespace backstay {
namespace {

constexpr SipKey kClerkSecret{3, 4};
constexpr std::string_view kHanging = "hang.example";  // its primary never answers
constexpr std::string_view kQuick = "quick.example";   // it takes everybody at once

class Asker final : public RecipientWaiter {
 public:
  void OnRecipientJudged(const Reply& reply) override { code = reply.code; }

  std::optional<int> code;
};

// A shard of which nothing is there but its clerk.
class ClerkShard final : public Actor, private RecipientHome {
 public:
  ClerkShard(World& world, Host& host, PostOffice& post, size_t index)
      : io_(world.MakeIo(host)),
        wheel_(io_->Now()),
        post_(post),
        index_(index),
        clerk(*io_, wheel_, post, index, RecipientFiles{Fd(), kClerkSecret}, *this) {
    post.Register(index, io_.get());
    world.Attach(*io_, *this);
  }
  void Turn() override {
    io_->Turn(wheel_.NextDue());
    post_.Flush(index_);
    post_.Drain(index_, [this](const ShardMessage& message) { clerk.OnShardMessage(message); });
    wheel_.Advance(io_->Now());
    if (post_.waiting(index_)) {
      io_->Wake();
    }
  }
  void Ask(std::string_view address, std::string_view domain, Asker& asker) {
    const std::optional<Reply> known = clerk.Judge(address, domain, asker);
    asker.code = known.has_value() ? std::optional<int>(known->code) : std::nullopt;
    io_->Wake();
  }
  void Wake() { io_->Wake(); }
  // Of those that hang.
  size_t CountAsked(RecipientQuestion::Interest interest) {
    size_t count = 0;
    for (RecipientQuestion* at = hanging_.front(); at != nullptr; at = hanging_.Next(at)) {
      count += at->interest() == interest ? 1 : 0;
    }
    return count;
  }

 private:
  PrimaryHealth HealthOf(std::string_view) override { return PrimaryHealth::kUp; }
  void AskPrimary(std::string_view domain, RecipientQuestion& question) override {
    if (domain == kHanging) {
      hanging_.PushBack(&question);
    } else {
      question.OnPrimarySaid(PrimaryVerdict::kTaken);
    }
  }

  std::unique_ptr<Io> io_;
  TimerWheel wheel_;
  PostOffice& post_;
  const size_t index_;
  List<RecipientQuestion> hanging_;

 public:
  RecipientClerk clerk;
};

class ClerkTest : public testing::Test {
 protected:
  ~ClerkTest() override { world_.Crash(host_, CrashMode::kAllUnsynced); }
  // `count` clients of the first shard, for recipients of the primary that hangs.
  void AskInVain(size_t count) {
    for (size_t number = 0; number < count; ++number) {
      askers_.push_back(std::make_unique<Asker>());
      shard_.Ask(fmt::format("x{}@{}", askers_.size(), kHanging), kHanging, *askers_.back());
      if (number % 20 == 0) {
        world_.RunFor(absl::Milliseconds(1));
      }
    }
    world_.RunFor(absl::Milliseconds(100));
  }
  int CodeOf(const std::string& address, std::string_view domain) {
    shard_.Wake();  // its clock stands still while it sleeps
    world_.RunFor(absl::Milliseconds(1));
    Asker asker;
    shard_.Ask(address, domain, asker);
    world_.RunUntil([&] { return asker.code.has_value(); }, absl::Seconds(6));
    return asker.code.value_or(0);
  }

  World world_{1};
  Host& host_ = world_.AddHost("mx2", *SocketAddress::Parse("10.0.0.1:0"));
  PostOffice post_{2};
  ClerkShard shard_{world_, host_, post_, 0};
  ClerkShard other_{world_, host_, post_, 1};
  std::vector<std::unique_ptr<Asker>> askers_;
};

TEST_F(ClerkTest, WhatIsKnownInAnotherShardIsFoundWhateverHangsAtAPrimary) {
  constexpr int kKnown = 20;
  for (int number = 0; number < kKnown; ++number) {
    const std::string address = fmt::format("known{}@{}", number, kHanging);
    EXPECT_NE(shard_.clerk.Import(address), other_.clerk.Import(address));
  }
  const uint64_t full = MarkCount("recipient_questions_full");
  AskInVain(RecipientClerk::kQueriesMax + 50);
  EXPECT_GT(MarkCount("recipient_questions_full"), full);
  int elsewhere = 0;
  for (int number = 0; number < kKnown; ++number) {
    const std::string address = fmt::format("known{}@{}", number, kHanging);
    EXPECT_EQ(CodeOf(address, kHanging), 250) << address;
    elsewhere += other_.clerk.AnswersFor(address) ? 1 : 0;
  }
  EXPECT_GT(elsewhere, 0);
  EXPECT_EQ(CodeOf(fmt::format("new@{}", kQuick), kQuick), 451) << "nothing is known";
}

TEST_F(ClerkTest, QuestionsThatAreOverMakeRoom) {
  AskInVain(RecipientClerk::kQuestionsMax + 50);
  EXPECT_EQ(CodeOf(fmt::format("new@{}", kQuick), kQuick), 451);
  world_.RunFor(absl::Seconds(40));
  EXPECT_EQ(CodeOf(fmt::format("new@{}", kQuick), kQuick), 250);
}

TEST_F(ClerkTest, AQuestionKnowsWhetherSomebodyWaits) {
  using Interest = RecipientQuestion::Interest;
  AskInVain(3);
  EXPECT_EQ(shard_.CountAsked(Interest::kWaiting), 3U);
  EXPECT_EQ(shard_.CountAsked(Interest::kLearning), 1U) << "one that nobody has";
  askers_[0]->Unlink();  // its client has hung up
  EXPECT_EQ(shard_.CountAsked(Interest::kWaiting), 2U);
  EXPECT_EQ(shard_.CountAsked(Interest::kNone), 1U);
  world_.RunFor(RecipientClerk::kAnswerWithin);
  EXPECT_EQ(askers_[1]->code, 451);
  EXPECT_EQ(shard_.CountAsked(Interest::kWaiting), 0U);
  EXPECT_EQ(shard_.CountAsked(Interest::kLearning), 3U);
  EXPECT_EQ(shard_.CountAsked(Interest::kNone), 1U);
}

}  // namespace
}  // namespace backstay
