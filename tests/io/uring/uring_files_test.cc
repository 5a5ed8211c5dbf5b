// tests/io/uring/uring_files_test.cc -- full and read-only disks, locks of other processes, links.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <array>
#include <string>

#include "core/base/mark.h"
#include "tests/io/uring/uring_support.h"

namespace backstay {
namespace {

using testing::HasSubstr;

class UringFiles : public testing::Test {
 protected:
  Io& io() { return *io_; }
  const std::string& path() const { return directory_.path(); }
  Fd OpenScratch() {
    auto opened = io().OpenDirectory(path(), false);
    EXPECT_TRUE(opened.ok());
    return *opened;
  }
  Event Run(const std::function<void(Op*)>& start) {
    Recorder recorder;
    start(recorder.op());
    EXPECT_TRUE(TurnUntil(io(), [&] { return recorder.done(); }));
    return recorder.last();
  }
  Event OpenFile(Fd directory, const char* name, OpenMode mode) {
    return Run([&](Op* op) { io().Open(op, directory, name, mode); });
  }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<Io> io_ = MakeIo();
};

TEST_F(UringFiles, WhatIsCreatedIsForItsOwnerOnly) {
  const Fd scratch = OpenScratch();
  const Event file = OpenFile(scratch, "file", OpenMode::kCreateNew);
  ASSERT_TRUE(file.ok());
  auto nested = io().OpenDirectory(path() + "/a/b/", true);
  ASSERT_TRUE(nested.ok()) << nested.status().ToString();
  auto below = io().OpenSubdirectory(*nested, "c", true);
  ASSERT_TRUE(below.ok());
  const struct {
    const char* name;
    mode_t mode;
  } rows[] = {{"/file", 0600}, {"/a", 0700}, {"/a/b", 0700}, {"/a/b/c", 0700}};
  for (const auto& row : rows) {
    struct stat found {};
    ASSERT_EQ(stat((path() + row.name).c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777, row.mode) << row.name;
  }
  for (const Fd fd : {scratch, file.fd, *nested, *below}) {
    EXPECT_EQ(fcntl(fd.number(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    io().Close(fd);
  }
}

TEST_F(UringFiles, AnAppendWaitsForRoomInAPipeAndCanBeCanceled) {
  const std::string pipe = path() + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  const Event opened = Run([&](Op* op) { io().OpenPath(op, pipe.c_str(), OpenMode::kAppend); });
  ASSERT_TRUE(opened.ok());
  const std::string much(1 << 20, 'x');
  Recorder append;
  io().Append(append.op(), opened.fd, AsBytes(much));
  for (int turn = 0; turn < 5; ++turn) {
    io().Turn(io().Now() + absl::Milliseconds(5));
  }
  EXPECT_TRUE(append.events().empty() || append.last().count < much.size());
  io().Cancel(append.op());
  EXPECT_TRUE(TurnUntil(io(), [&] { return append.done(); }));
  close(reader);
  EXPECT_FALSE(Run([&](Op* op) { io().Append(op, opened.fd, AsBytes(much)); }).ok());
  io().Close(opened.fd);
}

TEST_F(UringFiles, ALinkWhereAFileBelongsIsDeniedAndNotFollowed) {
  const Fd scratch = OpenScratch();
  ASSERT_EQ(symlink("/etc/passwd", (path() + "/link").c_str()), 0);
  ASSERT_EQ(symlink("/etc", (path() + "/directory-link").c_str()), 0);
  EXPECT_EQ(OpenFile(scratch, "link", OpenMode::kRead).error, IoError::kDenied);
  EXPECT_EQ(OpenFile(scratch, "link", OpenMode::kCreateOrOpen).error, IoError::kDenied);
  EXPECT_FALSE(io().OpenSubdirectory(scratch, "directory-link", false).ok());
  auto entries = io().List(scratch);
  ASSERT_TRUE(entries.ok());
  for (const DirectoryEntry& entry : *entries) {
    EXPECT_FALSE(entry.is_file || entry.is_directory) << entry.name;
  }
  io().Close(scratch);
}

// Nobody writes into it: a file that is opened for reading must not wait until somebody does.
TEST_F(UringFiles, AFifoWhereAFileBelongsIsRefusedAtOnce) {
  const Fd scratch = OpenScratch();
  ASSERT_EQ(mkfifo((path() + "/fifo").c_str(), 0600), 0);
  for (const OpenMode mode :
       {OpenMode::kRead, OpenMode::kReadDirect, OpenMode::kReadWrite, OpenMode::kCreateOrOpen}) {
    Recorder open;
    io().Open(open.op(), scratch, "fifo", mode);
    const bool is_over = TurnUntil(io(), [&] { return open.done(); });
    if (!is_over) {  // so that the case fails and does not hang
      const int writer = ::open((path() + "/fifo").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
      EXPECT_TRUE(TurnUntil(io(), [&] { return open.done(); }));
      close(writer);
    }
    ASSERT_TRUE(is_over) << "it waits for a writer";
    EXPECT_EQ(open.last().error, IoError::kInvalid) << static_cast<int>(mode);
  }
  io().Close(scratch);
}

TEST_F(UringFiles, WithoutDescriptorsOpenSaysSo) {
  const Fd scratch = OpenScratch();
  io().Turn(io().Now());
  {
    LoweredLimit limit(RLIMIT_NOFILE, 3);
    EXPECT_EQ(OpenFile(scratch, "file", OpenMode::kCreateNew).error, IoError::kNoDescriptors);
  }
  io().Close(scratch);
}

// RLIMIT_FSIZE cuts a write as a full disk does: first short, then refused.
TEST_F(UringFiles, AShortWriteIsACountAndTheNextOneAnError) {
  const Fd scratch = OpenScratch();
  const Event file = OpenFile(scratch, "file", OpenMode::kCreateNew);
  ASSERT_TRUE(file.ok());
  const std::string content = Pattern(10'000);
  const auto before = signal(SIGXFSZ, SIG_IGN);
  {
    LoweredLimit limit(RLIMIT_FSIZE, 6'000);
    const Event cut = Run([&](Op* op) { io().Write(op, file.fd, AsBytes(content), Offset{0}); });
    EXPECT_TRUE(cut.ok());
    EXPECT_EQ(cut.count, 6'000u);
    const Event refused = Run([&](Op* op) {
      io().Write(op, file.fd, AsBytes(content).subspan(cut.count), Offset{cut.count});
    });
    EXPECT_EQ(refused.error, IoError::kNoSpace);
    EXPECT_EQ(Run([&](Op* op) { io().Allocate(op, file.fd, 10'000); }).error, IoError::kNoSpace);
  }
  signal(SIGXFSZ, before);
  EXPECT_EQ(io().FileBytes(file.fd).value(), 6'000u);
  io().Close(file.fd);
  io().Close(scratch);
}

// A file system of 64 KiB, where root may mount one.
class MountedFiles : public UringFiles {
 protected:
  void SetUp() override {
    mounted_ = mount("tmpfs", path().c_str(), "tmpfs", 0, "size=64k") == 0;
    if (!mounted_) {
      GTEST_SKIP() << "mounting needs root";
    }
  }
  void TearDown() override {
    if (mounted_) {
      EXPECT_EQ(umount2(path().c_str(), MNT_DETACH), 0);
    }
  }

 private:
  bool mounted_ = false;
};

TEST_F(MountedFiles, AFullDiskIsShortAndThenNoSpace) {
  const Fd scratch = OpenScratch();
  const Event file = OpenFile(scratch, "file", OpenMode::kCreateNew);
  ASSERT_TRUE(file.ok());
  const std::string content = Pattern(100'000);
  EXPECT_EQ(Run([&](Op* op) { io().Allocate(op, file.fd, 1'000'000); }).error, IoError::kNoSpace);
  size_t written = 0;
  Event event;
  do {
    event = Run([&](Op* op) {
      io().Write(op, file.fd, AsBytes(content).subspan(written), Offset{written});
    });
    written += event.ok() ? event.count : 0;
  } while (event.ok() && written < content.size());
  EXPECT_EQ(event.error, IoError::kNoSpace);
  EXPECT_GT(written, 0u);
  EXPECT_LE(written, size_t{64} * 1024);
  EXPECT_EQ(io().FreeSpace(scratch)->free_bytes, 0u);
  io().Close(file.fd);
  io().Close(scratch);
}

TEST_F(MountedFiles, AReadOnlyDiskSaysSo) {
  const Fd scratch = OpenScratch();
  const Event file = OpenFile(scratch, "file", OpenMode::kCreateNew);
  ASSERT_TRUE(file.ok());
  io().Close(file.fd);
  ASSERT_EQ(mount("tmpfs", path().c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr), 0);
  EXPECT_EQ(OpenFile(scratch, "other", OpenMode::kCreateNew).error, IoError::kReadOnly);
  EXPECT_EQ(OpenFile(scratch, "file", OpenMode::kReadWrite).error, IoError::kReadOnly);
  EXPECT_EQ(Run([&](Op* op) { io().Unlink(op, scratch, "file"); }).error, IoError::kReadOnly);
  io().Close(scratch);
}

// ramfs has no direct reads: the plain open and the dropped cache stand in.
TEST_F(UringFiles, AFileSystemWithoutDirectReadsIsReadPlainly) {
  if (mount("ramfs", path().c_str(), "ramfs", 0, nullptr) != 0) {
    GTEST_SKIP() << "mounting needs root";
  }
  const Fd scratch = OpenScratch();
  const Event file = OpenFile(scratch, "file", OpenMode::kCreateNew);
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(Run([&](Op* op) { io().Write(op, file.fd, AsBytes("content"), Offset{0}); }).ok());
  const Event direct = OpenFile(scratch, "file", OpenMode::kReadDirect);
  ASSERT_TRUE(direct.ok()) << Describe(direct.error);
  EXPECT_GT(MarkCount("uring: no direct reads on this file system"), 0u);
  std::vector<uint8_t> buffer(7);
  EXPECT_EQ(Run([&](Op* op) { io().Read(op, direct.fd, buffer, Offset{0}); }).count, 7u);
  EXPECT_EQ(AsText(buffer), "content");
  for (const Fd fd : {direct.fd, file.fd, scratch}) {
    io().Close(fd);
  }
  EXPECT_EQ(umount2(path().c_str(), MNT_DETACH), 0);
}

TEST_F(UringFiles, ADescriptorThatWasDirectIsPlainWhenItsNumberIsReused) {
  const Fd scratch = OpenScratch();
  const Event file = OpenFile(scratch, "file", OpenMode::kCreateNew);
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(Run([&](Op* op) { io().Write(op, file.fd, AsBytes("content"), Offset{0}); }).ok());
  const Event direct = OpenFile(scratch, "file", OpenMode::kReadDirect);
  ASSERT_TRUE(direct.ok());
  io().Close(direct.fd);
  const Event plain = OpenFile(scratch, "file", OpenMode::kRead);
  ASSERT_TRUE(plain.ok());
  ASSERT_EQ(plain.fd, direct.fd);
  std::vector<uint8_t> buffer(3);
  EXPECT_EQ(Run([&](Op* op) { io().Read(op, plain.fd, buffer, Offset{1}); }).count, 3u);
  EXPECT_EQ(AsText(buffer), "ont");
  for (const Fd fd : {plain.fd, file.fd, scratch}) {
    io().Close(fd);
  }
}

TEST_F(UringFiles, TheLockOfAnotherProcessNamesItsPid) {
  const Fd scratch = OpenScratch();
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const int lock = open((path() + "/lock").c_str(), O_RDWR | O_CREAT, 0600);
    flock(lock, LOCK_EX);
    dprintf(lock, "%d\n", getpid());
    if (write(ready[1], "x", 1) == 1) {
      pause();
    }
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  const auto refused = io().LockFile(scratch, "lock");
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status()));
  EXPECT_THAT(refused.status().ToString(), HasSubstr("pid " + std::to_string(child)));
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  auto taken = io().LockFile(scratch, "lock");
  ASSERT_TRUE(taken.ok()) << "the lock dies with its holder: " << taken.status().ToString();
  io().Close(*taken);
  io().Close(scratch);
  close(ready[0]);
  close(ready[1]);
}

TEST(UringTruncate, AKernelWithoutTheOperationTruncatesPlainly) {
  TemporaryDirectory directory;
  UringOptions options = SmallOptions();
  options.plain_truncate = true;
  auto io = MakeIo(options);
  auto scratch = io->OpenDirectory(directory.path(), false);
  ASSERT_TRUE(scratch.ok());
  Recorder op;
  io->Open(op.op(), *scratch, "file", OpenMode::kCreateNew);
  ASSERT_TRUE(TurnUntil(*io, [&] { return op.done(); }));
  const Fd file = op.last().fd;
  io->Truncate(op.op(), file, 12'345);
  EXPECT_EQ(op.events().size(), 1u) << "not inside the verb";
  io->Turn(io->Now() + absl::Hours(1));
  ASSERT_EQ(op.events().size(), 2u);
  EXPECT_TRUE(op.last().ok());
  EXPECT_EQ(io->FileBytes(file).value(), 12'345u);
  io->Close(file);
  io->Close(*scratch);
}

TEST_F(UringFiles, WhatCannotBeCreatedIsNamed) {
  if (geteuid() == 0) {
    const auto status = io().OpenDirectory("/proc/backstay-cannot/spool", true).status();
    EXPECT_THAT(status.ToString(), HasSubstr("/proc/backstay-cannot"));
  }
  const auto absent = io().OpenDirectory("/absent/spool", false).status();
  EXPECT_THAT(absent.ToString(), HasSubstr("/absent/spool"));
  EXPECT_FALSE(io().OpenDirectory("", true).ok());
}

}  // namespace
}  // namespace backstay
