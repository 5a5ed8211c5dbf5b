// tests/spool/shrinker_test.cc -- a file without a name goes a piece at a time, whatever fails.
#include "spool/shrinker.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "tests/io/sim_support.h"

namespace backstay {
namespace {

class ShrinkerTest : public testing::Test {
 protected:
  ShrinkerTest() {
    EXPECT_TRUE(program_.Allocate(file_, 3_MiB + 5).ok());
    EXPECT_TRUE(program_.SyncData(file_).ok());
    EXPECT_TRUE(program_.SyncDirectory(directory_).ok());
  }
  ~ShrinkerTest() override {
    while (shrinker_.busy()) {
      Turn(Instant::Max());
    }
    shrinker_.Close();
  }

  // Its size keeps its name here, to be seen.
  std::vector<uint64_t> Sizes(bool in_haste = false) {
    std::vector<uint64_t> sizes;
    while (shrinker_.active()) {
      shrinker_.Step(in_haste);
      const uint64_t size = host_.disk().Contents("/spool/segment")->size();
      if (sizes.empty() || sizes.back() != size) {
        sizes.push_back(size);
      }
      Turn(shrinker_.NextDue());
    }
    return sizes;
  }
  void Turn(Instant wake) { program_.io().Turn(wake); }

  World world_{7};
  Host& host_ = world_.AddHost("mx2", SocketAddress::V4({10, 0, 0, 1}, 0));
  Program program_{world_, host_};
  const Fd directory_ = program_.Directory();
  Fd file_ = program_.Open(directory_, "segment").fd();
  Shrinker shrinker_{program_.io()};
};

TEST_F(ShrinkerTest, GoesPieceByPieceWithASyncAndARestBehindEach) {
  const uint64_t before = world_.disk_operations();
  const Instant began = program_.io().Now();
  shrinker_.Start(file_);
  EXPECT_EQ(Sizes(), (std::vector<uint64_t>{3_MiB + 5, 2_MiB + 5, 1_MiB + 5, 5, 0}));
  EXPECT_EQ(world_.disk_operations() - before, 8u);
  EXPECT_GE(program_.io().Now() - began, absl::Milliseconds(6));
  EXPECT_EQ(host_.disk().DurableContents("/spool/segment"), "");
}

TEST_F(ShrinkerTest, DoesNotRestWhenSomebodyWaitsForTheSpace) {
  shrinker_.Start(file_);
  shrinker_.Step(false);
  while (shrinker_.busy()) {
    Turn(Instant::Max());
  }
  ASSERT_GT(shrinker_.NextDue(), program_.io().Now());
  shrinker_.Step(false);
  EXPECT_FALSE(shrinker_.busy());
  shrinker_.Step(true);
  EXPECT_TRUE(shrinker_.busy());
}

TEST_F(ShrinkerTest, AnEmptyFileIsDone) {
  EXPECT_TRUE(program_.Truncate(file_, 0).ok());
  shrinker_.Start(file_);
  EXPECT_FALSE(shrinker_.active());
  EXPECT_EQ(shrinker_.NextDue(), Instant::Max());
}

TEST_F(ShrinkerTest, AFailureClosesTheFile) {
  for (const uint64_t failing : {1u, 2u}) {
    shrinker_.Start(program_.Open(directory_, "segment").fd());
    world_.FailDiskOperation(failing, IoError::kDevice, /*from_then_on=*/false);
    Sizes();
    EXPECT_FALSE(shrinker_.active());
    world_.StopFaults();
    EXPECT_TRUE(program_.Allocate(file_, 3_MiB).ok());
  }
}

}  // namespace
}  // namespace backstay
