// tests/core/policy/recipient_knowledge_test.cc -- the rules of DESIGN 7, row by row.
#include "core/policy/recipient_knowledge.h"

#include <gtest/gtest.h>

#include <optional>

namespace backstay {
namespace {

using Kind = Knowledge::Kind;
using Action = RecipientAction;
using Health = PrimaryHealth;

const WallTime kNow = WallTime::FromNanoseconds(int64_t{1'790'000'040} * 1'000'000'000);

std::optional<Knowledge> Known(Kind kind, absl::Duration ago) {
  return Knowledge(kind, kNow - ago);
}

TEST(Knowledge, SurvivesItsBits) {
  const Knowledge known(Kind::kDoubted, kNow);
  const std::optional<Knowledge> read = Knowledge::FromBits(known.bits());
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->kind(), Kind::kDoubted);
  EXPECT_EQ(read->at(), kNow);
  EXPECT_FALSE(Knowledge::FromBits(UINT32_MAX).has_value());
}

TEST(Knowledge, ActionsFollowAgeAndHealth) {
  const struct {
    std::optional<Knowledge> known;
    Action up;
    Action unsure;
    Action away;
  } rows[] = {
      {std::nullopt, Action::kAsk, Action::kLater, Action::kLater},
      {Known(Kind::kPositive, absl::Hours(1)), Action::kAccept, Action::kAccept, Action::kAccept},
      {Known(Kind::kPositive, absl::Hours(-1)), Action::kAccept, Action::kAccept, Action::kAccept},
      {Known(Kind::kPositive, absl::Hours(7 * 24)), Action::kAcceptAndAsk, Action::kAccept,
       Action::kAccept},
      {Known(Kind::kPositive, absl::Hours(31 * 24)), Action::kAsk, Action::kLater, Action::kLater},
      {Known(Kind::kNegative, absl::Minutes(179)), Action::kRefuse, Action::kRefuse,
       Action::kRefuse},
      {Known(Kind::kNegative, absl::Hours(3)), Action::kAsk, Action::kLater, Action::kLater},
      {Known(Kind::kDoubted, absl::Minutes(59)), Action::kAccept, Action::kAccept, Action::kAccept},
      {Known(Kind::kDoubted, absl::Hours(1)), Action::kAcceptAndAsk, Action::kAccept,
       Action::kAccept},
      // Learned while the clock was five years ahead.
      {Known(Kind::kNegative, absl::Hours(-5 * 8766)), Action::kAsk, Action::kLater,
       Action::kLater},
      {Known(Kind::kPositive, absl::Hours(-5 * 8766)), Action::kAcceptAndAsk, Action::kAccept,
       Action::kAccept},
      {Known(Kind::kDoubted, absl::Hours(-5 * 8766)), Action::kAcceptAndAsk, Action::kAccept,
       Action::kAccept},
      {Known(Kind::kNegative, absl::Hours(-1)), Action::kRefuse, Action::kRefuse, Action::kRefuse},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(ActionFor(row.known, false, Health::kUp, kNow), row.up);
    EXPECT_EQ(ActionFor(row.known, false, Health::kUnsure, kNow), row.unsure);
    EXPECT_EQ(ActionFor(row.known, false, Health::kAway, kNow), row.away);
    // Of a catch-all only what it has refused since is refused.
    EXPECT_EQ(ActionFor(row.known, true, Health::kAway, kNow),
              row.away == Action::kRefuse ? Action::kRefuse : Action::kAccept);
  }
}

// Also what is known of a whole domain: a doubt of a week would be a catch-all for a week.
TEST(Knowledge, IsAskedAgainWhenItIsStale) {
  const struct {
    Kind kind;
    absl::Duration stale_after;
  } rows[] = {{Kind::kPositive, absl::Hours(7 * 24)},
              {Kind::kDoubted, absl::Hours(1)},
              {Kind::kNegative, absl::Hours(3)}};
  for (const auto& row : rows) {
    EXPECT_FALSE(Known(row.kind, row.stale_after - absl::Minutes(1))->IsStale(kNow));
    EXPECT_TRUE(Known(row.kind, row.stale_after)->IsStale(kNow));
    EXPECT_TRUE(Known(row.kind, absl::Hours(-2))->IsStale(kNow));  // the clock was ahead
  }
}

TEST(Knowledge, LearnsAPositiveAtOnceAndAlways) {
  for (const Health health : {Health::kUp, Health::kUnsure, Health::kAway}) {
    for (const auto& known : {std::optional<Knowledge>(), Known(Kind::kNegative, absl::Hours(1)),
                              Known(Kind::kDoubted, absl::Hours(1))}) {
      const auto learned = Learn(known, true, health, kNow);
      ASSERT_TRUE(learned.has_value());
      EXPECT_EQ(learned->kind(), Kind::kPositive);
    }
  }
}

TEST(Knowledge, ANegativeReplacesAPositiveOnlyTheSecondTimeAndAnHourLater) {
  const auto kind_after = [](std::optional<Knowledge> known) {
    const auto learned = Learn(known, false, Health::kUp, kNow);
    return learned.has_value() ? std::optional(learned->kind()) : std::nullopt;
  };
  EXPECT_EQ(kind_after(std::nullopt), Kind::kNegative);
  EXPECT_EQ(kind_after(Known(Kind::kNegative, absl::Hours(1))), Kind::kNegative);
  EXPECT_EQ(kind_after(Known(Kind::kPositive, absl::Hours(1))), Kind::kDoubted);
  EXPECT_EQ(kind_after(Known(Kind::kPositive, absl::Hours(31 * 24))), Kind::kNegative);
  EXPECT_EQ(kind_after(Known(Kind::kDoubted, absl::Minutes(59))), std::nullopt);
  EXPECT_EQ(kind_after(Known(Kind::kDoubted, absl::Minutes(60))), Kind::kNegative);
}

TEST(Knowledge, WhatWasLearnedByAClockThatWasAheadIsLearnedAnew) {
  for (const auto& [kind, after] : {std::pair(Kind::kPositive, Kind::kDoubted),
                                    {Kind::kDoubted, Kind::kDoubted},
                                    {Kind::kNegative, Kind::kNegative}}) {
    const auto learned = Learn(Known(kind, absl::Hours(-8766)), false, Health::kUp, kNow);
    ASSERT_TRUE(learned.has_value());
    EXPECT_EQ(learned->kind(), after);
    EXPECT_LE(learned->at(), kNow);
  }
}

TEST(Knowledge, NoNegativeIsLearnedWhileThePrimaryIsNotPlainlyUp) {
  for (const Health health : {Health::kUnsure, Health::kAway}) {
    EXPECT_FALSE(Learn(std::nullopt, false, health, kNow).has_value());
    EXPECT_FALSE(Learn(Known(Kind::kDoubted, absl::Hours(2)), false, health, kNow).has_value());
  }
}

}  // namespace
}  // namespace backstay
