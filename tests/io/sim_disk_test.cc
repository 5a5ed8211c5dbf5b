// tests/io/sim_disk_test.cc -- what a simulated disk keeps across syncs, failed syncs and crashes.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "io/sim/disk.h"
#include "io/sim/sim_file.h"
#include "tests/io/sim_support.h"

namespace backstay {
namespace {

constexpr char kFile[] = "/spool/log";

// A program with one durable, empty file open.
class SimDisk : public ::testing::Test {
 protected:
  SimDisk()
      : world_(1),
        host_(world_.AddHost("mx2", TestAddress(1))),
        program_(world_, host_),
        directory_(program_.Directory()),
        file_(program_.Open(directory_, "log").fd()) {
    EXPECT_TRUE(program_.SyncDirectory(directory_).ok());
  }

  void Crash(CrashMode mode) {
    program_.Crash(mode);
    directory_ = program_.Directory();
  }
  std::string Contents() { return host_.disk().Contents(kFile).value_or("(no file)"); }

  World world_;
  Host& host_;
  Program program_;
  Fd directory_;
  Fd file_;
};

// ---- data ----

TEST_F(SimDisk, SyncedBytesSurviveEveryCrash) {
  for (const CrashMode mode :
       {CrashMode::kNothingUnsynced, CrashMode::kRandom, CrashMode::kAllUnsynced}) {
    file_ = program_.Open(directory_, "log").fd();
    ASSERT_EQ(program_.Write(file_, "acknowledged", 0).count(), 12u);
    ASSERT_TRUE(program_.SyncData(file_).ok());
    Crash(mode);
    EXPECT_EQ(Contents(), "acknowledged");
  }
}

TEST_F(SimDisk, UnsyncedBytesAreLostWhenNothingUnsyncedSurvives) {
  program_.Write(file_, "promise", 0);
  EXPECT_EQ(Contents(), "promise");
  EXPECT_EQ(host_.disk().DurableContents(kFile), "");
  Crash(CrashMode::kNothingUnsynced);
  EXPECT_EQ(Contents(), "");
}

TEST_F(SimDisk, KilledProcessLeavesThePageCacheWhichIsStillNotDurable) {
  program_.Write(file_, "cached", 0);
  Crash(CrashMode::kAllUnsynced);
  EXPECT_EQ(Contents(), "cached");
  Crash(CrashMode::kNothingUnsynced);
  EXPECT_EQ(Contents(), "");
}

TEST_F(SimDisk, SyncAfterAKillCoversWhatTheDeadProcessWrote) {
  program_.Write(file_, "cached", 0);
  Crash(CrashMode::kAllUnsynced);
  file_ = program_.Open(directory_, "log").fd();
  ASSERT_TRUE(program_.SyncData(file_).ok());
  Crash(CrashMode::kNothingUnsynced);
  EXPECT_EQ(Contents(), "cached");
}

TEST_F(SimDisk, SyncDoesNotCoverAWriteThatCompletesAfterItsSubmission) {
  Recorder write;
  Recorder sync;
  program_.io().Write(&write, file_, AsBytes("late"), Offset{0});
  program_.io().SyncData(&sync, file_);
  program_.Wait(write);
  program_.Wait(sync);
  ASSERT_TRUE(sync.last.ok());
  EXPECT_EQ(Contents(), "late");
  Crash(CrashMode::kNothingUnsynced);
  EXPECT_EQ(Contents(), "");
}

TEST_F(SimDisk, WriteTakesTheBytesWhenItCompletes) {
  std::string buffer = "before";
  Recorder write;
  program_.io().Write(&write, file_, AsBytes(buffer), Offset{0});
  buffer = "after!";
  program_.Wait(write);
  EXPECT_EQ(Contents(), "after!");
}

TEST_F(SimDisk, RandomCrashKeepsSomeOfTheUnsyncedWritesAndTearsAtSectors) {
  const std::string old_bytes(4096, 'o');
  const std::string new_bytes(4096, 'n');
  std::set<size_t> kept_counts;
  for (int round = 0; round < 60; ++round) {
    file_ = program_.Open(directory_, "log").fd();
    program_.Write(file_, old_bytes, 0);
    ASSERT_TRUE(program_.SyncData(file_).ok());
    program_.Write(file_, new_bytes, 0);
    Crash(CrashMode::kRandom);
    const std::string found = Contents();
    ASSERT_EQ(found.size(), 4096u);
    size_t kept = 0;
    for (size_t sector = 0; sector < 4096; sector += 512) {
      const std::string_view bytes = std::string_view(found).substr(sector, 512);
      ASSERT_TRUE(bytes == std::string_view(old_bytes).substr(0, 512) ||
                  bytes == std::string_view(new_bytes).substr(0, 512));
      kept += bytes[0] == 'n' ? 1 : 0;
    }
    kept_counts.insert(kept);
  }
  EXPECT_TRUE(kept_counts.contains(0));
  EXPECT_TRUE(kept_counts.contains(8));
  EXPECT_GT(kept_counts.size(), 3u);  // torn ones
}

TEST_F(SimDisk, OfTwoWritesToOneSectorTheSecondNeverSurvivesAlone) {
  bool only_first = false;
  for (int round = 0; round < 60; ++round) {
    file_ = program_.Open(directory_, "log").fd();
    program_.Write(file_, "....", 0);
    ASSERT_TRUE(program_.SyncData(file_).ok());
    program_.Write(file_, "11", 0);
    program_.Write(file_, "22", 2);
    Crash(CrashMode::kRandom);
    EXPECT_NE(Contents(), "..22");
    only_first = only_first || Contents() == "11..";
  }
  EXPECT_TRUE(only_first);
}

TEST_F(SimDisk, SizeAndBytesSurviveIndependently) {
  std::set<std::string> seen;
  for (int round = 0; round < 80; ++round) {
    file_ = program_.Open(directory_, "log").fd();
    program_.Truncate(file_, 0);
    ASSERT_TRUE(program_.SyncData(file_).ok());
    program_.Write(file_, "ab", 0);
    Crash(CrashMode::kRandom);
    seen.insert(Contents());
  }
  EXPECT_EQ(seen, (std::set<std::string>{"", "ab", std::string(2, '\0')}));
}

TEST_F(SimDisk, AllocatedSpaceReadsAsZerosAndItsSizeNeedsASync) {
  ASSERT_TRUE(program_.Allocate(file_, 1000).ok());
  EXPECT_EQ(program_.Read(file_, 0, 2000), std::string(1000, '\0'));
  Crash(CrashMode::kNothingUnsynced);
  EXPECT_EQ(Contents(), "");
  file_ = program_.Open(directory_, "log").fd();
  ASSERT_TRUE(program_.Allocate(file_, 1000).ok());
  ASSERT_TRUE(program_.SyncData(file_).ok());
  Crash(CrashMode::kNothingUnsynced);
  EXPECT_EQ(Contents(), std::string(1000, '\0'));
}

TEST_F(SimDisk, WriteInFlightAtACrashMayHaveHappenedInPart) {
  std::set<size_t> sizes;
  for (int round = 0; round < 60; ++round) {
    file_ = program_.Open(directory_, "log").fd();
    program_.Truncate(file_, 0);
    ASSERT_TRUE(program_.SyncData(file_).ok());
    Recorder write;
    program_.io().Write(&write, file_, AsBytes("abcdefgh"), Offset{0});
    Crash(CrashMode::kAllUnsynced);
    EXPECT_FALSE(write.in_flight);
    EXPECT_EQ(write.events, 0);
    sizes.insert(Contents().size());
  }
  EXPECT_TRUE(sizes.contains(0));
  EXPECT_TRUE(sizes.contains(8));
  EXPECT_GT(sizes.size(), 3u);
}

// ---- failed syncs ----

TEST_F(SimDisk, FailedSyncLeavesBytesReadableButNeverDurable) {
  program_.Write(file_, "lost", 0);
  world_.FailDiskOperation(1, IoError::kDevice, /*from_then_on=*/false);
  EXPECT_EQ(program_.SyncData(file_).error(), IoError::kDevice);
  EXPECT_EQ(program_.Read(file_, 0, 10), "lost");
  EXPECT_TRUE(program_.SyncData(file_).ok());  // the kernel has nothing left to report
  Crash(CrashMode::kNothingUnsynced);
  EXPECT_EQ(Contents(), "");
}

TEST_F(SimDisk, DirectReadShowsWhatTheDeviceHas) {
  program_.Write(file_, "old1old2", 0);
  ASSERT_TRUE(program_.SyncData(file_).ok());
  program_.Write(file_, "lost", 0);
  world_.FailDiskOperation(1, IoError::kDevice, false);
  ASSERT_FALSE(program_.SyncData(file_).ok());
  program_.Write(file_, "new!", 4);  // not synced, but write-back brings it to the device
  const Fd direct = program_.Open(directory_, "log", OpenMode::kReadDirect).fd();
  EXPECT_EQ(program_.Read(file_, 0, 8), "lostnew!");
  EXPECT_EQ(program_.Read(direct, 0, 8), "old1new!");
}

TEST_F(SimDisk, EvictionShowsTheOldBytesAfterAFailedSync) {
  program_.Write(file_, "old!", 0);
  ASSERT_TRUE(program_.SyncData(file_).ok());
  program_.Write(file_, "lost", 0);
  world_.FailDiskOperation(1, IoError::kDevice, false);
  ASSERT_FALSE(program_.SyncData(file_).ok());
  FaultPlan plan = FaultPlan::None();
  plan.evict = 1'000'000;
  world_.SetPlan(plan);
  EXPECT_EQ(program_.Read(file_, 0, 4), "old!");
}

TEST_F(SimDisk, AnEntryOutlivesAFailedSyncOnlyWithALaterOne) {
  for (const bool is_tried_again : {false, true}) {
    const std::string name = is_tried_again ? "again" : "once";
    program_.Open(directory_, name.c_str());
    world_.FailDiskOperation(1, IoError::kDevice, false);
    ASSERT_FALSE(program_.SyncDirectory(directory_).ok());
    ASSERT_TRUE(!is_tried_again || program_.SyncDirectory(directory_).ok());
    Crash(CrashMode::kNothingUnsynced);
    EXPECT_EQ(host_.disk().Exists("/spool/" + name), is_tried_again);
  }
}

// ---- directory entries ----

TEST_F(SimDisk, FileWithoutDirectorySyncVanishesThoughItsDataWasSynced) {
  const Fd made = program_.Open(directory_, "new").fd();
  program_.Write(made, "data", 0);
  ASSERT_TRUE(program_.SyncData(made).ok());
  EXPECT_FALSE(host_.disk().DurableContents("/spool/new").has_value());
  Crash(CrashMode::kNothingUnsynced);
  EXPECT_FALSE(host_.disk().Exists("/spool/new"));
}

TEST_F(SimDisk, UnlinkedFileComesBackWithoutDirectorySync) {
  program_.Write(file_, "data", 0);
  ASSERT_TRUE(program_.SyncData(file_).ok());
  ASSERT_TRUE(program_.Unlink(directory_, "log").ok());
  EXPECT_FALSE(host_.disk().Exists(kFile));
  Crash(CrashMode::kNothingUnsynced);
  EXPECT_EQ(Contents(), "data");
  ASSERT_TRUE(program_.Unlink(directory_, "log").ok());
  ASSERT_TRUE(program_.SyncDirectory(directory_).ok());
  Crash(CrashMode::kNothingUnsynced);
  EXPECT_FALSE(host_.disk().Exists(kFile));
}

TEST_F(SimDisk, RenamedFileHasEitherNameWithoutDirectorySync) {
  ASSERT_TRUE(program_.SyncDirectory(directory_).ok());
  ASSERT_TRUE(program_.Rename(directory_, "log", "other").ok());
  EXPECT_FALSE(host_.disk().Exists(kFile));
  Crash(CrashMode::kNothingUnsynced);
  EXPECT_TRUE(host_.disk().Exists(kFile));
  EXPECT_FALSE(host_.disk().Exists("/spool/other"));
  ASSERT_TRUE(program_.Rename(directory_, "log", "other").ok());
  ASSERT_TRUE(program_.SyncDirectory(directory_).ok());
  Crash(CrashMode::kNothingUnsynced);
  EXPECT_FALSE(host_.disk().Exists(kFile));
  EXPECT_TRUE(host_.disk().Exists("/spool/other"));
}

TEST_F(SimDisk, EntriesSurviveIndependentlyOfEachOther) {
  bool first_only = false;
  bool second_only = false;
  for (int round = 0; round < 60; ++round) {
    program_.Open(directory_, "first");
    program_.Open(directory_, "second");
    Crash(CrashMode::kRandom);
    const bool first = host_.disk().Exists("/spool/first");
    const bool second = host_.disk().Exists("/spool/second");
    first_only = first_only || (first && !second);
    second_only = second_only || (second && !first);
    host_.disk().Delete("/spool/first");
    host_.disk().Delete("/spool/second");
  }
  EXPECT_TRUE(first_only);
  EXPECT_TRUE(second_only);
}

TEST_F(SimDisk, SubdirectoryNeedsASyncOfItsParent) {
  ASSERT_TRUE(program_.io().OpenSubdirectory(directory_, "shard0", true).ok());
  Crash(CrashMode::kNothingUnsynced);
  EXPECT_FALSE(program_.io().OpenSubdirectory(directory_, "shard0", false).ok());
  ASSERT_TRUE(program_.io().OpenSubdirectory(directory_, "shard0", true).ok());
  ASSERT_TRUE(program_.SyncDirectory(directory_).ok());
  Crash(CrashMode::kNothingUnsynced);
  EXPECT_TRUE(program_.io().OpenSubdirectory(directory_, "shard0", false).ok());
}

TEST_F(SimDisk, UnlinkedFileIsReadableThroughItsDescriptor) {
  program_.Write(file_, "data", 0);
  ASSERT_TRUE(program_.Unlink(directory_, "log").ok());
  ASSERT_TRUE(program_.SyncDirectory(directory_).ok());
  EXPECT_EQ(program_.Read(file_, 0, 4), "data");
  EXPECT_EQ(host_.disk().used_bytes(), 4096u);
  program_.io().Close(file_);
  EXPECT_EQ(host_.disk().used_bytes(), 0u);
}

// ---- space, locks, injection ----

TEST_F(SimDisk, FullDiskGivesAShortWriteThenNoSpaceAndWorksAgainAfterAnUnlink) {
  host_.disk().set_capacity_bytes(8192);
  EXPECT_EQ(program_.Write(file_, std::string(10000, 'x'), 0).count(), 8192u);
  EXPECT_EQ(program_.Write(file_, "y", 8192).error(), IoError::kNoSpace);
  EXPECT_EQ(program_.Write(file_, "y", 100).count(), 1u);  // overwriting needs no room
  const Fd other = program_.Open(directory_, "other").fd();
  EXPECT_EQ(program_.Allocate(other, 4096).error(), IoError::kNoSpace);
  ASSERT_TRUE(program_.Unlink(directory_, "log").ok());
  EXPECT_EQ(program_.Allocate(other, 4096).error(), IoError::kNoSpace);  // still open
  program_.io().Close(file_);
  EXPECT_TRUE(program_.Allocate(other, 4096).ok());
}

TEST_F(SimDisk, ReadOnlyFileSystemRefusesEveryChange) {
  host_.disk().SetReadOnly(true);
  EXPECT_EQ(program_.Write(file_, "x", 0).error(), IoError::kReadOnly);
  EXPECT_EQ(program_.Open(directory_, "new").error(), IoError::kReadOnly);
  EXPECT_EQ(program_.Allocate(file_, 10).error(), IoError::kReadOnly);
  EXPECT_EQ(program_.Unlink(directory_, "log").error(), IoError::kReadOnly);
  EXPECT_TRUE(program_.Open(directory_, "log", OpenMode::kRead).ok());
}

TEST_F(SimDisk, NthDiskOperationFailsOnceOrFromThenOn) {
  const uint64_t before = world_.disk_operations();
  world_.FailDiskOperation(2, IoError::kNoSpace, false);
  EXPECT_TRUE(program_.Write(file_, "a", 0).ok());
  EXPECT_EQ(program_.Write(file_, "b", 0).error(), IoError::kNoSpace);
  EXPECT_TRUE(program_.Write(file_, "c", 0).ok());
  EXPECT_EQ(world_.disk_operations(), before + 3);
  world_.FailDiskOperation(2, IoError::kDevice, true);
  EXPECT_TRUE(program_.SyncData(file_).ok());
  EXPECT_EQ(program_.SyncDirectory(directory_).error(), IoError::kDevice);
  EXPECT_EQ(program_.Open(directory_, "x").error(), IoError::kDevice);
  EXPECT_EQ(program_.Unlink(directory_, "log").error(), IoError::kDevice);
  world_.StopFaults();
  EXPECT_TRUE(program_.Write(file_, "d", 0).ok());
}

TEST_F(SimDisk, NthDiskOperationIsShort) {
  world_.ShortenDiskOperation(2, 3);
  EXPECT_EQ(program_.Write(file_, "abcd", 0).count(), 4u);
  EXPECT_EQ(program_.Write(file_, "efgh", 4).count(), 3u);
  EXPECT_EQ(program_.Write(file_, "h", 7).count(), 1u);
  world_.ShortenDiskOperation(1, 0);
  EXPECT_EQ(program_.Write(file_, "x", 0).count(), 0u);
  world_.ShortenDiskOperation(1, 2);
  EXPECT_EQ(program_.Read(file_, 0, 8), "ab");
  EXPECT_EQ(Contents(), "abcdefgh");
  world_.ShortenDiskOperation(2, 3, /*from_then_on=*/true);
  EXPECT_EQ(program_.Write(file_, "abcd", 0).count(), 4u);
  EXPECT_EQ(program_.Write(file_, "abcd", 0).count(), 3u);
  EXPECT_TRUE(program_.SyncData(file_).ok());
  EXPECT_EQ(program_.Read(file_, 0, 8), "abc");
  EXPECT_EQ(world_.faults_injected(IoVerb::kWrite), 3u);
  EXPECT_EQ(world_.faults_injected(IoVerb::kRead), 2u);
  EXPECT_EQ(world_.faults_injected(), 5u);
}

TEST_F(SimDisk, OneVerbAloneFails) {
  world_.FailDiskOperation(2, IoError::kDevice, true, IoVerb::kSyncDirectory);
  EXPECT_TRUE(program_.SyncDirectory(directory_).ok());
  EXPECT_TRUE(program_.Write(file_, "a", 0).ok());
  EXPECT_EQ(program_.SyncDirectory(directory_).error(), IoError::kDevice);
  EXPECT_TRUE(program_.SyncData(file_).ok());
  EXPECT_EQ(world_.faults_injected(IoVerb::kSyncDirectory), 1u);
}

TEST_F(SimDisk, NthQuestionHasNoAnswer) {
  Io& io = program_.io();
  const uint64_t before = world_.questions();
  world_.FailQuestion(2, false);
  EXPECT_TRUE(io.List(directory_).ok());
  EXPECT_FALSE(io.FileBytes(file_).ok());
  EXPECT_TRUE(io.FileBytes(file_).ok());
  EXPECT_EQ(world_.questions(), before + 3);
  world_.FailQuestion(1, true);
  EXPECT_FALSE(io.List(directory_).ok());
  EXPECT_FALSE(io.FreeSpace(directory_).ok());
  EXPECT_FALSE(io.OpenSubdirectory(directory_, "below", true).ok());
  world_.StopFaults();
  EXPECT_TRUE(io.List(directory_).ok());
}

TEST_F(SimDisk, LockIsExclusiveAndFallsWithItsHolder) {
  ASSERT_TRUE(program_.io().LockFile(directory_, "lock").ok());
  Program other(world_, host_);
  const Fd other_directory = other.Directory();
  EXPECT_EQ(other.io().LockFile(other_directory, "lock").status().code(),
            absl::StatusCode::kFailedPrecondition);
  world_.Crash(host_, CrashMode::kAllUnsynced);
  Program next(world_, host_);
  EXPECT_TRUE(next.io().LockFile(next.Directory(), "lock").ok());
}

TEST_F(SimDisk, DamageIsSeenAndACopyLivesInAnotherWorld) {
  host_.disk().Put("/spool/seg", AsBytes("abc"));
  EXPECT_TRUE(host_.disk().FlipBit("/spool/seg", 8));
  EXPECT_EQ(host_.disk().Contents("/spool/seg"), "acc");
  EXPECT_FALSE(host_.disk().FlipBit("/spool/seg", 24));
  EXPECT_TRUE(host_.disk().TruncateFile("/spool/seg", 2));
  program_.Write(file_, "cached", 0);
  World second(2);
  Host& copy = second.AddHost("mx2", TestAddress(1));
  copy.disk().CopyFrom(host_.disk());
  EXPECT_EQ(copy.disk().Contents("/spool/seg"), "ac");
  EXPECT_EQ(copy.disk().List("/spool"), (std::vector<std::string>{"log", "seg"}));
  second.Crash(copy, CrashMode::kNothingUnsynced);
  EXPECT_EQ(copy.disk().Contents(kFile), "");
  EXPECT_EQ(Contents(), "cached");
}

}  // namespace
}  // namespace backstay
