// tests/spool/spool_directory_test.cc -- lock, version and node of a spool.
#include "spool/spool_directory.h"

#include <gtest/gtest.h>

#include "io/sim/world.h"
#include "spool/record.h"
#include "spool/version_file.h"

namespace backstay {
namespace {

class SpoolDirectoryTest : public testing::Test {
 protected:
  absl::StatusOr<SpoolDirectory> Open(uint16_t shards = 2, uint16_t node = 0) {
    return SpoolDirectory::Open(*io, {"/spool", shards, node});
  }
  void Reboot() {
    world.Crash(host, CrashMode::kNothingUnsynced);
    io = world.MakeIo(host);
  }

  World world{5};
  Host& host = world.AddHost("mx2", SocketAddress::V4({10, 0, 0, 1}, 0));
  std::unique_ptr<Io> io = world.MakeIo(host);
};

TEST_F(SpoolDirectoryTest, ANewOneDrawsANodeAndKeepsIt) {
  auto first = Open();
  ASSERT_TRUE(first.ok());
  EXPECT_NE(first->node(), 0);
  EXPECT_EQ(first->shard_directories().size(), 2u);
  EXPECT_TRUE(first->warnings().empty());
  const uint16_t node = first->node();
  Reboot();
  auto second = Open();
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->node(), node);
  second->Close(*io);
}

TEST_F(SpoolDirectoryTest, AnotherNodeInTheConfigurationChangesNothing) {
  auto first = Open(1, 7);
  ASSERT_TRUE(first.ok());
  first->Close(*io);
  auto second = Open(1, 8);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->node(), 7);
  EXPECT_EQ(second->warnings().size(), 1u);
  second->Close(*io);
}

TEST_F(SpoolDirectoryTest, ASecondDaemonIsTurnedAway) {
  auto first = Open();
  ASSERT_TRUE(first.ok());
  const std::unique_ptr<Io> other = world.MakeIo(host);
  const auto second = SpoolDirectory::Open(*other, {"/spool", 2, 0});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  first->Close(*io);
}

TEST_F(SpoolDirectoryTest, ANewerFormatIsNotTouched) {
  const std::string newer =
      "backstay spool " + std::to_string(kFormatVersion + 1) + "\nsomething else\n";
  host.disk().Put("/spool/VERSION", AsBytes(newer));
  const auto opened = Open();
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(host.disk().Contents("/spool/VERSION"), newer);
  EXPECT_FALSE(host.disk().Exists("/spool/LOCK"));
  EXPECT_FALSE(host.disk().Exists("/spool/shard-000"));
}

// An older daemon must not be let in again.
TEST_F(SpoolDirectoryTest, AnOlderFormatIsTakenOver) {
  host.disk().Put("/spool/VERSION", AsBytes("backstay spool 1\nnode 7\n"));
  auto opened = Open();
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(opened->node(), 7);
  EXPECT_EQ(host.disk().DurableContents("/spool/VERSION"), "backstay spool 7\nnode 7\n");
  opened->Close(*io);
}

// What lies in it is other people's mail; whose machine it is may still want it so.
TEST_F(SpoolDirectoryTest, WorldAccessIsWarnedOfAndLeftAsItIs) {
  ASSERT_NE(host.disk().WalkDirectory("/spool", /*create=*/true), kNoNode);
  host.disk().SetWorldAccess("/spool", true);
  auto directory = Open();
  ASSERT_TRUE(directory.ok());
  ASSERT_EQ(directory->warnings().size(), 1u);
  EXPECT_NE(directory->warnings()[0].find("`chmod o= /spool`"), std::string::npos);
  directory->Close(*io);
}

TEST_F(SpoolDirectoryTest, ShardsOfAnEarlierRunAreOpenedToo) {
  auto first = Open(4);
  ASSERT_TRUE(first.ok());
  first->Close(*io);
  auto second = Open(2);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->shard_directories().size(), 4u);
  EXPECT_EQ(second->warnings().size(), 2u);
  second->Close(*io);
}

TEST_F(SpoolDirectoryTest, ALostVersionComesBackFromASegment) {
  SegmentHeader header;
  header.node = 99;
  header.segment = 1;
  header.segment_bytes = 64_KiB;
  std::vector<uint8_t> block(kBlockBytes);
  SealSegmentHeader(header, block);
  host.disk().Put("/spool/shard-000/segment-00000001", block);
  host.disk().Put("/spool/VERSION", AsBytes("backst"));
  auto opened = Open(1);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(opened->node(), 99);
  EXPECT_EQ(host.disk().DurableContents("/spool/VERSION"), "backstay spool 7\nnode 99\n");
  opened->Close(*io);
}

TEST_F(SpoolDirectoryTest, OpenedToReadNothingIsMadeLockedOrWritten) {
  EXPECT_FALSE(SpoolDirectory::OpenToRead(*io, "/spool").ok());
  EXPECT_FALSE(host.disk().Exists("/spool"));
  auto daemon = Open(4, 7);
  ASSERT_TRUE(daemon.ok());
  host.disk().Delete("/spool/shard-001");
  const std::vector<std::string> before = host.disk().List("/spool");
  const std::unique_ptr<Io> other = world.MakeIo(host);
  auto reader = SpoolDirectory::OpenToRead(*other, "/spool");
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(reader->node(), 7);
  ASSERT_EQ(reader->shard_directories().size(), 4u);
  EXPECT_TRUE(reader->shard_directories()[0].valid());
  EXPECT_FALSE(reader->shard_directories()[1].valid());
  EXPECT_EQ(host.disk().List("/spool"), before);
  reader->Close(*other);
  daemon->Close(*io);
}

TEST_F(SpoolDirectoryTest, WhatIsOpenedToReadMustBeASpoolOfAKnownFormat) {
  ASSERT_NE(host.disk().WalkDirectory("/spool", /*create=*/true), kNoNode);
  EXPECT_TRUE(absl::IsNotFound(SpoolDirectory::OpenToRead(*io, "/spool").status()));
  ASSERT_NE(host.disk().WalkDirectory("/spool/shard-000", /*create=*/true), kNoNode);
  auto without_version = SpoolDirectory::OpenToRead(*io, "/spool");
  ASSERT_TRUE(without_version.ok());
  EXPECT_EQ(without_version->warnings().size(), 1u);
  EXPECT_FALSE(host.disk().Exists("/spool/VERSION"));
  without_version->Close(*io);
  host.disk().Put("/spool/VERSION", AsBytes("backstay spool 99\n"));
  EXPECT_TRUE(absl::IsUnimplemented(SpoolDirectory::OpenToRead(*io, "/spool").status()));
}

TEST_F(SpoolDirectoryTest, ACrashAnywhereDuringTheFirstStartLeavesAUsableSpool) {
  for (uint64_t failing = 1; failing < 12; ++failing) {
    host.disk().Delete("/spool");
    world.FailDiskOperation(failing, IoError::kDevice, true);
    auto first = Open();
    world.StopFaults();
    if (first.ok()) {
      first->Close(*io);
    }
    Reboot();
    auto second = Open();
    EXPECT_TRUE(second.ok()) << failing;
    if (second.ok()) {
      second->Close(*io);
    }
  }
}

TEST(VersionFile, Table) {
  EXPECT_EQ(VersionFile::Parse("backstay spool 1\nnode 4711\n")->node, 4711);
  EXPECT_EQ(VersionFile::Parse((VersionFile{1, 3}).ToText())->node, 3);
  EXPECT_EQ(VersionFile::Parse("backstay spool 8\n")->format, 8u);
  for (const char* text : {"", "backstay spool ", "backstay spool x\n", "backstay spool 1\nnode 1",
                           "backstay spool 1\nnode 70000\n", "backstay spool 1\nnode 1\nmore\n"}) {
    EXPECT_FALSE(VersionFile::Parse(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace backstay
