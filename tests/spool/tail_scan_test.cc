// tests/spool/tail_scan_test.cc -- the end of a log, found by halving, is the one that reading all
// finds.
#include "spool/tail_scan.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "core/base/mark.h"
#include "core/base/random.h"
#include "fmt/format.h"
#include "io/sim/world.h"
#include "tests/spool/parts.h"

namespace backstay {
namespace {

constexpr const char* kNotFound = "end of the log not found by halving";
constexpr uint64_t kLogBytes = 2_MiB;
constexpr uint64_t kLogBatchBytesMax = 64_KiB;

// One segment file, filled batch by batch, then harmed.
class Log {
 public:
  explicit Log(uint32_t generation = 1) : segment_(MakeHeader(generation), Fd()) {
    bytes_.resize(kLogBytes);
    SealSegmentHeader(segment_.header, MutableBytes(bytes_).first(kBlockBytes));
    SealSegmentHeader(segment_.header, MutableBytes(bytes_).last(kBlockBytes));
  }

  // Returns where it starts.
  uint64_t Add(size_t bytes) {
    Batch batch;
    batch.Begin(segment_, end_);
    if (end_ == kDataStart) {
      batch.ReserveStart();
      batch.SealStart(StartPayload(), ++sequence_);
    }
    while (batch.bytes().size() < bytes) {
      const size_t left = bytes - batch.bytes().size();
      AddPart(batch, 1 + left * 2 / 3, ++sequence_);
    }
    batch.Close({last_crc_, SpoolTime::FromNanoseconds(++clock_), WallTime()}, ++sequence_);
    last_crc_ = batch.commit_crc();
    std::copy(batch.bytes().begin(), batch.bytes().end(), At(end_));
    const uint64_t start = end_;
    end_ += batch.bytes().size();
    batch.Reset();
    return start;
  }
  void FillTo(uint64_t bytes, Random& random) {
    while (end_ + kLogBatchBytesMax < bytes) {
      last_ = Add(1 + random.Below(kLogBatchBytesMax - 8_KiB));
    }
  }
  void Zero(uint64_t from, uint64_t to) { std::fill(At(from), At(to), uint8_t{0}); }
  void Fill(uint64_t from, uint64_t to, Random& random) {
    std::generate(At(from), At(to), [&] { return static_cast<uint8_t>(random.Below(256)); });
  }
  uint64_t last() const { return last_; }  // where the last batch starts
  uint64_t end() const { return end_; }
  Bytes bytes() const { return bytes_; }

 private:
  static SegmentHeader MakeHeader(uint32_t generation) {
    SegmentHeader header;
    header.segment = 3;
    header.segment_bytes = kLogBytes;
    header.generation = generation;
    header.salt = 99;
    return header;
  }
  std::vector<uint8_t>::iterator At(uint64_t at) {
    return bytes_.begin() + static_cast<ptrdiff_t>(at);
  }

  Segment segment_;
  std::vector<uint8_t> bytes_;
  uint64_t end_ = kDataStart;
  uint64_t last_ = kDataStart;
  uint32_t last_crc_ = 0;
  uint64_t sequence_ = 0;
  int64_t clock_ = 0;
};

class TailScanTest : public testing::Test, private CatalogEvents, private TailScanEvents {
 protected:
  TailScanTest() : world_(1), host_(&world_.AddHost("mx2", SocketAddress::V4({10, 0, 0, 1}, 0))) {}

  // What a start learns of the log, in words.
  std::string End(const Log& log, uint64_t window) {
    host_->disk().Put(fmt::format("/log/{}", NameOfSegment(3).data()), log.bytes());
    const std::unique_ptr<Io> io = world_.MakeIo(*host_);
    const Fd directory = *io->OpenDirectory("/log", true);
    CatalogEvents& catalog_events = *this;
    TailScanEvents& tail_events = *this;
    Catalog catalog(*io, directory, {0, 0}, catalog_events);
    is_done_ = false;
    catalog.Start();
    TurnUntilDone(*io);
    TailScan tail(*io, directory, catalog, tail_events, window);
    is_done_ = false;
    tail.Start();
    TurnUntilDone(*io);
    const GroupCommit::Resumption& found = tail.resumption();
    std::string text =
        fmt::format("segment {} sequence {} crc {:08x} clock {}", found.last_segment,
                    found.next_sequence, found.last_commit_crc, tail.clock().nanoseconds());
    if (found.torn.has_value()) {
      text += fmt::format(" torn at {}", found.torn->good_bytes);
    }
    for (CatalogEntry& entry : catalog.entries()) {
      io->Close(entry.file);
    }
    return text;
  }

  // Of a segment with so much of its room used and then harmed.
  void ExpectSame(const std::function<void(Log&, Random&)>& harm, uint32_t generation = 1) {
    Random random(4711 + generation);
    for (uint64_t used = 96_KiB; used < kLogBytes - 128_KiB; used += 61'000) {
      Log log(generation);
      if (generation > 1) {
        log.Fill(kDataStart, kLogBytes - kBlockBytes, random);
      }
      log.FillTo(used, random);
      harm(log, random);
      const std::string whole = End(log, kLogBytes);
      EXPECT_EQ(End(log, kLogBatchBytesMax), whole) << used;
      EXPECT_NE(whole.find("segment 3"), std::string::npos) << whole;
    }
  }

 private:
  void OnCatalogRead(const absl::Status& status) override {
    EXPECT_TRUE(status.ok());
    is_done_ = true;
  }
  void OnTailScanned() override { is_done_ = true; }
  void TurnUntilDone(Io& io) {
    for (int turns = 0; turns < 10'000 && !is_done_; ++turns) {
      io.Turn(io.Now() + absl::Seconds(1));
    }
    ASSERT_TRUE(is_done_);
  }

  World world_;
  Host* host_;
  bool is_done_ = false;
};

TEST_F(TailScanTest, AWholeLogEndsWhereItsLastBatchDoes) {
  const uint64_t not_found = MarkCount(kNotFound);
  ExpectSame([](Log&, Random&) {});
  EXPECT_EQ(MarkCount(kNotFound), not_found);
}

TEST_F(TailScanTest, OldBytesBehindTheLogAreNotOfIt) {
  ExpectSame([](Log&, Random&) {}, 2);
}

TEST_F(TailScanTest, ABatchCutShortIsTorn) {
  ExpectSame([](Log& log, Random& random) {
    const uint64_t blocks = (log.end() - log.last()) / kBlockBytes;
    log.Zero(log.last() + random.Below(blocks) * kBlockBytes, log.end());
  });
}

TEST_F(TailScanTest, ABatchWithAHoleIsTorn) {
  ExpectSame([](Log& log, Random& random) {
    const uint64_t blocks = (log.end() - log.last()) / kBlockBytes;
    const uint64_t at = log.last() + random.Below(blocks) * kBlockBytes;
    log.Zero(at, at + 512);
  });
}

// Found broken, and not the end: a whole batch stands behind it.
TEST_F(TailScanTest, DamageBeforeTheEndIsNotTheEnd) {
  ExpectSame([](Log& log, Random& random) {
    const uint64_t at = kDataStart + random.Below(log.last() - kDataStart);
    log.Zero(at, std::min(at + 20'000, log.last()));
  });
}

TEST_F(TailScanTest, ALargestBatchAcrossTwoWindowsIsFound) {
  for (uint64_t before = 20_KiB; before < 200_KiB; before += kBlockBytes) {
    Log log;
    while (log.end() < before) {
      log.Add(100);
    }
    log.Add(kLogBatchBytesMax - 4 * kBlockBytes);
    EXPECT_EQ(End(log, kLogBatchBytesMax), End(log, kLogBytes)) << before;
  }
}

// Behind a batch as large as a window there is too little to judge by, and all is read.
TEST_F(TailScanTest, ALargestBatchThatIsTornIsFound) {
  const uint64_t not_found = MarkCount(kNotFound);
  for (uint64_t before = 20_KiB; before < 400_KiB; before += kBlockBytes) {
    Log log;
    while (log.end() < before) {
      log.Add(100);
    }
    log.Add(kLogBatchBytesMax - 4 * kBlockBytes);
    const uint64_t start = log.Add(kLogBatchBytesMax - 4 * kBlockBytes);
    log.Zero(log.end() - kBlockBytes, log.end());  // its commit record
    const std::string whole = End(log, kLogBytes);
    EXPECT_EQ(End(log, kLogBatchBytesMax), whole) << before;
    EXPECT_NE(whole.find(fmt::format("torn at {}", start)), std::string::npos) << whole;
  }
  EXPECT_GT(MarkCount(kNotFound), not_found);
}

}  // namespace
}  // namespace backstay
