// tests/core/queue/deferral_table_test.cc -- order, bound and note codec.
#include "core/queue/deferral_table.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>
#include <vector>

#include "core/base/random.h"
#include "core/queue/deferral_room.h"

namespace backstay {
namespace {

using Key = DeferralTable::Key;

SpoolTime SpoolSecond(int64_t seconds) {
  return SpoolTime::FromNanoseconds(seconds * 1'000'000'000);
}

Deferral DueAt(int64_t seconds) {
  Deferral deferral;
  deferral.next_try = SpoolSecond(seconds);
  return deferral;
}

TEST(DeferralTable, PopsInOrderOfTimeThenKey) {
  DeferralRoom room(10);
  DeferralTable table(room);
  EXPECT_EQ(table.NextDue(), SpoolTime::Max());
  EXPECT_TRUE(table.Insert({2, 1, 0}, DueAt(30)));
  EXPECT_TRUE(table.Insert({1, 1, 1}, DueAt(20)));
  EXPECT_TRUE(table.Insert({1, 1, 0}, DueAt(20)));
  EXPECT_EQ(table.NextDue(), SpoolSecond(20));
  EXPECT_FALSE(table.PopDue(SpoolSecond(20) - absl::Nanoseconds(1)).has_value());
  EXPECT_EQ(table.PopDue(SpoolSecond(25)), (Key{1, 1, 0}));
  EXPECT_EQ(table.PopDue(SpoolSecond(25)), (Key{1, 1, 1}));
  EXPECT_FALSE(table.PopDue(SpoolSecond(25)).has_value());
  EXPECT_EQ(table.PopDue(SpoolSecond(30)), (Key{2, 1, 0}));
  EXPECT_EQ(table.NextDue(), SpoolTime::Max());
}

TEST(DeferralTable, APoppedOneKeepsItsHistory) {
  DeferralRoom room(10);
  DeferralTable table(room);
  Deferral deferral = DueAt(10);
  deferral.first_own = SpoolSecond(1);
  deferral.attempts = 3;
  table.Insert({1, 2, 3}, deferral);
  table.PopDue(SpoolSecond(10));
  ASSERT_NE(table.Find({1, 2, 3}), nullptr);
  EXPECT_EQ(table.Find({1, 2, 3})->attempts, 3u);
  EXPECT_EQ(table.Find({1, 2, 3})->first_own, SpoolSecond(1));
  table.Insert({1, 2, 3}, DueAt(20));
  EXPECT_EQ(table.PopDue(SpoolSecond(20)), (Key{1, 2, 3}));
}

TEST(DeferralTable, ReplacingMovesTheTime) {
  DeferralRoom room(10);
  DeferralTable table(room);
  table.Insert({1, 2, 3}, DueAt(10));
  table.Insert({1, 2, 3}, DueAt(50));
  EXPECT_EQ(table.size(), 1u);
  EXPECT_EQ(table.NextDue(), SpoolSecond(50));
  EXPECT_FALSE(table.PopDue(SpoolSecond(49)).has_value());
  EXPECT_TRUE(table.PopDue(SpoolSecond(50)).has_value());
  EXPECT_FALSE(table.PopDue(SpoolSecond(99)).has_value());
}

TEST(DeferralTable, AFullTableTakesNoNewOneButReplaces) {
  DeferralRoom room(2);
  DeferralTable table(room);
  EXPECT_TRUE(table.Insert({1, 0, 0}, DueAt(1)));
  EXPECT_TRUE(table.Insert({2, 0, 0}, DueAt(2)));
  EXPECT_FALSE(table.Insert({3, 0, 0}, DueAt(0)));
  EXPECT_EQ(table.Find({3, 0, 0}), nullptr);
  EXPECT_EQ(table.NextDue(), SpoolSecond(1));
  EXPECT_TRUE(table.Insert({1, 0, 0}, DueAt(5)));
  table.PopDue(SpoolSecond(2));
  EXPECT_FALSE(table.Insert({3, 0, 0}, DueAt(0)));  // a popped one still counts
  table.Erase({2, 0, 0});
  EXPECT_TRUE(table.Insert({3, 0, 0}, DueAt(0)));
}

// A shard has a table for each primary.
TEST(DeferralTable, TablesShareTheirRoom) {
  DeferralRoom room(3);
  DeferralTable table(room);
  {
    DeferralTable other(room);
    EXPECT_TRUE(other.Insert({1, 0, 0}, DueAt(1)));
    EXPECT_TRUE(other.Insert({2, 0, 0}, DueAt(1)));
    EXPECT_TRUE(table.Insert({1, 0, 0}, DueAt(1)));
    EXPECT_TRUE(table.is_full());
    EXPECT_FALSE(table.Insert({2, 0, 0}, DueAt(1)));
    EXPECT_TRUE(table.Insert({1, 0, 0}, DueAt(2)));
    other.Erase({2, 0, 0});
    other.Erase({2, 0, 0});
    EXPECT_TRUE(table.Insert({2, 0, 0}, DueAt(1)));
    EXPECT_TRUE(table.is_full());
  }
  EXPECT_FALSE(table.is_full()) << "one that is gone holds nothing";
}

TEST(DeferralTable, EraseTakesItOutWaitingOrPopped) {
  DeferralRoom room(10);
  DeferralTable table(room);
  table.Insert({1, 0, 0}, DueAt(1));
  table.Insert({2, 0, 0}, DueAt(2));
  table.PopDue(SpoolSecond(1));
  table.Erase({1, 0, 0});
  table.Erase({2, 0, 0});
  table.Erase({9, 9, 9});
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(table.NextDue(), SpoolTime::Max());
  EXPECT_FALSE(table.PopDue(SpoolSecond(99)).has_value());
}

TEST(DeferralTable, ErasesWhatIsOverWaitingOrPopped) {
  DeferralRoom room(4);
  DeferralTable table(room);
  for (uint32_t block = 1; block <= 4; ++block) {
    ASSERT_TRUE(table.Insert({1, block, 0}, DueAt(block)));
  }
  ASSERT_EQ(table.PopDue(SpoolSecond(1))->block, 1u);
  table.EraseIf([](const DeferralTable::Key& key) { return key.block <= 2; });
  EXPECT_EQ(table.size(), 2u);
  EXPECT_FALSE(room.is_full());
  EXPECT_EQ(table.Find({1, 1, 0}), nullptr);
  EXPECT_EQ(table.PopDue(SpoolSecond(9))->block, 3u);
}

TEST(DeferralTable, RandomOperationsFollowASortedModel) {
  constexpr size_t kMax = 20;
  DeferralRoom room(kMax);
  DeferralTable table(room);
  std::map<Key, std::pair<int64_t, bool>> model;  // next_try, waiting
  Random random(5);
  for (int step = 0; step < 20'000; ++step) {
    const Key key{static_cast<uint32_t>(random.Below(4)), static_cast<uint32_t>(random.Below(4)),
                  static_cast<uint32_t>(random.Below(2))};
    const auto time = static_cast<int64_t>(random.Below(50));
    if (random.Chance(1, 2)) {
      const bool fits = model.contains(key) || model.size() < kMax;
      ASSERT_EQ(table.Insert(key, DueAt(time)), fits);
      if (fits) {
        model[key] = {time, true};
      }
    } else if (random.Chance(1, 4)) {
      table.Erase(key);
      model.erase(key);
    } else {
      std::optional<Key> expected;
      for (auto& [each, state] : model) {
        if (state.second && state.first <= time &&
            (!expected.has_value() || state.first < model[*expected].first)) {
          expected = each;
        }
      }
      ASSERT_EQ(table.PopDue(SpoolSecond(time)), expected);
      if (expected.has_value()) {
        model[*expected].second = false;
      }
    }
    SpoolTime next = SpoolTime::Max();
    for (const auto& [each, state] : model) {
      if (state.second) {
        next = std::min(next, SpoolSecond(state.first));
      }
    }
    ASSERT_EQ(table.NextDue(), next);
    ASSERT_EQ(table.size(), model.size());
  }
}

Deferral Sample() {
  Deferral deferral;
  deferral.next_try = SpoolSecond(123456);
  deferral.last_try = SpoolSecond(123);
  deferral.first_own = SpoolTime::FromNanoseconds(987654321);
  deferral.attempts = 7;
  deferral.code = 451;
  deferral.text = "4.7.1 Greylisted, come back";
  deferral.remote = "mx1.example.com";
  return deferral;
}

TEST(DeferralNote, DecodesToWhatWasEncoded) {
  const std::optional<Deferral> decoded = DecodeDeferralNote(AsBytes(EncodeDeferralNote(Sample())));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->next_try, Sample().next_try);
  EXPECT_EQ(decoded->first_own, Sample().first_own);
  EXPECT_EQ(decoded->attempts, 7u);
  EXPECT_EQ(decoded->code, 451);
  EXPECT_EQ(decoded->text, Sample().text);
  EXPECT_EQ(decoded->refused_since, Sample().refused_since);
  EXPECT_EQ(decoded->remote, Sample().remote);
  EXPECT_FALSE(decoded->is_relayed);
}

// By a version of its own, so that the others are as they were.
TEST(DeferralNote, OneOfARelayedRecipientSaysSo) {
  Deferral relayed = Sample();
  relayed.is_relayed = true;
  std::string note = EncodeDeferralNote(relayed);
  EXPECT_EQ(note[0], 5);
  const std::optional<Deferral> decoded = DecodeDeferralNote(AsBytes(note));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_TRUE(decoded->is_relayed);
  EXPECT_EQ(decoded->remote, Sample().remote);
  note[0] = 4;
  EXPECT_EQ(note, EncodeDeferralNote(Sample()));
}

// The layout is on disk: it may not change without a new version.
TEST(DeferralNote, BytesAreAsTheyWere) {
  Deferral deferral;
  deferral.next_try = SpoolTime::FromNanoseconds(0x0102030405060708);
  deferral.last_try = SpoolTime::FromNanoseconds(0x3132333435363738);
  deferral.first_own = SpoolTime::FromNanoseconds(0x1112131415161718);
  deferral.attempts = 0x21222324;
  deferral.code = 450;
  deferral.text = "hi";
  deferral.refused_since = SpoolTime::FromNanoseconds(0x4142434445464748);
  deferral.remote = "mx";
  const std::string_view expected(
      "\x04"
      "\x08\x07\x06\x05\x04\x03\x02\x01"
      "\x38\x37\x36\x35\x34\x33\x32\x31"
      "\x18\x17\x16\x15\x14\x13\x12\x11"
      "\x24\x23\x22\x21"
      "\xc2\x01"
      "\x02\x00"
      "hi"
      "\x48\x47\x46\x45\x44\x43\x42\x41"
      "\x02"
      "mx",
      46);
  EXPECT_EQ(EncodeDeferralNote(deferral), expected);
}

// What an earlier version wrote says nothing of a refusal.
TEST(DeferralNote, VersionTwoIsRead) {
  std::string note = EncodeDeferralNote(Sample());
  note[0] = 2;
  note.resize(note.size() - 8 - 1 - Sample().remote.size());
  const std::optional<Deferral> decoded = DecodeDeferralNote(AsBytes(note));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->text, Sample().text);
  EXPECT_EQ(decoded->refused_since, SpoolTime());
}

TEST(DeferralNote, VersionThreeIsRead) {
  std::string note = EncodeDeferralNote(Sample());
  note[0] = 3;
  note.resize(note.size() - 1 - Sample().remote.size());
  const std::optional<Deferral> decoded = DecodeDeferralNote(AsBytes(note));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->refused_since, Sample().refused_since);
  EXPECT_EQ(decoded->remote, "");
}

TEST(DeferralNote, NoOtherLengthOrVersionDecodes) {
  const std::string note = EncodeDeferralNote(Sample());
  for (size_t size = 0; size < note.size(); ++size) {
    EXPECT_FALSE(DecodeDeferralNote(AsBytes(note.substr(0, size))).has_value()) << size;
  }
  EXPECT_FALSE(DecodeDeferralNote(AsBytes(note + "x")).has_value());
  for (int version = 0; version < 256; ++version) {
    std::string other = note;
    other[0] = static_cast<char>(version);
    EXPECT_EQ(DecodeDeferralNote(AsBytes(other)).has_value(), version == 4 || version == 5)
        << version;
  }
}

TEST(DeferralNote, LongTextIsCutAndNeverDecodesLonger) {
  Deferral deferral = Sample();
  deferral.text = std::string(600, 'x');
  std::string note = EncodeDeferralNote(deferral);
  ASSERT_TRUE(DecodeDeferralNote(AsBytes(note)).has_value());
  EXPECT_EQ(DecodeDeferralNote(AsBytes(note))->text.size(), 512u);
  note[23] = static_cast<char>(513 & 0xff);
  note += "x";
  EXPECT_FALSE(DecodeDeferralNote(AsBytes(note)).has_value());
}

}  // namespace
}  // namespace backstay
