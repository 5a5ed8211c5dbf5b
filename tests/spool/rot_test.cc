// tests/spool/rot_test.cc -- flipped bits, wrong blocks, lost and foreign files, one at a time:
// noticed, named, set aside, and everything else is delivered as it came in.
//
// SPOOL_ROT_SHARE=0/1: every bit of a segment of 1 MiB too; k/n: every n-th, from the k-th on.
#include <cstdlib>

#include "core/base/random.h"
#include "fmt/format.h"
#include "spool/record.h"
#include "tests/spool/rot_image.h"

namespace backstay {
namespace {

// With sanitizers a start takes ten times as long.
#if defined(__SANITIZE_ADDRESS__)
constexpr uint64_t kShare = 25;
#else
constexpr uint64_t kShare = 1;
#endif
constexpr uint64_t kFlips = 50'000 / kShare;
constexpr uint64_t kFlipsOfNothing = 4'000 / kShare;
constexpr uint64_t kStride = 2'654'435'761;  // a prime: a sample without repetition

class RotTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    for (const bool with_checkpoints : {true, false}) {
      RotImage::Shape shape;
      shape.with_checkpoints = with_checkpoints;
      images_[with_checkpoints ? 1 : 0] = std::make_unique<RotImage>(shape);
    }
  }
  static void TearDownTestSuite() {
    for (std::unique_ptr<RotImage>& image : images_) {
      image.reset();
    }
  }
  // Scanned, or known by footers and a checkpoint.
  static RotImage& Image(uint64_t i) { return *images_[i % 2]; }

  static inline std::unique_ptr<RotImage> images_[2];
};

// Bits of the ranges that say something, one behind the other.
class KnownBits {
 public:
  explicit KnownBits(const RotImage& image) {
    for (const auto* names : {&image.segments(), &image.checkpoints()}) {
      for (const std::string& name : *names) {
        for (const Region& region : image.Regions(name)) {
          if (region.holds != Holds::kFree) {
            ranges_.emplace(total_, std::pair(name, region.from * 8));
            total_ += (region.to - region.from) * 8;
          }
        }
      }
    }
  }
  uint64_t total() const { return total_; }
  std::pair<std::string, uint64_t> At(uint64_t number) const {
    const auto& [first, range] = *std::prev(ranges_.upper_bound(number));
    return {range.first, range.second + number - first};
  }

 private:
  std::map<uint64_t, std::pair<std::string, uint64_t>> ranges_;
  uint64_t total_ = 0;
};

void FlipAndJudge(RotImage& image, const std::string& name, uint64_t bit) {
  SCOPED_TRACE(fmt::format("{} bit {} ({}+{})", name, bit, bit / 8, bit % 8));
  image.FlipBit(name, bit);
  image.StartAndJudge();
}

TEST_F(RotTest, TheImageHasAllThatCanRot) {
  for (uint64_t i = 0; i < 2; ++i) {
    EXPECT_GE(Image(i).segments().size(), 4u);
    EXPECT_EQ(Image(i).checkpoints().size() >= 2, i == 1);
    EXPECT_GE(Image(i).Count(Holds::kPlace), 3u);
    EXPECT_GE(Image(i).Count(Holds::kMessage), 20u);
    EXPECT_GE(Image(i).Count(Holds::kPart), 6u);
    EXPECT_GE(Image(i).Count(Holds::kOutcomes), 12u);
    Image(i).StartAndJudge();  // unharmed: nothing is reported
  }
}

TEST_F(RotTest, AFlippedBitIsNoticedAndCostsOnlyWhatItIsIn) {
  for (uint64_t i = 0; i < 2; ++i) {
    const KnownBits bits(Image(i));
    ASSERT_GT(bits.total(), kFlips);
    for (uint64_t flip = 0; flip < kFlips / 2 && !HasFailure(); ++flip) {
      const auto [name, bit] = bits.At(flip * kStride % bits.total());
      FlipAndJudge(Image(i), name, bit);
    }
  }
}

TEST_F(RotTest, AFlippedBitOfNothingChangesNothing) {
  for (uint64_t i = 0; i < 2; ++i) {
    for (const std::string& name : Image(i).segments()) {
      const uint64_t bits = Image(i).Original(name).size() * 8;
      const uint64_t flips = kFlipsOfNothing / 2 / Image(i).segments().size();
      for (uint64_t done = 0, at = 0; done < flips && !HasFailure(); ++at) {
        const uint64_t bit = at * kStride % bits;
        if (Image(i).HoldsNothing(name, bit / 8)) {
          FlipAndJudge(Image(i), name, bit);
          ++done;
        }
      }
    }
  }
}

TEST_F(RotTest, EveryBitOfASegmentOfOneMebibyte) {
  const char* share = std::getenv("SPOOL_ROT_SHARE");
  if (share == nullptr) {
    GTEST_SKIP() << "takes hours: dev soak rot";
  }
  unsigned long first = 0;
  unsigned long step = 0;
  ASSERT_EQ(std::sscanf(share, "%lu/%lu", &first, &step), 2);
  ASSERT_GT(step, 0u);
  RotImage::Shape shape;
  shape.segment_bytes = 1_MiB;
  shape.sealed_segments = 1;
  RotImage image(shape);
  const std::string name = image.segments().front();
  const uint64_t bits = image.Original(name).size() * 8;
  for (uint64_t bit = first; bit < bits && !HasFailure(); bit += step) {
    FlipAndJudge(image, name, bit);
    if (image.starts() % 100'000 == 0) {
      std::printf("bit %lu of %lu\n", static_cast<unsigned long>(bit),
                  static_cast<unsigned long>(bits));
      std::fflush(stdout);
    }
  }
  std::printf("%lu flips\n", static_cast<unsigned long>(image.starts()));
}

// ---- blocks ----

// Calls `harm(image, name, at, bytes)` for every block of every file, then starts.
template <typename Harm>
void ForEachBlock(RotImage& image, size_t block_bytes, const char* what, Harm harm) {
  uint64_t step = 0;
  for (const auto* names : {&image.segments(), &image.checkpoints()}) {
    for (const std::string& name : *names) {
      const size_t size = image.Original(name).size();
      for (size_t at = 0; at < size && !testing::Test::HasFailure(); at += block_bytes) {
        if (++step % std::min<uint64_t>(kShare, 7) == 0) {
          SCOPED_TRACE(fmt::format("{} {} at {}, {} bytes", name, what, at, block_bytes));
          harm(name, at, std::min(block_bytes, size - at));
          image.StartAndJudge();
        }
      }
    }
  }
}

TEST_F(RotTest, AZeroedBlockIsNoticedAndCostsOnlyWhatWasInIt) {
  for (uint64_t i = 0; i < 2; ++i) {
    for (const size_t block : {size_t{512}, size_t{4096}}) {
      ForEachBlock(Image(i), block, "zeroed", [&](const std::string& name, size_t at, size_t n) {
        Image(i).Overwrite(name, at, std::string(n, '\0'));
      });
    }
  }
}

TEST_F(RotTest, SwappedBlocksAreNoticedAndCostOnlyWhatWasInThem) {
  for (uint64_t i = 0; i < 2; ++i) {
    for (const size_t block : {size_t{512}, size_t{4096}}) {
      ForEachBlock(Image(i), block, "swapped", [&](const std::string& name, size_t at, size_t n) {
        const std::string& file = Image(i).Original(name);
        const size_t other = (at + 3 * block) % file.size() / block * block;
        const size_t both = std::min(n, file.size() - other);
        Image(i).Overwrite(name, at, file.substr(other, both));
        Image(i).Overwrite(name, other, file.substr(at, both));
      });
    }
  }
}

// What lay there when the file, or another in its place, was used before: valid once, elsewhere.
TEST_F(RotTest, AStaleBlockIsNoticedAndCostsOnlyWhatWasToBeThere) {
  for (uint64_t i = 0; i < 2; ++i) {
    const std::vector<std::string>& segments = Image(i).segments();
    for (const size_t block : {size_t{512}, size_t{4096}}) {
      ForEachBlock(Image(i), block, "stale", [&](const std::string& name, size_t at, size_t n) {
        const bool is_first = name == segments.front();
        const std::string& other = is_first ? segments.back() : segments.front();
        Image(i).Overwrite(name, at, Image(i).Original(other).substr(at, n));
      });
    }
  }
}

// ---- files ----

TEST_F(RotTest, ATruncatedFileIsUsedAsFarAsItGoes) {
  for (uint64_t i = 0; i < 2; ++i) {
    for (const auto* names : {&Image(i).segments(), &Image(i).checkpoints()}) {
      for (const std::string& name : *names) {
        const size_t step = names == &Image(i).segments() ? kBlockBytes : 16;
        for (size_t at = 0; at < Image(i).Original(name).size() && !HasFailure(); at += step) {
          SCOPED_TRACE(fmt::format("{} cut at {}", name, at));
          Image(i).Truncate(name, at);
          Image(i).StartAndJudge();
        }
      }
    }
  }
}

TEST_F(RotTest, AMissingFileCostsOnlyWhatWasInIt) {
  for (uint64_t i = 0; i < 2; ++i) {
    for (const auto* names : {&Image(i).segments(), &Image(i).checkpoints()}) {
      for (const std::string& name : *names) {
        SCOPED_TRACE(name);
        Image(i).Delete(name);
        Image(i).StartAndJudge();
      }
    }
  }
}

// Of another shard, of somebody else, of nobody.
std::vector<std::string> ForeignContents(const RotImage& other, const std::string& name) {
  std::vector<std::string> all = {"mine, not yours\n", std::string(64_KiB, 'x'), ""};
  Random random(7);
  std::string noise(64_KiB, '\0');
  for (char& byte : noise) {
    byte = static_cast<char>(random.Below(256));
  }
  all.push_back(noise);
  for (const auto* names : {&other.segments(), &other.checkpoints()}) {
    for (const std::string& theirs : *names) {
      if (theirs == name || names->size() == 1 || theirs == names->front()) {
        all.push_back(other.Original(theirs));
      }
    }
  }
  return all;
}

TEST_F(RotTest, AForeignFileIsNamedAndLeftAloneWhateverItsName) {
  RotImage::Shape shape;
  shape.shard = 3;
  const RotImage other(shape);
  for (uint64_t i = 0; i < 2; ++i) {
    std::vector<std::string> names = {"segment-000000c0",
                                      "segment-0fffff00",
                                      "checkpoint-000000c0",
                                      "checkpoint-00000000",
                                      "segment-0000000G",
                                      "segment-1",
                                      "notes.txt"};
    names.insert(names.end(), Image(i).segments().begin(), Image(i).segments().end());
    names.insert(names.end(), Image(i).checkpoints().begin(), Image(i).checkpoints().end());
    for (const std::string& name : names) {
      for (const std::string& contents : ForeignContents(other, name)) {
        if (!HasFailure()) {
          SCOPED_TRACE(fmt::format("{} of {} bytes", name, contents.size()));
          Image(i).Put(name, contents);
          Image(i).StartAndJudge();
        }
      }
    }
  }
}

TEST_F(RotTest, ASegmentOfOursUnderAnotherNameIsLeftAlone) {
  for (uint64_t i = 0; i < 2; ++i) {
    for (const std::string& name : Image(i).segments()) {
      Image(i).Put("segment-000000c0", Image(i).Original(name));
      Image(i).StartAndJudge();
    }
  }
}

TEST_F(RotTest, AnOlderCheckpointInThePlaceOfTheNewestIsAsGood) {
  RotImage& image = Image(1);
  image.Put(image.checkpoints().back(), image.Original(image.checkpoints().front()));
  image.ForgiveSilence();
  image.StartAndJudge();
}

TEST_F(RotTest, DamageIsNoticedAlsoWhenNothingCanBeSetAside) {
  for (uint64_t i = 0; i < 2; ++i) {
    RotImage& image = Image(i);
    image.Put("quarantine", "a file, not a directory");
    image.ForgiveSilence();
    for (const Region& region : image.Regions(image.segments().front())) {
      if (region.holds == Holds::kStart) {
        image.Overwrite(image.segments().front(), region.from, "not a record");
      }
    }
    image.StartAndJudge();
  }
}

}  // namespace
}  // namespace backstay
