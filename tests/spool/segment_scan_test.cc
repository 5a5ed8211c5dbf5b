// tests/spool/segment_scan_test.cc -- what a walk over a segment says of whole, broken and odd
// bytes.
#include "spool/segment_scan.h"

#include <gtest/gtest.h>

#include <string>

#include "fmt/format.h"
#include "tests/spool/parts.h"

namespace backstay {
namespace {

// Writes the walk down: "record@64 commit broken[4096,8192)+".
class Walk : public ScanEvents {
 public:
  void OnRecord(const RecordHeader&, uint32_t block, Bytes) override {
    text += fmt::format("record@{} ", block * kRecordAlignment);
  }
  void OnCommit(const CommitPayload&, bool) override { text += "commit "; }
  void OnBrokenBatch(ByteRange range, BatchFlaw flaw) override {
    const char* mark = flaw == BatchFlaw::kLostCommit ? "+" : "";
    text += fmt::format("broken[{},{}){} ", range.from, range.to, mark);
  }
  void OnBrokenChain(uint64_t at) override { text += fmt::format("chain@{} ", at); }
  std::string text;
};

class SegmentScanTest : public testing::Test {
 protected:
  SegmentScanTest() : segment_(MakeHeader(), Fd()), bytes_(64_KiB, 0) {}

  static SegmentHeader MakeHeader() {
    SegmentHeader header;
    header.segment = 3;
    header.segment_bytes = 64_KiB;
    header.salt = 99;
    return header;
  }

  // A batch of part records with these payload sizes; returns where it started.
  uint64_t AddBatch(std::vector<size_t> sizes) {
    Batch batch;
    batch.Begin(segment_, end_);
    for (const size_t size : sizes) {
      AddPart(batch, size, ++sequence_);
    }
    batch.Close({last_crc_, SpoolTime(), WallTime()}, ++sequence_);
    last_crc_ = batch.commit_crc();
    const Bytes made = batch.bytes();
    std::copy(made.begin(), made.end(), bytes_.begin() + static_cast<ptrdiff_t>(end_));
    const uint64_t start = end_;
    end_ += made.size();
    batch.Reset();
    return start;
  }

  // `feed`: how many bytes at a time.
  std::string Scan(size_t feed = 1_MiB, std::optional<uint32_t> previous = 0,
                   uint64_t end = 60_KiB) {
    Walk walk;
    SegmentScan scan(segment_.key, end, previous, walk);
    size_t have = kDataStart;
    while (scan.at() < scan.end()) {
      have = std::min<size_t>(have + feed, scan.end());
      if (have - scan.at() >= scan.need()) {
        scan.Feed(Bytes(bytes_).subspan(scan.at(), have - scan.at()));
      }
    }
    scan.Finish();
    next_sequence_ = scan.next_sequence();
    return walk.text;
  }

  void Zero(uint64_t from, uint64_t to) {
    std::fill(bytes_.begin() + static_cast<ptrdiff_t>(from),
              bytes_.begin() + static_cast<ptrdiff_t>(to), uint8_t{0});
  }

  Segment segment_;
  std::vector<uint8_t> bytes_;
  uint64_t end_ = kDataStart;
  uint32_t last_crc_ = 0;
  uint64_t sequence_ = 0;
  uint64_t next_sequence_ = 0;
};

TEST_F(SegmentScanTest, EmptySegmentIsSilent) {
  EXPECT_EQ(Scan(), "");
}

TEST_F(SegmentScanTest, WholeBatchesAreToldInOrder) {
  AddBatch({10, 5000});
  AddBatch({});
  AddBatch({1});
  const char* expected = "record@4096 record@4160 commit commit record@16384 commit ";
  EXPECT_EQ(Scan(), expected);
  EXPECT_EQ(next_sequence_, sequence_ + 1);
  EXPECT_EQ(Scan(64), expected);
  EXPECT_EQ(Scan(4097), expected);
}

TEST_F(SegmentScanTest, TailWithoutCommitIsBrokenAndItsWholeRecordsCount) {
  AddBatch({10});
  const uint64_t start = AddBatch({100, 5000});
  Zero(start + 4096, end_);
  EXPECT_EQ(Scan(), "record@4096 commit record@8192 broken[8192,16384) ");
}

TEST_F(SegmentScanTest, HoleInTheLastBatchIsBrokenButNotSucceeded) {
  AddBatch({10});
  const uint64_t start = AddBatch({5000, 5000, 100});
  Zero(start + 8192, start + 8192 + 512);
  EXPECT_EQ(Scan(), "record@4096 commit record@8192 record@18304 commit broken[8192,20480) ");
}

TEST_F(SegmentScanTest, HoleInTheMiddleIsBrokenAndWhatFollowsIsUsed) {
  AddBatch({10});
  const uint64_t start = AddBatch({5000, 100});
  AddBatch({20});
  bytes_[start + 200] ^= 1;
  EXPECT_EQ(Scan(),
            "record@4096 commit record@13248 commit broken[8192,16384) record@16384 commit ");
}

TEST_F(SegmentScanTest, LostBatchInTheMiddleIsNamedWithItsRange) {
  AddBatch({10});
  const uint64_t start = AddBatch({100});
  AddBatch({20});
  Zero(start, start + 4096);
  EXPECT_EQ(Scan(), "record@4096 commit record@12288 broken[8192,12288)+ commit ");
}

TEST_F(SegmentScanTest, ABatchThatSkipsOneIsSeenByTheChain) {
  AddBatch({10});
  const uint64_t end = end_;
  AddBatch({100});
  Zero(end, end_);
  end_ = end;
  AddBatch({20});  // in the place of the one that is gone
  EXPECT_EQ(Scan(), "record@4096 commit record@8192 commit chain@8192 ");
}

TEST_F(SegmentScanTest, TheChainGoesOnFromTheSegmentBefore) {
  last_crc_ = 77;
  AddBatch({10});
  EXPECT_EQ(Scan(1_MiB, 77), "record@4096 commit ");
  EXPECT_EQ(Scan(1_MiB, std::nullopt), "record@4096 commit ");
  EXPECT_EQ(Scan(1_MiB, 78), "record@4096 commit chain@4096 ");
}

TEST_F(SegmentScanTest, RecordsCutOffByTheEndAreNotRead) {
  AddBatch({5000});
  EXPECT_EQ(Scan(1_MiB, 0, 8192), "broken[4096,8192) ");
  EXPECT_EQ(Scan(1_MiB, 0, 4096 + 512), "broken[4096,4608) ");
  EXPECT_EQ(Scan(1_MiB, 0, 4096), "");
}

TEST_F(SegmentScanTest, ARecordImageInsideContentIsNotARecord) {
  AddBatch({10});
  const std::vector<uint8_t> image(bytes_.begin() + 4096, bytes_.begin() + 4096 + 128);
  const uint64_t start = AddBatch({4000});
  std::copy(image.begin(), image.end(), bytes_.begin() + static_cast<ptrdiff_t>(start + 1024));
  const char* expected = "record@4096 commit commit broken[8192,16384) ";
  EXPECT_EQ(Scan(), expected);
  bytes_[start] ^= 1;  // now the walk looks at every 64 bytes of the content
  EXPECT_EQ(Scan(), expected);
}

}  // namespace
}  // namespace backstay
