// bench/commit_ladder.cc -- what one commit costs on this disk, by the state of the file and the
// way of the write.
//
// One ring, one file, `depth` batches in flight at most; each is written and then made durable, as
// a shard does it. Prints one line a combination: commits/s, MB/s, median and 99th percentile in
// microseconds. Numbers of one run are comparable, those of two runs are not: the disk is shared.
#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <deque>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/base/units.h"
#include "spool/aligned_buffer.h"

namespace backstay {
namespace {

using SteadyClock = std::chrono::steady_clock;

enum class FileState : uint8_t { kAppended, kAllocated, kZeroWritten, kRecycled };
enum class Way : uint8_t { kBufferedSync, kBufferedDsync, kDirectSync, kDirectDsync };
constexpr std::array kStates = {"appended", "allocated", "zero-written", "recycled"};
constexpr std::array kWays = {"write+fdatasync", "RWF_DSYNC", "O_DIRECT write+fdatasync",
                              "O_DIRECT RWF_DSYNC"};

struct Flags {
  std::string directory = ".";
  double seconds = 1;
  unsigned pause_microseconds = 0;
  uint64_t file_bytes = 64_MiB;
};

struct Result {
  uint64_t commits = 0;
  double seconds = 0;
  std::vector<double> microseconds;
};

class Ladder {
 public:
  Ladder(const Flags& flags, FileState state, Way way, size_t batch_bytes, unsigned depth)
      : flags_(flags), state_(state), way_(way), batch_bytes_(batch_bytes), depth_(depth) {
    ASSERT(io_uring_queue_init(32, &ring_, IORING_SETUP_SINGLE_ISSUER | (1U << 13)) == 0);
    path_ = flags.directory + "/commit-ladder";
    buffer_.Resize(batch_bytes);
    std::fill(buffer_.data(), buffer_.data() + batch_bytes, uint8_t{0x5a});
    Prepare();
  }
  ~Ladder() {
    close(fd_);
    unlink(path_.c_str());
    io_uring_queue_exit(&ring_);
  }
  Ladder(const Ladder&) = delete;
  Ladder& operator=(const Ladder&) = delete;

  Result Run() {
    Result result;
    const auto begin = SteadyClock::now();
    const auto end = begin + std::chrono::duration<double>(flags_.seconds);
    uint64_t at = 0;
    uint64_t begun = 0;
    while (SteadyClock::now() < end || !in_flight_.empty()) {
      while (in_flight_.size() < depth_ && SteadyClock::now() < end) {
        if (flags_.pause_microseconds > 0) {
          usleep(flags_.pause_microseconds);
        }
        in_flight_.push_back({begun++, SteadyClock::now()});
        Write(at, in_flight_.back().number);
        at = (at + batch_bytes_) % (flags_.file_bytes / batch_bytes_ * batch_bytes_);
        if (at == 0 && state_ == FileState::kAppended) {
          ASSERT(ftruncate(fd_, 0) == 0);
        }
      }
      Reap(result);
    }
    result.seconds = std::chrono::duration<double>(SteadyClock::now() - begin).count();
    return result;
  }

 private:
  struct Batch {
    uint64_t number;
    SteadyClock::time_point begun;
  };

  bool is_direct() const { return way_ == Way::kDirectSync || way_ == Way::kDirectDsync; }
  bool is_dsync() const { return way_ == Way::kBufferedDsync || way_ == Way::kDirectDsync; }

  void Prepare() {
    fd_ = open(path_.c_str(), O_CREAT | O_TRUNC | O_RDWR | (is_direct() ? O_DIRECT : 0), 0600);
    ASSERT(fd_ >= 0);
    if (state_ == FileState::kAppended) {
      return;
    }
    ASSERT(posix_fallocate(fd_, 0, static_cast<off_t>(flags_.file_bytes)) == 0);
    AlignedBuffer zeros;
    zeros.Resize(1_MiB);
    const uint8_t fill = state_ == FileState::kRecycled ? 0xa5 : 0;
    std::fill(zeros.data(), zeros.data() + zeros.size(), fill);
    for (uint64_t at = 0; state_ != FileState::kAllocated && at < flags_.file_bytes; at += 1_MiB) {
      ASSERT(pwrite(fd_, zeros.data(), zeros.size(), static_cast<off_t>(at)) ==
             static_cast<ssize_t>(zeros.size()));
    }
    ASSERT(fsync(fd_) == 0);
  }

  void Write(uint64_t at, uint64_t number) {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    io_uring_prep_write(entry, fd_, buffer_.data(), static_cast<unsigned>(batch_bytes_), at);
    entry->rw_flags = is_dsync() ? RWF_DSYNC : 0;
    entry->user_data = number << 1;
  }

  // A sync begins when the write has completed, never before.
  void Reap(Result& result) {
    ASSERT(io_uring_submit_and_wait(&ring_, 1) >= 0);
    io_uring_cqe* completed = nullptr;
    while (io_uring_peek_cqe(&ring_, &completed) == 0) {
      const uint64_t number = completed->user_data >> 1;
      const bool is_written = (completed->user_data & 1) == 0;
      ASSERT(completed->res == (is_written ? static_cast<int>(batch_bytes_) : 0));
      io_uring_cqe_seen(&ring_, completed);
      if (is_written && !is_dsync()) {
        io_uring_sqe* entry = io_uring_get_sqe(&ring_);
        io_uring_prep_fsync(entry, fd_, IORING_FSYNC_DATASYNC);
        entry->user_data = number << 1 | 1;
        continue;
      }
      const auto batch = std::find_if(in_flight_.begin(), in_flight_.end(),
                                      [&](const Batch& one) { return one.number == number; });
      result.microseconds.push_back(
          std::chrono::duration<double, std::micro>(SteadyClock::now() - batch->begun).count());
      in_flight_.erase(batch);
      ++result.commits;
    }
  }

  const Flags& flags_;
  const FileState state_;
  const Way way_;
  const size_t batch_bytes_;
  const unsigned depth_;
  std::string path_;
  int fd_ = -1;
  io_uring ring_{};
  AlignedBuffer buffer_;
  std::deque<Batch> in_flight_;
};

double Percentile(std::vector<double>& sorted, double share) {
  return sorted.empty() ? 0 : sorted[static_cast<size_t>(share * double(sorted.size() - 1))];
}

void Measure(const Flags& flags, FileState state, Way way, size_t batch_bytes, unsigned depth) {
  Ladder ladder(flags, state, way, batch_bytes, depth);
  Result result = ladder.Run();
  std::sort(result.microseconds.begin(), result.microseconds.end());
  const double rate = double(result.commits) / result.seconds;
  std::printf("| %s | %s | %zu | %u | %.0f | %.1f | %.0f | %.0f |\n",
              kStates[static_cast<size_t>(state)], kWays[static_cast<size_t>(way)],
              batch_bytes / 1024, depth, rate, rate * double(batch_bytes) / 1e6,
              Percentile(result.microseconds, 0.5), Percentile(result.microseconds, 0.99));
  std::fflush(stdout);
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("What one commit costs on this disk.");
  app.add_option("--directory", flags.directory, "on the disk of the spool");
  app.add_option("--seconds", flags.seconds, "for each combination");
  app.add_option("--pause", flags.pause_microseconds,
                 "before each batch, in microseconds: a machine that is not busy wakes up slowly");
  CLI11_PARSE(app, argc, argv);
  std::puts("| file | way | KiB | depth | commits/s | MB/s | median us | p99 us |");
  std::puts("|---|---|---|---|---|---|---|---|");
  for (const size_t batch_bytes : {4_KiB, 64_KiB, 1_MiB}) {
    for (const unsigned depth : {1U, 2U, 4U}) {
      for (uint8_t state = 0; state < kStates.size(); ++state) {
        for (uint8_t way = 0; way < kWays.size(); ++way) {
          Measure(flags, static_cast<FileState>(state), static_cast<Way>(way), batch_bytes, depth);
        }
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace backstay

int main(int argc, char** argv) {
  return backstay::Main(argc, argv);
}
