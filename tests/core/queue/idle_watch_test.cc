// tests/core/queue/idle_watch_test.cc -- the silent are called in time, once, and in order.
#include "core/queue/idle_watch.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace backstay {
namespace {

constexpr IdleWatch::Limits kLimits = {absl::Minutes(5), absl::Seconds(2), absl::Seconds(30),
                                       absl::Minutes(5), absl::Seconds(5)};

class Guest final : public Watched {
 public:
  Guest(std::string name, std::string& calls) : name_(std::move(name)), calls_(calls) {}
  void OnSilence() override {
    calls_ += name_;
    if (on_silence) {
      on_silence();
    }
  }
  std::function<void()> on_silence;

 private:
  const std::string name_;
  std::string& calls_;
};

class IdleWatchTest : public testing::Test {
 protected:
  Instant At(absl::Duration after) const { return Instant() + absl::Hours(1) + after; }

  IdleWatch watch_{kLimits};
  std::string calls_;
  Guest a_{"a", calls_};
  Guest b_{"b", calls_};
};

TEST_F(IdleWatchTest, CallsTheSilentWhenTheirTimeIsOverAndNotBefore) {
  EXPECT_TRUE(watch_.empty());
  EXPECT_EQ(watch_.NextDue(), Instant::Max());
  watch_.Watch(a_, Patience::kIdle, At(absl::ZeroDuration()));
  watch_.Watch(b_, Patience::kIdle, At(absl::Seconds(1)));
  EXPECT_EQ(watch_.NextDue(), At(absl::Minutes(5)));
  watch_.Advance(At(absl::Minutes(5) - absl::Nanoseconds(1)));
  EXPECT_EQ(calls_, "");
  watch_.Advance(At(absl::Minutes(5)));
  EXPECT_EQ(calls_, "a");
  watch_.Advance(At(absl::Minutes(5) + absl::Seconds(1)));
  EXPECT_EQ(calls_, "ab");
}

TEST_F(IdleWatchTest, ProgressBeginsTheTimeAgain) {
  watch_.Watch(a_, Patience::kIdle, At(absl::ZeroDuration()));
  watch_.Watch(b_, Patience::kIdle, At(absl::Seconds(1)));
  watch_.Progress(a_, At(absl::Minutes(3)));
  watch_.Advance(At(absl::Minutes(6)));
  EXPECT_EQ(calls_, "b");
  watch_.Advance(At(absl::Minutes(8)));
  EXPECT_EQ(calls_, "ba");
}

TEST_F(IdleWatchTest, EachLineHasItsOwnPatience) {
  watch_.Watch(a_, Patience::kIdle, At(absl::ZeroDuration()));
  watch_.Watch(b_, Patience::kHandshake, At(absl::ZeroDuration()));
  EXPECT_EQ(watch_.NextDue(), At(absl::Seconds(30)));
  watch_.Advance(At(absl::Seconds(30)));
  EXPECT_EQ(calls_, "b");
  watch_.Watch(a_, Patience::kGoodbye, At(absl::Seconds(30)));
  EXPECT_EQ(a_.patience(), Patience::kGoodbye);
  watch_.Advance(At(absl::Seconds(32)));
  EXPECT_EQ(calls_, "ba");
}

TEST_F(IdleWatchTest, WhoStaysSilentIsCalledOnceEachTime) {
  watch_.Watch(a_, Patience::kProxyHeader, At(absl::ZeroDuration()));
  watch_.Advance(At(absl::Seconds(17)));
  EXPECT_EQ(calls_, "a") << "not for the time that passed before anybody looked";
  EXPECT_EQ(watch_.NextDue(), At(absl::Seconds(22)));
}

TEST_F(IdleWatchTest, WhoIsCalledMayLeaveOrDieOrTakeOthersAlong) {
  auto mortal = std::make_unique<Guest>("m", calls_);
  watch_.Watch(a_, Patience::kIdle, At(absl::ZeroDuration()));
  watch_.Watch(*mortal, Patience::kIdle, At(absl::ZeroDuration()));
  watch_.Watch(b_, Patience::kIdle, At(absl::ZeroDuration()));
  a_.on_silence = [&] { mortal.reset(); };
  b_.on_silence = [&] { watch_.Leave(b_); };
  watch_.Advance(At(absl::Minutes(5)));
  EXPECT_EQ(calls_, "ab");
  EXPECT_FALSE(b_.linked());
  EXPECT_EQ(watch_.All(), std::vector<Watched*>{&a_});
}

TEST_F(IdleWatchTest, NewLimitsHoldForThoseWhoWait) {
  watch_.Watch(a_, Patience::kIdle, At(absl::ZeroDuration()));
  IdleWatch::Limits limits = kLimits;
  limits[static_cast<size_t>(Patience::kIdle)] = absl::Minutes(1);
  watch_.SetLimits(limits);
  EXPECT_EQ(watch_.NextDue(), At(absl::Minutes(1)));
}

// A lower limit, for instance, ends the time of a whole crowd at once.
TEST_F(IdleWatchTest, ACrowdIsCalledInPieces) {
  constexpr size_t kCrowd = 2 * IdleWatch::kPerAdvance + 10;
  std::vector<std::unique_ptr<Guest>> crowd;
  for (size_t count = 0; count < kCrowd; ++count) {
    crowd.push_back(std::make_unique<Guest>("c", calls_));
    watch_.Watch(*crowd.back(), Patience::kIdle, At(absl::ZeroDuration()));
  }
  watch_.Watch(b_, Patience::kHandshake, At(absl::ZeroDuration()));
  const Instant now = At(absl::Minutes(5));
  watch_.Advance(now);
  EXPECT_EQ(calls_, std::string(IdleWatch::kPerAdvance, 'c') + "b") << "each line has its piece";
  EXPECT_LE(watch_.NextDue(), now) << "the others are not waited for";
  watch_.Advance(now);
  watch_.Advance(now);
  EXPECT_EQ(calls_.size(), kCrowd + 1);
  EXPECT_GT(watch_.NextDue(), now);
}

TEST_F(IdleWatchTest, AllAreThoseOfEveryLine) {
  watch_.Watch(a_, Patience::kGoodbye, At(absl::ZeroDuration()));
  watch_.Watch(b_, Patience::kIdle, At(absl::ZeroDuration()));
  EXPECT_EQ(watch_.All(), (std::vector<Watched*>{&b_, &a_}));
  EXPECT_FALSE(watch_.empty());
  watch_.Leave(a_);
  watch_.Leave(b_);
  EXPECT_TRUE(watch_.empty());
}

}  // namespace
}  // namespace backstay
