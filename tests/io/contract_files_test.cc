// tests/io/contract_files_test.cc -- the sentences of io/io.h on directories and files.
#include <gtest/gtest.h>

#include "core/base/units.h"
#include "tests/io/contract_fixture.h"

namespace backstay {
namespace {

class ContractFiles : public ContractTest {
 protected:
  std::vector<std::string> Names(Fd directory) {
    std::vector<std::string> names;
    auto entries = io().List(directory);
    EXPECT_TRUE(entries.ok()) << entries.status().ToString();
    for (const DirectoryEntry& entry : *entries) {
      names.push_back(entry.name);
    }
    return names;
  }
};

// ---- directories, locks, space ----

TEST_F(ContractFiles, AnAbsentDirectoryIsNotFoundUnlessCreated) {
  const std::string path = world().scratch_directory() + "/a/b/c";
  EXPECT_TRUE(absl::IsNotFound(io().OpenDirectory(path, false).status()));
  for (int round = 0; round < 2; ++round) {
    auto created = io().OpenDirectory(path, true);
    ASSERT_TRUE(created.ok()) << created.status().ToString();
    io().Close(*created);
  }
  auto opened = io().OpenDirectory(path, false);
  ASSERT_TRUE(opened.ok());
  io().Close(*opened);
  EXPECT_EQ(Names(Scratch()), std::vector<std::string>{"a"});
}

TEST_F(ContractFiles, ASubdirectoryIsFoundBelowItsParentOnly) {
  const Fd scratch = Scratch();
  EXPECT_TRUE(absl::IsNotFound(io().OpenSubdirectory(scratch, "shard-0", false).status()));
  auto created = io().OpenSubdirectory(scratch, "shard-0", true);
  ASSERT_TRUE(created.ok()) << created.status().ToString();
  const Fd shard = Keep(io(), *created);
  MakeFile(shard, "inside", "x");
  EXPECT_EQ(Names(scratch), std::vector<std::string>{"shard-0"});
  EXPECT_EQ(Names(shard), std::vector<std::string>{"inside"});
  auto again = io().OpenSubdirectory(scratch, "shard-0", true);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(Names(Keep(io(), *again)), std::vector<std::string>{"inside"});
}

TEST_F(ContractFiles, AListIsSortedAndSaysWhatIsWhat) {
  const Fd scratch = Scratch();
  MakeFile(scratch, "b", "12345");
  MakeFile(scratch, "a", "");
  MakeFile(scratch, "c", "x");
  auto directory = io().OpenSubdirectory(scratch, "bb", true);
  ASSERT_TRUE(directory.ok());
  Keep(io(), *directory);
  auto listed = io().List(scratch);
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed->size(), 4u);
  EXPECT_EQ(Names(scratch), (std::vector<std::string>{"a", "b", "bb", "c"}));
  EXPECT_EQ((*listed)[1].bytes, 5u);
  EXPECT_TRUE((*listed)[1].is_file);
  EXPECT_FALSE((*listed)[1].is_directory);
  EXPECT_TRUE((*listed)[2].is_directory);
  EXPECT_FALSE((*listed)[2].is_file);
  EXPECT_EQ((*listed)[2].bytes, 0u);
}

TEST_F(ContractFiles, ALockIsExclusiveUntilItIsClosed) {
  const Fd scratch = Scratch();
  auto first = io().LockFile(scratch, "lock");
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(absl::IsFailedPrecondition(io().LockFile(scratch, "lock").status()));
  }
  io().Close(*first);
  auto second = io().LockFile(scratch, "lock");
  ASSERT_TRUE(second.ok()) << second.status().ToString();
  io().Close(*second);
}

TEST_F(ContractFiles, WorldAccessIsTold) {
  const Fd scratch = Scratch();
  auto closed = io().WorldAccess(scratch);
  ASSERT_TRUE(closed.ok()) << closed.status();
  EXPECT_FALSE(*closed);
  auto made = io().OpenSubdirectory(scratch, "shard-0", true);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_FALSE(*io().WorldAccess(Keep(io(), *made))) << "what we make is ours alone";
  world().OpenScratchToTheWorld();
  auto open = io().WorldAccess(scratch);
  ASSERT_TRUE(open.ok()) << open.status();
  EXPECT_TRUE(*open);
}

TEST_F(ContractFiles, FreeSpaceIsWithinTheTotal) {
  auto report = io().FreeSpace(Scratch());
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_GT(report->free_bytes, 0u);
  EXPECT_LE(report->free_bytes, report->total_bytes);
  EXPECT_GT(report->free_files, 0u);
}

// ---- opening ----

TEST_F(ContractFiles, AnAbsentFileIsNotFoundByModesThatDoNotCreate) {
  const Fd scratch = Scratch();
  for (const OpenMode mode : {OpenMode::kRead, OpenMode::kReadDirect, OpenMode::kReadWrite}) {
    EXPECT_EQ(OpenFile(scratch, "absent", mode).error, IoError::kNotFound);
  }
  EXPECT_TRUE(Names(scratch).empty());
}

TEST_F(ContractFiles, CreateNewRefusesAFileThatExists) {
  const Fd scratch = Scratch();
  EXPECT_TRUE(OpenFile(scratch, "file", OpenMode::kCreateNew).ok());
  EXPECT_EQ(OpenFile(scratch, "file", OpenMode::kCreateNew).error, IoError::kExists);
}

TEST_F(ContractFiles, CreateOrOpenKeepsWhatIsThere) {
  const Fd scratch = Scratch();
  EXPECT_TRUE(OpenFile(scratch, "file", OpenMode::kCreateOrOpen).ok());
  const Event again = OpenFile(scratch, "file", OpenMode::kCreateOrOpen);
  ASSERT_TRUE(again.ok());
  WriteAll(again.fd, "kept", Offset{0});
  const Event third = OpenFile(scratch, "file", OpenMode::kCreateOrOpen);
  ASSERT_TRUE(third.ok());
  EXPECT_EQ(ReadAll(third.fd, 10, Offset{0}), "kept");
}

TEST_F(ContractFiles, EveryReadingModeSeesWhatWasWritten) {
  const Fd scratch = Scratch();
  MakeFile(scratch, "file", "content");
  for (const OpenMode mode : {OpenMode::kRead, OpenMode::kReadDirect, OpenMode::kReadWrite}) {
    const Event opened = OpenFile(scratch, "file", mode);
    ASSERT_TRUE(opened.ok()) << Describe(opened.error);
    EXPECT_EQ(ReadAll(opened.fd, 100, Offset{0}), "content");
  }
}

// ---- reading and writing ----

TEST_F(ContractFiles, AReadStopsAtTheEndAndThenSaysZero) {
  const Fd file = MakeFile(Scratch(), "file", "0123456789");
  EXPECT_EQ(ReadAll(file, 100, Offset{4}), "456789");
  std::vector<uint8_t> buffer(10);
  for (const uint64_t at : {10u, 11u, 100'000u}) {
    const Event end = Run([&](Op* op) { io().Read(op, file, buffer, Offset{at}); });
    EXPECT_TRUE(end.ok());
    EXPECT_EQ(end.count, 0u);
  }
}

TEST_F(ContractFiles, AWriteBeyondTheEndLeavesZeros) {
  const Fd file = MakeFile(Scratch(), "file", "ab");
  WriteAll(file, "cd", Offset{10'000});
  auto bytes = io().FileBytes(file);
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(*bytes, 10'002u);
  EXPECT_EQ(ReadAll(file, 20'000, Offset{0}), "ab" + std::string(9'998, '\0') + "cd");
}

TEST_F(ContractFiles, AnOverwriteChangesNothingElse) {
  const std::string before = Pattern(20'000);
  const Fd file = MakeFile(Scratch(), "file", before);
  WriteAll(file, "XYZ", Offset{4'095});
  EXPECT_EQ(ReadAll(file, 30'000, Offset{0}),
            before.substr(0, 4'095) + "XYZ" + before.substr(4'098));
}

TEST_F(ContractFiles, AReadOfAnyPlaceAndLengthWorksAroundTheCache) {
  const std::string content = Pattern(50'001);
  const Fd scratch = Scratch();
  const Fd written = MakeFile(scratch, "file", content);
  EXPECT_TRUE(Run([&](Op* op) { io().SyncData(op, written); }).ok());
  const Event opened = OpenFile(scratch, "file", OpenMode::kReadDirect);
  ASSERT_TRUE(opened.ok());
  const struct {
    uint64_t at;
    size_t bytes;
  } rows[] = {{0, 50'001}, {0, 1},          {1, 1},          {4'095, 2},     {4'096, 4'096},
              {4'097, 1},  {49'152, 4'096}, {50'000, 4'096}, {50'001, 10},   {60'000, 10},
              {8'192, 16}, {3, 20'000},     {0, 100'000},    {40'960, 8'192}};
  for (const auto& row : rows) {
    const std::string expected =
        row.at < content.size() ? content.substr(row.at, row.bytes) : std::string();
    EXPECT_EQ(ReadAll(opened.fd, row.bytes, Offset{row.at}), expected) << row.at;
  }
}

TEST_F(ContractFiles, AppendsOfTwoDescriptorsFollowEachOther) {
  const Fd scratch = Scratch();
  const std::string path = world().scratch_directory() + "/log";
  const auto open = [&] {
    const Event opened = Run([&](Op* op) { io().OpenPath(op, path.c_str(), OpenMode::kAppend); });
    EXPECT_TRUE(opened.ok()) << Describe(opened.error);
    return Keep(io(), opened.fd);
  };
  const Fd first = open();
  const Fd second = open();
  for (const auto& [file, line] : {std::pair(first, "one\n"), {second, "two\n"}, {first, "3\n"}}) {
    const std::string text = line;
    EXPECT_EQ(Run([&, to = file](Op* op) { io().Append(op, to, AsBytes(text)); }).count,
              text.size());
  }
  const Event read = OpenFile(scratch, "log", OpenMode::kRead);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(ReadAll(read.fd, 100, Offset{0}), "one\ntwo\n3\n");
}

TEST_F(ContractFiles, APathWithoutItsDirectoryIsNotFound) {
  const std::string path = world().scratch_directory() + "/absent/log";
  EXPECT_EQ(Run([&](Op* op) { io().OpenPath(op, path.c_str(), OpenMode::kAppend); }).error,
            IoError::kNotFound);
}

TEST_F(ContractFiles, ReadsAndWritesOfSeveralFilesRunTogether) {
  const Fd scratch = Scratch();
  const Fd first = MakeFile(scratch, "first", "");
  const Fd second = MakeFile(scratch, "second", "");
  Recorder writes[2];
  io().Write(writes[0].op(), first, AsBytes("one"), Offset{0});
  io().Write(writes[1].op(), second, AsBytes("two"), Offset{0});
  EXPECT_TRUE(Await(writes[0]) && Await(writes[1]));
  EXPECT_EQ(ReadAll(first, 10, Offset{0}), "one");
  EXPECT_EQ(ReadAll(second, 10, Offset{0}), "two");
}

// ---- sync, allocate, truncate, unlink ----

TEST_F(ContractFiles, SyncsComplete) {
  const Fd scratch = Scratch();
  const Fd file = MakeFile(scratch, "file", "content");
  EXPECT_TRUE(Run([&](Op* op) { io().SyncData(op, file); }).ok());
  EXPECT_TRUE(Run([&](Op* op) { io().SyncDirectory(op, scratch); }).ok());
}

TEST_F(ContractFiles, WhatWasNeverWrittenIsKnownAndReadsAsZeros) {
  constexpr uint64_t kBytes = 1 << 20;
  constexpr uint64_t kAt = 600'000;
  const Fd file = MakeFile(Scratch(), "room", "");
  EXPECT_TRUE(Run([&](Op* op) { io().Allocate(op, file, kBytes); }).ok());
  const std::string text(5000, 'x');
  EXPECT_TRUE(Run([&](Op* op) { io().Write(op, file, AsBytes(text), Offset{kAt}); }).ok());
  EXPECT_TRUE(Run([&](Op* op) { io().SyncData(op, file); }).ok());
  const uint64_t first = io().NextWritten(file, Offset{0});
  EXPECT_GT(first, 0U);
  EXPECT_LE(first, kAt);
  EXPECT_EQ(io().NextWritten(file, Offset{kAt + 10}), kAt + 10);
  EXPECT_GE(io().NextWritten(file, Offset{kAt + 10'000}), kAt + 10'000);
  EXPECT_EQ(io().NextWritten(file, Offset{kBytes}), UINT64_MAX);
  std::vector<uint8_t> before(4096, 1);
  EXPECT_TRUE(
      Run([&](Op* op) { io().Read(op, file, before, Offset{first - before.size()}); }).ok());
  EXPECT_EQ(before, std::vector<uint8_t>(before.size(), 0));
}

TEST_F(ContractFiles, AllocateGrowsWithZerosAndKeepsWhatIsThere) {
  const Fd file = MakeFile(Scratch(), "file", "abc");
  EXPECT_TRUE(Run([&](Op* op) { io().Allocate(op, file, 10'000); }).ok());
  EXPECT_EQ(io().FileBytes(file).value(), 10'000u);
  EXPECT_EQ(ReadAll(file, 20'000, Offset{0}), "abc" + std::string(9'997, '\0'));
  EXPECT_TRUE(Run([&](Op* op) { io().Allocate(op, file, 5'000); }).ok());
  EXPECT_EQ(io().FileBytes(file).value(), 10'000u) << "never shrinks";
}

TEST_F(ContractFiles, TruncateShrinksAndGrows) {
  const Fd file = MakeFile(Scratch(), "file", "0123456789");
  EXPECT_TRUE(Run([&](Op* op) { io().Truncate(op, file, 4); }).ok());
  EXPECT_EQ(io().FileBytes(file).value(), 4u);
  EXPECT_TRUE(Run([&](Op* op) { io().Truncate(op, file, 6); }).ok());
  EXPECT_EQ(ReadAll(file, 100, Offset{0}), std::string("0123\0\0", 6));
  EXPECT_TRUE(Run([&](Op* op) { io().Truncate(op, file, 0); }).ok());
  EXPECT_EQ(io().FileBytes(file).value(), 0u);
}

TEST_F(ContractFiles, UnlinkRemovesTheName) {
  const Fd scratch = Scratch();
  MakeFile(scratch, "file", "content");
  EXPECT_TRUE(Run([&](Op* op) { io().Unlink(op, scratch, "file"); }).ok());
  EXPECT_TRUE(Names(scratch).empty());
  EXPECT_EQ(Run([&](Op* op) { io().Unlink(op, scratch, "file"); }).error, IoError::kNotFound);
  EXPECT_TRUE(OpenFile(scratch, "file", OpenMode::kCreateNew).ok());
}

TEST_F(ContractFiles, RenameGivesAFileAnotherNameAndReplacesNone) {
  const Fd scratch = Scratch();
  const Fd file = MakeFile(scratch, "old", "content");
  MakeFile(scratch, "taken", "other");
  EXPECT_EQ(Run([&](Op* op) { io().Rename(op, scratch, "old", "taken"); }).error, IoError::kExists);
  EXPECT_TRUE(Run([&](Op* op) { io().Rename(op, scratch, "old", "new"); }).ok());
  EXPECT_EQ(Names(scratch), (std::vector<std::string>{"new", "taken"}));
  EXPECT_EQ(ReadAll(file, 100, Offset{0}), "content") << "through a descriptor from before";
  EXPECT_EQ(Run([&](Op* op) { io().Rename(op, scratch, "old", "newer"); }).error,
            IoError::kNotFound);
}

TEST_F(ContractFiles, ASlowOpMayBeInFlightBesideOthers) {
  const Fd scratch = Scratch();
  const Fd file = MakeFile(scratch, "file", Pattern(1_MiB));
  Recorder sync;
  Recorder read;
  std::vector<uint8_t> buffer(1_KiB);
  io().SyncData(sync.op(), file);
  io().Read(read.op(), file, buffer, Offset{0});
  EXPECT_TRUE(Await(sync) && Await(read));
  EXPECT_TRUE(sync.last().ok());
  EXPECT_GT(read.last().count, 0u);
}

}  // namespace
}  // namespace backstay
