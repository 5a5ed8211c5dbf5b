// tests/spool/footer_test.cc -- footers and checkpoints as bytes.
#include "spool/footer.h"

#include <gtest/gtest.h>

#include <map>

#include "core/base/random.h"
#include "spool/checkpoint.h"

namespace backstay {
namespace {

const std::map<DomainId, std::string, std::less<>> kNames = {
    {DomainId{0}, "a.example"}, {DomainId{1}, "b.example"}, {DomainId{2}, "c.example"}};

std::string_view NameOf(DomainId domain) {
  return kNames.at(domain);
}

// Names in another order, as another process would meet them.
DomainId InternAnew(std::string_view name) {
  return DomainId{static_cast<uint32_t>(name.empty() ? 0 : 'z' - name[0])};
}

SegmentIndex ThreeMessages() {
  SegmentIndex index;
  const std::vector<DomainId> one = {DomainId{1}};
  const std::vector<DomainId> three = {DomainId{2}, DomainId{0}, DomainId{2}};
  const std::vector<PartEntry> parts = {{7, 64, 4096, 0x1234}, {8, 128, 100, 0x5678}};
  index.Add(64, 1000, one, {}, 300);
  index.Add(80, 1001, three, parts, 9000);
  index.Add(200, 1001, one, {}, 500);
  return index;
}

TEST(Footer, TellsWhatTheScanWouldTell) {
  const SegmentIndex index = ThreeMessages();
  const auto footer = DecodeFooter(EncodeFooter(index, {}, 0xabcd, NameOf), 7, InternAnew);
  ASSERT_TRUE(footer.has_value());
  EXPECT_EQ(footer->last_commit_crc, 0xabcdu);
  const SegmentIndex& back = footer->index;
  ASSERT_EQ(back.messages(), 3u);
  EXPECT_EQ(back.live_recipients(), 5u);
  for (uint32_t message = 0; message < 3; ++message) {
    EXPECT_EQ(back.Block(message), index.Block(message));
    EXPECT_EQ(back.ArrivalSeconds(message), index.ArrivalSeconds(message));
    ASSERT_EQ(back.Recipients(message), index.Recipients(message));
    for (uint32_t recipient = 0; recipient < back.Recipients(message); ++recipient) {
      EXPECT_EQ(back.Domain(message, recipient),
                InternAnew(NameOf(index.Domain(message, recipient))));
    }
  }
  EXPECT_EQ(back.LoadOf(InternAnew("b.example")).bytes, 800u);
  EXPECT_EQ(back.LoadOf(InternAnew("a.example")).bytes, 9000u);
  ASSERT_EQ(back.Parts(1).size(), 2u);
  EXPECT_EQ(back.Parts(1)[1].crc, 0x5678u);
  EXPECT_TRUE(back.Parts(0).empty());
}

std::vector<MovedMessage> OneMoved() {
  return {{{3, 128},
           {7, 300, 9000, 0x42},
           1234,
           {DomainId{2}, DomainId{1}, DomainId{2}},
           {{6, 64, 4096, 0x99}},
           13'096}};
}

TEST(Footer, TellsWhatWasMovedToThere) {
  const auto footer =
      DecodeFooter(EncodeFooter(ThreeMessages(), OneMoved(), 1, NameOf), 7, InternAnew);
  ASSERT_TRUE(footer.has_value());
  EXPECT_EQ(footer->index.messages(), 3u);
  ASSERT_EQ(footer->moved.size(), 1u);
  const MovedMessage& moved = footer->moved[0];
  EXPECT_EQ(moved.home, (MessageRef{3, 128}));
  EXPECT_EQ(moved.record.segment, 7u);
  EXPECT_EQ(moved.record.block, 300u);
  EXPECT_EQ(moved.record.crc, 0x42u);
  EXPECT_EQ(moved.arrival_seconds, 1234u);
  EXPECT_EQ(moved.recipients, (std::vector{InternAnew("c.example"), InternAnew("b.example"),
                                           InternAnew("c.example")}));
  ASSERT_EQ(moved.parts.size(), 1u);
  EXPECT_EQ(moved.parts[0].crc, 0x99u);
  EXPECT_EQ(moved.bytes, 13'096u);
}

TEST(Footer, OfNothingIsOneToo) {
  const auto footer = DecodeFooter(EncodeFooter(SegmentIndex(), {}, 1, NameOf), 7, InternAnew);
  ASSERT_TRUE(footer.has_value());
  EXPECT_EQ(footer->index.messages(), 0u);
}

TEST(Footer, CutAnywhereIsNone) {
  const std::vector<uint8_t> whole = EncodeFooter(ThreeMessages(), OneMoved(), 1, NameOf);
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    EXPECT_FALSE(DecodeFooter(Bytes(whole).first(bytes), 7, InternAnew).has_value()) << bytes;
  }
  std::vector<uint8_t> longer = whole;
  longer.push_back(0);
  EXPECT_FALSE(DecodeFooter(longer, 7, InternAnew).has_value());
}

// The checksum of its record is checked before; behind it nothing may be read out of bounds.
TEST(Footer, ChangedBytesAreRefusedOrWalkable) {
  const std::vector<uint8_t> whole = EncodeFooter(ThreeMessages(), OneMoved(), 1, NameOf);
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::vector<uint8_t> bytes = whole;
    bytes[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    const auto footer = DecodeFooter(bytes, 7, InternAnew);
    for (uint32_t i = 0; footer.has_value() && i < footer->index.messages(); ++i) {
      EXPECT_GT(footer->index.Recipients(i), 0u) << bit;
    }
  }
}

// ---- checkpoints ----

constexpr Checkpoint::Identity kIdentity{4711, 2};

Checkpoint TwoSegments() {
  Checkpoint checkpoint;
  checkpoint.covers = 9;
  checkpoint.segments.resize(2);
  checkpoint.segments[0].number = 7;
  checkpoint.segments[0].generation = 1;
  checkpoint.segments[0].bits = 300;
  checkpoint.segments[0].live.Grow(300);
  checkpoint.segments[0].pending.Grow(300);
  checkpoint.segments[0].live.Set(2);
  checkpoint.segments[0].live.Set(299);
  checkpoint.segments[0].pending.Set(64);
  checkpoint.segments[1].number = 9;
  checkpoint.segments[1].generation = 3;
  checkpoint.segments[1].bits = 65;
  checkpoint.notes[{MessageRef{7, 64}, 2}] = "451 later";
  checkpoint.notes[{MessageRef{9, 80}, 0}] = "";
  checkpoint.moved = {{{2, 64}, {RecipientState::kLive}},
                      {{7, 64}, {RecipientState::kSettled, RecipientState::kPending}}};
  checkpoint.rules = {1, 2, 3};
  checkpoint.accounts = {WallTime::FromNanoseconds(17),
                         {{"a.example", {1, 2, 3, 4, 5, 6}}, {"b.example", {}}}};
  return checkpoint;
}

TEST(Checkpoint, ComesBackAsItWas) {
  const Checkpoint checkpoint = TwoSegments();
  const auto back = Checkpoint::Decode(checkpoint.Encode(kIdentity), kIdentity);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->covers, 9u);
  EXPECT_EQ(back->notes, checkpoint.notes);
  ASSERT_EQ(back->segments.size(), 2u);
  EXPECT_EQ(back->Find(8), nullptr);
  const Checkpoint::SegmentState* state = back->Find(7);
  ASSERT_NE(state, nullptr);
  EXPECT_EQ(state->bits, 300u);
  EXPECT_TRUE(state->live.Get(2));
  EXPECT_FALSE(state->live.Get(3));
  EXPECT_TRUE(state->live.Get(299));
  EXPECT_TRUE(state->pending.Get(64));
  EXPECT_EQ(back->Find(9)->generation, 3u);
  ASSERT_EQ(back->moved.size(), 2u);
  EXPECT_EQ(back->FindMoved({2, 64})->states, checkpoint.moved[0].states);
  EXPECT_EQ(back->FindMoved({7, 64})->states, checkpoint.moved[1].states);
  EXPECT_EQ(back->FindMoved({7, 65}), nullptr);
  EXPECT_EQ(back->rules, checkpoint.rules);
  ASSERT_TRUE(back->accounts.has_value());
  EXPECT_EQ(back->accounts->since, checkpoint.accounts->since);
  ASSERT_EQ(back->accounts->domains.size(), 2u);
  EXPECT_EQ(back->accounts->domains[0].name, "a.example");
  EXPECT_EQ(back->accounts->domains[0].account, checkpoint.accounts->domains[0].account);
}

TEST(Checkpoint, OfAnOlderVersionHasNoAccounts) {
  Checkpoint checkpoint = TwoSegments();
  checkpoint.accounts.reset();
  const auto back = Checkpoint::Decode(checkpoint.Encode(kIdentity), kIdentity);
  ASSERT_TRUE(back.has_value());
  EXPECT_FALSE(back->accounts.has_value());
  EXPECT_EQ(back->rules, checkpoint.rules);
}

TEST(Checkpoint, OfAnotherShardOrNodeIsNone) {
  const std::vector<uint8_t> bytes = TwoSegments().Encode(kIdentity);
  EXPECT_FALSE(Checkpoint::Decode(bytes, {4711, 3}).has_value());
  EXPECT_FALSE(Checkpoint::Decode(bytes, {4712, 2}).has_value());
}

TEST(Checkpoint, EveryFlippedBitAndEveryCutIsSeen) {
  const std::vector<uint8_t> whole = TwoSegments().Encode(kIdentity);
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::vector<uint8_t> bytes = whole;
    bytes[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    EXPECT_FALSE(Checkpoint::Decode(bytes, kIdentity).has_value()) << bit;
  }
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    EXPECT_FALSE(Checkpoint::Decode(Bytes(whole).first(bytes), kIdentity).has_value()) << bytes;
  }
}

}  // namespace
}  // namespace backstay
