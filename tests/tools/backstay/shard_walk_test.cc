// tests/tools/backstay/shard_walk_test.cc -- reads as recovery does, and leaves the disk as it was.
#include "tools/backstay/shard_walk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "core/base/log.h"
#include "core/base/mark.h"
#include "tests/spool/spool_harness.h"
#include "tools/backstay/finding.h"
#include "tools/backstay/message_file.h"
#include "tools/backstay/message_walk.h"
#include "tools/backstay/shard_files.h"
#include "tools/backstay/stable_ends.h"

namespace backstay {
namespace {

constexpr const char* kShard = "/spool/shard-000";

// Another machine with a copy of the disk.
class Reader : public FindingEvents {
 public:
  explicit Reader(SpoolHarness& harness) {
    host.disk().CopyFrom(harness.disk());
    io = world.MakeIo(host);
  }
  void OnFinding(const Finding& finding) override { findings.push_back(finding); }

  // `meanwhile`: what a daemon does to the files behind their opening.
  void Walk(
      bool is_in_use = false, absl::FunctionRef<void()> meanwhile = [] {}) {
    files = std::make_unique<ShardFiles>(*io, *io->OpenDirectory(kShard, false),
                                         Catalog::Identity{4711, 2});
    ASSERT_TRUE(files->Open().ok());
    meanwhile();
    walk = std::make_unique<ShardWalk>(*files, is_in_use, *this, nullptr);
    walk->Run();
  }
  uint64_t Count(FindingKind kind) const {
    uint64_t count = 0;
    for (const Finding& finding : findings) {
      count += finding.kind == kind ? 1 : 0;
    }
    return count;
  }
  std::set<MessageRef> Owed(Messages which = Messages::kOwed) {
    std::set<MessageRef> owed;
    ForEachMessage(*files, *walk, which, [&](const StoredMessage& message) {
      owed.insert({message.id.segment, message.id.block});
    });
    return owed;
  }
  // What cat would print; nothing when it is damaged.
  std::optional<std::string> Content(MessageRef place) {
    MessageFile message(*files, place, place);
    std::string content;
    absl::Status status = message.Open();
    if (status.ok()) {
      status = message.ForEachPiece([&](Bytes piece) { content += AsText(piece); });
    }
    return status.ok() ? std::optional(content) : std::nullopt;
  }

  World world{3};
  Host& host = world.AddHost("reader", SocketAddress::V4({10, 0, 0, 2}, 0));
  std::unique_ptr<Io> io;
  std::unique_ptr<ShardFiles> files;
  std::unique_ptr<ShardWalk> walk;
  std::vector<Finding> findings;
};

class ShardWalkTest : public testing::Test {
 protected:
  ShardWalkTest() {
    SetLogSink([](LogLevel, std::string_view) {});
    options.segment_bytes = 64_KiB;
    options.part_bytes = 4_KiB;
  }
  ~ShardWalkTest() override { SetLogSink(nullptr); }

  // Twelve messages, some in parts, over several segments; some settled, one dsn pending.
  void Fill(SpoolHarness& harness) {
    harness.Start();
    for (uint64_t i = 0; i < 12; ++i) {
      const Sent& sent = harness.SendAndWait(TestContent(i, i % 4 == 2 ? 19000 : 2000),
                                             {"a.example", "b.example"});
      ASSERT_EQ(sent.result, CommitResult::kStored);
      contents[sent.message] = sent.prefix + sent.content;
      for (uint32_t recipient = 0; recipient < 2 && i % 3 == 1; ++recipient) {
        harness.Settle(sent.message, recipient);
      }
    }
    harness.Settle(contents.begin()->first, 0, SettleKind::kFailed, "detail");
    harness.Idle(absl::Seconds(1));
  }

  SpoolOptions options = SpoolHarness::SmallOptions();
  std::map<MessageRef, std::string> contents;
};

TEST_F(ShardWalkTest, AWholeShardIsCountedAndItsMessagesReadBack) {
  SpoolHarness harness(1, options);
  Fill(harness);
  const SpoolStats stats = harness.spool->Stats();
  harness.Crash(CrashMode::kNothingUnsynced);
  Reader reader(harness);
  reader.Walk();
  EXPECT_TRUE(reader.findings.empty());
  EXPECT_EQ(reader.walk->counts().messages, 12u);
  EXPECT_EQ(reader.walk->counts().recipients, 24u);
  EXPECT_EQ(reader.walk->index().messages_owed(), stats.messages_live);
  EXPECT_EQ(reader.walk->index().recipients_live(), stats.recipients_live);
  EXPECT_EQ(reader.walk->index().recipients_pending(), 1u);
  EXPECT_EQ(reader.Owed().size(), stats.messages_live);
  EXPECT_EQ(reader.Owed(Messages::kAll).size(), 12u);
  for (const auto& [place, content] : contents) {
    EXPECT_TRUE(reader.Content(place) == content);
    EXPECT_FALSE(reader.Content({place.segment, place.block + 1}).has_value());
  }
}

TEST_F(ShardWalkTest, ADamagedShardIsJudgedAsRecoveryJudgesIt) {
  SpoolHarness original(1, options);
  Fill(original);
  original.Crash(CrashMode::kNothingUnsynced);
  Random random(8);
  int damaged = 0;
  for (int round = 0; round < 300; ++round) {
    SpoolHarness copy(2, options);
    copy.disk().CopyFrom(original.disk());
    copy.DeleteCheckpoints();  // recovery would not read what they cover
    const auto place = contents.begin()->first;
    const std::string path =
        SpoolHarness::SegmentPath(place.segment + static_cast<uint32_t>(random.Below(4)));
    const std::string file = *copy.disk().Contents(path);
    const uint64_t byte = random.Below(file.size());
    const bool is_cut = round % 10 == 9;  // the last segment is prepared only: no damage
    if (is_cut) {
      ASSERT_TRUE(copy.disk().TruncateFile(path, byte));
    } else if (file[byte] == 0) {
      continue;
    } else {
      ASSERT_TRUE(copy.disk().FlipBit(path, byte * 8 + random.Below(8)));
    }
    Reader reader(copy);
    reader.Walk();
    copy.Start();
    const SpoolStats stats = copy.spool->Stats();
    EXPECT_EQ(reader.walk->index().recipients_live(), stats.recipients_live) << path << byte;
    EXPECT_EQ(reader.walk->index().recipients_pending(), stats.recipients_dsn_pending);
    EXPECT_EQ(reader.walk->index().messages_owed(), stats.messages_live);
    EXPECT_EQ(reader.Count(FindingKind::kTorn) > 0, stats.torn_tails > 0) << path << byte;
    // More is damage here: second headers, messages without their parts.
    EXPECT_GE(reader.Count(FindingKind::kDamaged), stats.damaged_records) << path << byte;
    EXPECT_TRUE(is_cut || !reader.findings.empty()) << path << byte;
    for (const MessageRef message : reader.Owed()) {
      const std::optional<std::string> content = reader.Content(message);
      const ReadBack back = copy.Read(message);
      EXPECT_EQ(content.has_value(), back.outcome == ReadOutcome::kOk);
      EXPECT_TRUE(!content.has_value() || *content == contents[message]);
    }
    damaged += reader.Count(FindingKind::kDamaged) > 0 ? 1 : 0;
  }
  EXPECT_GT(damaged, 30);
}

TEST_F(ShardWalkTest, WhatAFailedSyncLeftBehindCountsForNothing) {
  SpoolHarness harness(1, options);
  harness.Start();
  const MessageRef good = harness.SendAndWait(TestContent(1, 3000)).message;
  harness.Idle(absl::Seconds(1));
  Sent& failed = harness.Send(TestContent(99, 3000));
  harness.world.FailDiskOperation(2, IoError::kDevice, false);
  harness.TurnUntil([&] { return failed.committed == 1; });
  ASSERT_EQ(failed.result, CommitResult::kFailed);
  const MessageRef next = harness.SendAndWait(TestContent(2, 3000)).message;
  ASSERT_GT(next.segment, good.segment);
  harness.Idle(absl::Seconds(1));
  for (const bool is_in_use : {true, false}) {
    if (!is_in_use) {
      // The bytes have reached the disk all the same, and look fine.
      const std::string path = SpoolHarness::SegmentPath(good.segment);
      const std::string cached = *harness.disk().Contents(path);
      harness.Crash(CrashMode::kAllUnsynced);
      harness.disk().Put(path, AsBytes(cached));
    }
    Reader reader(harness);
    reader.Walk(is_in_use);
    EXPECT_TRUE(reader.findings.empty());
    EXPECT_EQ(reader.Owed(), (std::set{good, next}));
    EXPECT_TRUE(reader.Content(good).has_value());
    EXPECT_FALSE(reader.Content({good.segment, good.block + 64}).has_value());
  }
}

TEST_F(ShardWalkTest, OutcomesOfSegmentsThatAreGoneAreIgnored) {
  SpoolHarness harness(1, options);
  harness.Start();
  std::vector<MessageRef> messages;
  for (uint64_t i = 0; messages.empty() || messages.back().segment < messages.front().segment + 2;
       ++i) {
    messages.push_back(harness.SendAndWait(TestContent(i, 3000)).message);
  }
  const uint32_t first = messages.front().segment;
  for (const MessageRef message : messages) {
    if (message.segment == first) {
      harness.Settle(message, 0, SettleKind::kFailed);
    }
  }
  harness.Idle(absl::Seconds(1));
  harness.Crash(CrashMode::kNothingUnsynced);
  ASSERT_TRUE(harness.disk().Delete(SpoolHarness::SegmentPath(first)));
  std::erase_if(messages, [&](MessageRef message) { return message.segment == first; });
  Reader reader(harness);
  reader.Walk();
  EXPECT_TRUE(reader.findings.empty()) << reader.findings.front().what;
  EXPECT_EQ(reader.Owed(), (std::set<MessageRef>(messages.begin(), messages.end())));
}

TEST_F(ShardWalkTest, ABatchThatIsHalfWrittenIsNoFindingWhileADaemonRuns) {
  SpoolHarness harness(1, options);
  harness.Start();
  const MessageRef first = harness.SendAndWait(TestContent(1, 2000)).message;
  harness.Idle(absl::Seconds(1));
  const MessageRef last = harness.SendAndWait(TestContent(2, 9000)).message;
  // Its commit record is there already, a block before that not yet.
  const std::string zeros(kBlockBytes, '\0');
  const uint64_t hole = (uint64_t{last.block} * kRecordAlignment / kBlockBytes) * kBlockBytes;
  ASSERT_TRUE(
      harness.disk().Overwrite(SpoolHarness::SegmentPath(last.segment), hole, AsBytes(zeros)));
  Reader stopped(harness);
  stopped.Walk(false);
  EXPECT_EQ(stopped.Count(FindingKind::kTorn), 1u);
  Reader beside(harness);
  beside.Walk(true);
  EXPECT_TRUE(beside.findings.empty());
  EXPECT_EQ(beside.Owed(), std::set{first});
  harness.Idle(absl::Seconds(1));  // the empty batch behind it: now it should have been whole
  Reader later(harness);
  later.Walk(true);
  EXPECT_GE(later.Count(FindingKind::kDamaged), 1u);
}

TEST_F(ShardWalkTest, ALogThatIsBeingWrittenHasNoDamageWhereverItStands) {
  SpoolHarness harness(1, options);
  harness.Start();
  for (uint64_t i = 0; i < 200; ++i) {
    harness.Send(TestContent(i, i % 5 == 2 ? 9000 : 1500));
    harness.Turn(absl::Microseconds(150));
    uint64_t committed = 0;
    for (const auto& sent : harness.sent) {
      committed += sent->committed > 0 ? 1 : 0;
    }
    Reader reader(harness);
    reader.Walk(true);
    EXPECT_TRUE(reader.findings.empty()) << i << reader.findings.front().what;
    EXPECT_LE(reader.walk->counts().messages, i + 1);
    // Behind what is read there is one batch that may be whole, and one that is not.
    EXPECT_GE(reader.walk->counts().messages + 100, committed);
  }
  harness.Idle(absl::Seconds(1));
  Reader reader(harness);
  reader.Walk(true);
  EXPECT_EQ(reader.walk->counts().messages, 200u);
}

// Dead segments are cut piece by piece, or become others, under the eyes of who opened them.
TEST_F(ShardWalkTest, SegmentsThatGoWhileTheyAreReadAreNoDamage) {
  SpoolHarness harness(1, options);
  Fill(harness);
  const uint32_t first = contents.begin()->first.segment;
  const uint32_t last = contents.rbegin()->first.segment;
  ASSERT_GT(last, first + 1);
  const auto write_over = [&](Disk& disk, const std::string& path) {
    SegmentHeader other;
    other.node = 4711;
    other.shard = 2;
    other.segment = last + 100;
    other.generation = 2;
    other.segment_bytes = options.segment_bytes;
    other.salt = 77;
    std::vector<uint8_t> block(kBlockBytes);
    SealSegmentHeader(other, block);
    ASSERT_TRUE(disk.Overwrite(path, 0, block));
    ASSERT_TRUE(disk.Overwrite(path, kDataStart, std::vector<uint8_t>(5 * kBlockBytes, 0x5a)));
  };
  const std::optional<uint64_t> left_of_it[] = {0, 20'000, options.segment_bytes - kBlockBytes,
                                                std::nullopt};
  for (const std::optional<uint64_t>& left : left_of_it) {
    for (uint32_t number = first; number < last; ++number) {
      Reader reader(harness);
      const std::string path = SpoolHarness::SegmentPath(number);
      reader.Walk(/*is_in_use=*/true, [&] {
        if (left.has_value()) {
          ASSERT_TRUE(reader.host.disk().TruncateFile(path, *left));
        } else {
          write_over(reader.host.disk(), path);
        }
      });
      EXPECT_EQ(reader.Count(FindingKind::kDamaged) + reader.Count(FindingKind::kUnreadable), 0u)
          << number << " " << reader.findings.front().what;
      EXPECT_EQ(reader.Count(FindingKind::kNote), 1u);
      const auto is_there = [&](const auto& message) { return message.first.segment != number; };
      EXPECT_EQ(reader.walk->counts().messages,
                static_cast<uint64_t>(std::count_if(contents.begin(), contents.end(), is_there)));
      for (const MessageRef message : reader.Owed()) {
        EXPECT_NE(message.segment, number);
      }
    }
  }
}

// What was cut or torn before it was opened, or stands in a file that stays, is damage beside a
// daemon as well.
TEST_F(ShardWalkTest, DamageBesideADaemonIsTold) {
  SpoolHarness harness(1, options);
  Fill(harness);
  const MessageRef place = contents.begin()->first;
  const std::string path = SpoolHarness::SegmentPath(place.segment);
  Reader cut(harness);
  ASSERT_TRUE(cut.host.disk().TruncateFile(path, 20'000));
  cut.Walk(/*is_in_use=*/true);
  EXPECT_GE(cut.Count(FindingKind::kDamaged), 1u);
  Reader flipped(harness);
  const uint64_t bit = (uint64_t{place.block} * kRecordAlignment + 100) * 8;
  flipped.Walk(/*is_in_use=*/true, [&] { ASSERT_TRUE(flipped.host.disk().FlipBit(path, bit)); });
  EXPECT_GE(flipped.Count(FindingKind::kDamaged), 1u);
  Reader second(harness);
  second.Walk(/*is_in_use=*/true, [&] {
    ASSERT_TRUE(second.host.disk().FlipBit(path, (options.segment_bytes - kBlockBytes + 9) * 8));
  });
  EXPECT_GE(second.Count(FindingKind::kDamaged), 1u);
}

TEST_F(ShardWalkTest, NothingOnTheDiskChanges) {
  SpoolHarness harness(1, options);
  Fill(harness);
  harness.Crash(CrashMode::kNothingUnsynced);
  const MessageRef place = contents.begin()->first;
  const uint64_t byte = uint64_t{place.block} * kRecordAlignment + 100;
  ASSERT_TRUE(harness.disk().FlipBit(SpoolHarness::SegmentPath(place.segment), byte * 8));
  Reader reader(harness);
  reader.Walk();
  EXPECT_GE(reader.Count(FindingKind::kDamaged), 1u);
  EXPECT_TRUE(harness.QuarantineFiles().empty());
  for (const std::string& file : harness.SegmentFiles()) {
    const std::string full = std::string(kShard) + "/" + file;
    EXPECT_TRUE(reader.host.disk().Contents(full) == harness.disk().Contents(full)) << full;
  }
  const std::vector<DirectoryEntry> entries =
      *reader.io->List(*reader.io->OpenDirectory(kShard, false));
  EXPECT_EQ(entries.size(), harness.disk().List(kShard).size());
}

// As a start does.
TEST_F(ShardWalkTest, ACheckpointThatDoesNotFitGivesWayToTheOneBefore) {
  SpoolHarness harness(1, options);
  Fill(harness);
  const SpoolStats stats = harness.spool->Stats();
  harness.Crash(CrashMode::kNothingUnsynced);
  const std::vector<std::string> paths = harness.CheckpointPaths();
  ASSERT_GE(paths.size(), 2u);
  const Checkpoint::Identity identity{4711, 2};
  auto newest = Checkpoint::Decode(AsBytes(*harness.disk().Contents(paths.back())), identity);
  ASSERT_TRUE(newest.has_value() && !newest->segments.empty());
  ++newest->segments.front().generation;
  harness.disk().Put(paths.back(), newest->Encode(identity));
  const uint64_t tried = MarkCount("older checkpoint tried");
  const uint64_t misfits = MarkCount("checkpoint does not fit");
  Reader reader(harness);
  reader.Walk();
  EXPECT_EQ(MarkCount("older checkpoint tried"), tried + 1);
  EXPECT_EQ(MarkCount("checkpoint does not fit"), misfits + 1);
  EXPECT_TRUE(reader.findings.empty());
  EXPECT_EQ(reader.walk->index().recipients_live(), stats.recipients_live);
}

}  // namespace
}  // namespace backstay
