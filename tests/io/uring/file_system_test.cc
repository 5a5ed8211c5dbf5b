// tests/io/uring/file_system_test.cc -- which places are warned of, and in which words.
#include "io/uring/file_system.h"

#include <gtest/gtest.h>
#include <linux/magic.h>

namespace backstay {
namespace {

using Kind = FileSystemVerdict::Kind;

TEST(FileSystem, DisksAreStableAndMemoryIsNot) {
  for (const uint64_t magic :
       {uint64_t{EXT4_SUPER_MAGIC}, uint64_t{BTRFS_SUPER_MAGIC}, uint64_t{XFS_SUPER_MAGIC}}) {
    const FileSystemVerdict verdict = JudgeKind("/spool", magic);
    EXPECT_EQ(verdict.kind, Kind::kStable);
    EXPECT_EQ(verdict.text, "");
  }
  const FileSystemVerdict verdict = JudgeKind("/spool", TMPFS_MAGIC);
  EXPECT_EQ(verdict.kind, Kind::kLost);
  EXPECT_TRUE(verdict.text.starts_with("/spool is in memory (tmpfs): ")) << verdict.text;
  EXPECT_EQ(JudgeKind("/spool", RAMFS_MAGIC).kind, Kind::kLost);
}

TEST(FileSystem, WhatOthersServeIsUpToThem) {
  for (const uint64_t magic :
       {uint64_t{NFS_SUPER_MAGIC}, uint64_t{OVERLAYFS_SUPER_MAGIC}, uint64_t{SMB2_SUPER_MAGIC},
        uint64_t{CIFS_SUPER_MAGIC}, uint64_t{V9FS_MAGIC}, uint64_t{FUSE_SUPER_MAGIC}}) {
    const FileSystemVerdict verdict = JudgeKind("/spool", magic);
    EXPECT_EQ(verdict.kind, Kind::kUpToOthers) << magic;
    EXPECT_NE(verdict.text.find("put spool.directory on a"), std::string::npos) << verdict.text;
  }
}

TEST(FileSystem, AMountMayTakeTheSyncAway) {
  constexpr std::string_view kMounts =
      "21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n"
      "212 21 0:50 / /ctr rw - overlay overlay rw,lowerdir=/l,upperdir=/u,volatile\n"
      "2 21 8:1 / /nobarrier rw,nosuid - ext4 /dev/nobarrier rw\n"
      "30 21 8:2 / /mail rw shared:2 - ext4 /dev/sdb rw,nobarrier,data=ordered";
  const auto kind_of = [&](uint64_t id) { return JudgeMount("/spool", kMounts, id).kind; };
  EXPECT_EQ(kind_of(21), Kind::kStable);
  EXPECT_EQ(kind_of(212), Kind::kLost);
  EXPECT_EQ(kind_of(2), Kind::kStable);
  EXPECT_EQ(kind_of(30), Kind::kUpToOthers);
  EXPECT_EQ(kind_of(3), Kind::kStable);  // gone meanwhile
  EXPECT_EQ(JudgeMount("/spool", "", 1).kind, Kind::kStable);
}

TEST(FileSystem, IsThatUnderTheDirectory) {
  EXPECT_EQ(JudgeFileSystem("/dev/shm").kind, Kind::kLost);
  EXPECT_EQ(JudgeFileSystem("/proc").kind, Kind::kStable);  // nobody can put a spool there
  EXPECT_EQ(JudgeFileSystem("/not/there").kind, Kind::kStable);
}

}  // namespace
}  // namespace backstay
