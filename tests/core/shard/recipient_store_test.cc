// tests/core/shard/recipient_store_test.cc -- what is known over restarts, other numbers of shards,
// full disks and damage.
#include "core/shard/recipient_store.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/log.h"
#include "io/sim/world.h"
#include "io/wait.h"

namespace backstay {
namespace {

constexpr SipKey kSecret{1, 2};

class StoreTest : public testing::Test {
 protected:
  class Runner : public Actor {
   public:
    Runner(World& world, Host& host, size_t shard, size_t shards, const SipKey& secret)
        : io_(world.MakeIo(host)), wheel_(io_->Now()) {
      const Fd directory = *io_->OpenDirectory("/spool/recipients", true);
      store = std::make_unique<RecipientStore>(*io_, wheel_, RecipientFiles{directory, secret},
                                               shard, shards);
      world.Attach(*io_, *this);
      store->Start();
    }
    void Turn() override {
      io_->Turn(wheel_.NextDue());
      wheel_.Advance(io_->Now());
    }
    Io& io() { return *io_; }

   private:
    std::unique_ptr<Io> io_;
    TimerWheel wheel_;

   public:
    std::unique_ptr<RecipientStore> store;
  };

  StoreTest() {
    SetLogSink([](LogLevel, std::string_view) {});
  }
  ~StoreTest() override {
    world_.Crash(host_, CrashMode::kAllUnsynced);
    SetLogSink(nullptr);
  }
  void Start(size_t shards, const SipKey& secret = kSecret) {
    for (size_t shard = 0; shard < shards; ++shard) {
      shards_.push_back(std::make_unique<Runner>(world_, host_, shard, shards, secret));
    }
    world_.RunFor(absl::Seconds(1));
    for (const auto& shard : shards_) {
      EXPECT_TRUE(shard->store->is_loaded());
    }
  }
  void Kill(CrashMode mode = CrashMode::kAllUnsynced) {
    world_.Crash(host_, mode);
    shards_.clear();
  }
  RecipientStore& HomeOf(AddressKey key) { return *shards_[shards_[0]->store->HomeOf(key)]->store; }
  static AddressKey Key(int number) {
    return KeyOf(kSecret, fmt::format("user{}@example.com", number));
  }
  void Set(int number, Knowledge::Kind kind = Knowledge::Kind::kPositive) {
    HomeOf(Key(number)).Set(Key(number), Knowledge(kind, world_.WallNow()));
  }
  int Known(int from, int to) {
    int known = 0;
    for (int number = from; number < to; ++number) {
      known += HomeOf(Key(number)).Find(Key(number)).has_value() ? 1 : 0;
    }
    return known;
  }

  World world_{1};
  Host& host_ = world_.AddHost("mx2", *SocketAddress::Parse("10.0.0.1:0"));
  std::vector<std::unique_ptr<Runner>> shards_;
};

TEST_F(StoreTest, WhatIsKnownSurvivesAKillAndAnyNumberOfShards) {
  Start(2);
  for (int number = 0; number < 1000; ++number) {
    Set(number);
  }
  world_.RunFor(absl::Seconds(3));
  for (const size_t shards : {1, 3, 2}) {
    Kill();
    Start(shards);
    EXPECT_EQ(Known(0, 1000), 1000) << shards;
    EXPECT_EQ(Known(1000, 2000), 0);
  }
}

TEST_F(StoreTest, APowerCutCostsWhatWasAppendedAndNothingWhole) {
  Start(1);
  for (int number = 0; number < 500; ++number) {
    Set(number);
  }
  world_.RunFor(absl::Seconds(3));
  for (int number = 500; number < 600; ++number) {
    Set(number);
  }
  world_.RunFor(absl::Seconds(3));
  Kill(CrashMode::kNothingUnsynced);
  Start(1);
  EXPECT_EQ(Known(0, 500), 500);
}

TEST_F(StoreTest, AWholeFileReplacesTheOlderOnes) {
  Start(1);
  for (int round = 0; round < 400; ++round) {
    for (int number = 0; number < 2000; ++number) {
      Set(number);
    }
    world_.RunFor(absl::Seconds(2));
  }
  const std::vector<std::string> files = host_.disk().List("/spool/recipients");
  EXPECT_EQ(files.size(), RecipientStore::kSlices);
  size_t bytes = 0;
  for (const std::string& file : files) {
    bytes += host_.disk().Contents("/spool/recipients/" + file)->size();
  }
  EXPECT_LT(bytes, 64u * 3 * 4096 * 16);
  Kill();
  Start(1);
  EXPECT_EQ(Known(0, 2000), 2000);
}

TEST_F(StoreTest, ForgettingIsRemembered) {
  Start(1);
  for (int number = 0; number < 100; ++number) {
    Set(number);
  }
  world_.RunFor(absl::Seconds(3));
  HomeOf(Key(7)).Forget(Key(7));
  HomeOf(Key(8)).Set(KeyOf(kSecret, "x@other.example"),
                     Knowledge(Knowledge::Kind::kNegative, world_.WallNow()));
  world_.RunFor(absl::Seconds(3));
  Kill();
  Start(1);
  EXPECT_EQ(Known(0, 100), 99);
  RecipientStore& store = *shards_[0]->store;
  EXPECT_EQ(store.Count(TagOf(kSecret, "example.com"), world_.WallNow()).positive, 99u);
  EXPECT_EQ(store.Count(std::nullopt, world_.WallNow()).negative, 1u);
  EXPECT_EQ(store.ForgetDomain(TagOf(kSecret, "example.com")), 99u);
  world_.RunFor(absl::Seconds(3));
  Kill();
  Start(1);
  EXPECT_EQ(Known(0, 100), 0);
  EXPECT_EQ(shards_[0]->store->Count(std::nullopt, world_.WallNow()).negative, 1u);
}

TEST_F(StoreTest, AnotherSecretMakesTheFilesWorthNothing) {
  Start(1);
  Set(1);
  world_.RunFor(absl::Seconds(3));
  Kill();
  Start(1, SipKey{3, 4});
  EXPECT_EQ(shards_[0]->store->Count(std::nullopt, world_.WallNow()).positive, 0u);
}

TEST_F(StoreTest, DamageAndForeignFilesCostNothingElse) {
  Start(1);
  for (int number = 0; number < 200; ++number) {
    Set(number);
  }
  world_.RunFor(absl::Seconds(3));
  Kill();
  const std::string name = host_.disk().List("/spool/recipients").at(5);
  ASSERT_TRUE(host_.disk().FlipBit("/spool/recipients/" + name, 8 * 20));
  host_.disk().Put("/spool/recipients/zz-00000001", AsBytes(std::string_view("nonsense")));
  host_.disk().Put("/spool/recipients/00-0000ffff", AsBytes(std::string_view("")));
  Start(1);
  EXPECT_EQ(Known(0, 200), 199);
  Set(1000);
  world_.RunFor(absl::Seconds(3));
  Kill();
  Start(1);
  EXPECT_EQ(Known(0, 200), 199);
  EXPECT_EQ(Known(1000, 1001), 1);
}

TEST_F(StoreTest, AFullDiskIsWaitedFor) {
  Start(1);
  host_.disk().set_capacity_bytes(host_.disk().used_bytes());
  for (int number = 0; number < 200; ++number) {
    Set(number);
  }
  world_.RunFor(absl::Seconds(5));
  EXPECT_EQ(Known(0, 200), 200);
  host_.disk().set_capacity_bytes(uint64_t{1} << 30);
  world_.RunFor(absl::Seconds(15));
  Kill();
  Start(1);
  EXPECT_EQ(Known(0, 200), 200);
}

TEST_F(StoreTest, StopWritesWhatIsLeft) {
  Start(1);
  Set(1);
  shards_[0]->store->Stop();
  world_.RunFor(absl::Seconds(1));
  EXPECT_TRUE(shards_[0]->store->idle());
  Kill();
  Start(1);
  EXPECT_EQ(Known(1, 2), 1);
}

TEST_F(StoreTest, TheSecretIsMadeOnce) {
  std::unique_ptr<Io> io = world_.MakeIo(host_);
  const Fd root = *io->OpenDirectory("/spool", true);
  const auto first = OpenRecipientFiles(*io, root, SipKey{5, 6});
  const auto second = OpenRecipientFiles(*io, root, SipKey{7, 8});
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(second->secret.first, 5u);
  EXPECT_EQ(second->secret.second, 6u);
}

}  // namespace
}  // namespace backstay
