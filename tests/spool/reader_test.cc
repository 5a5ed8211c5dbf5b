// tests/spool/reader_test.cc -- reading back: damage, devices that fail, closing in the middle.
#include "spool/message_reader.h"

#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

class Silent : public MessageReaderEvents {
 public:
  void OnHead(ReadOutcome) override { ++events; }
  void OnContent(ReadOutcome, Bytes) override { ++events; }
  int events = 0;
};

void FlipIn(SpoolHarness& harness, const Sent& sent, std::string_view needle) {
  const std::string path = SpoolHarness::SegmentPath(sent.message.segment);
  const size_t at = harness.disk().Contents(path)->find(needle);
  ASSERT_NE(at, std::string::npos);
  ASSERT_TRUE(harness.disk().FlipBit(path, at * 8));
}

TEST(MessageReader, FlippedContentIsNeverHandedOut) {
  SpoolHarness harness;
  harness.Start();
  Sent& damaged = harness.SendAndWait(TestContent(1, 5000));
  Sent& other = harness.SendAndWait(TestContent(2, 5000));
  FlipIn(harness, damaged, std::string_view(damaged.content).substr(2000, 16));
  EXPECT_EQ(harness.Read(damaged.message).outcome, ReadOutcome::kDamaged);
  EXPECT_EQ(harness.Read(damaged.message).content, "");
  EXPECT_GE(harness.spool->Stats().damaged_records, 1u);
  harness.ExpectWhole(other);
}

TEST(MessageReader, ADamagedPartEndsTheContentThere) {
  SpoolHarness harness;
  harness.Start();
  Sent& sent = harness.SendAndWait(TestContent(1, 60_KiB));
  FlipIn(harness, sent, std::string_view(sent.content).substr(20_KiB, 16));
  const ReadBack back = harness.Read(sent.message);
  EXPECT_EQ(back.outcome, ReadOutcome::kDamaged);
  EXPECT_TRUE(back.content == sent.prefix + sent.content.substr(0, 16_KiB));
}

TEST(MessageReader, AFailingDeviceIsNotDamage) {
  SpoolHarness harness;
  harness.Start();
  Sent& sent = harness.SendAndWait(TestContent(1, 5000));
  harness.Idle(absl::Seconds(1));
  harness.world.FailDiskOperation(1, IoError::kDevice, false);
  EXPECT_EQ(harness.Read(sent.message).outcome, ReadOutcome::kUnreadable);
  EXPECT_EQ(harness.spool->Stats().damaged_records, 0u);
  harness.ExpectWhole(sent);
}

TEST(MessageReader, APlaceWithoutAMessageIsDamage) {
  SpoolHarness harness;
  harness.Start();
  const MessageRef message = harness.SendAndWait(TestContent(1, 5000)).message;
  EXPECT_EQ(harness.Read({message.segment, message.block + 1}).outcome, ReadOutcome::kDamaged);
  EXPECT_EQ(harness.Read({message.segment + 50, 64}).outcome, ReadOutcome::kDamaged);
  EXPECT_EQ(harness.Read({message.segment, (1u << 24) - 1}).outcome, ReadOutcome::kDamaged);
}

TEST(MessageReader, CloseInTheMiddleIsSilent) {
  SpoolHarness harness;
  harness.Start();
  Sent& sent = harness.SendAndWait(TestContent(1, 60_KiB));
  Silent silent;
  MessageReader reader(*harness.spool, silent);
  reader.Open(sent.message);
  EXPECT_TRUE(reader.busy());
  reader.Close();
  ASSERT_TRUE(harness.TurnUntil([&] { return !reader.busy(); }));
  EXPECT_EQ(silent.events, 0);
  reader.Open(sent.message);
  ASSERT_TRUE(harness.TurnUntil([&] { return silent.events == 1; }));
  EXPECT_EQ(reader.head().arrival_wall, WallTime::FromNanoseconds(77));
  reader.Close();
}

// Damage that is found while other damage is copied waits for its turn.
TEST(MessageReader, DamageFoundWhileOtherIsCopiedIsCopiedBeforeTheEnd) {
  SpoolHarness harness;
  harness.Start();
  Sent& first = harness.SendAndWait(TestContent(1, 5000));
  Sent& second = harness.SendAndWait(TestContent(2, 5000));
  harness.Idle(absl::Seconds(1));
  FlipIn(harness, first, std::string_view(first.content).substr(2000, 16));
  FlipIn(harness, second, std::string_view(second.content).substr(2000, 16));
  Silent silent;
  MessageReader of_first(*harness.spool, silent);
  MessageReader of_second(*harness.spool, silent);
  of_first.Open(first.message);
  ASSERT_TRUE(harness.TurnUntil([&] { return silent.events == 1; }));
  of_second.Open(second.message);
  ASSERT_TRUE(harness.TurnUntil([&] { return silent.events == 2; }));
  ASSERT_LT(harness.QuarantineFiles().size(), 2U);
  harness.spool->Close();
  for (int turn = 0; turn < 100 && !harness.spool->idle(); ++turn) {
    harness.spool->ReclaimStep();
    harness.io->Turn(harness.io->Now() + absl::Milliseconds(10));
    harness.spool->CommitTurn();
  }
  EXPECT_TRUE(harness.spool->idle());
  EXPECT_EQ(harness.QuarantineFiles().size(), 2U);
}

TEST(MessageReader, ASegmentIsNotTakenAwayUnderAReader) {
  SpoolHarness harness;
  harness.Start();
  Sent& sent = harness.SendAndWait(TestContent(1, 60_KiB));
  harness.Settle(sent.message, 0);
  harness.ExpectWhole(sent);  // still there while its segment is
}

}  // namespace
}  // namespace backstay
