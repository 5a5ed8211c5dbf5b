// tests/io/sim_parts_test.cc -- the parts of the simulator that stand alone: heap, pages, trace.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "io/io_result.h"
#include "io/sim/page_image.h"
#include "io/sim/scheduler.h"
#include "io/sim/trace.h"
#include "io/sim/verb.h"

namespace backstay {
namespace {

std::vector<int> OrderOfTies(uint64_t seed) {
  Scheduler scheduler{Random(seed)};
  std::vector<int> order;
  for (int event = 0; event < 6; ++event) {
    scheduler.After(absl::Seconds(1), [&order, event] { order.push_back(event); });
  }
  while (!scheduler.empty()) {
    scheduler.RunNext();
  }
  return order;
}

TEST(Scheduler, EarlierEventsRunFirstAndTimeFollowsThem) {
  Scheduler scheduler{Random(1)};
  const Instant start = scheduler.Now();
  std::string order;
  scheduler.After(absl::Hours(2), [&] { order += 'b'; });
  scheduler.After(absl::Seconds(1), [&] {
    order += 'a';
    scheduler.At(start, [&] { order += '!'; });  // due in the past: now
  });
  scheduler.RunNext();
  EXPECT_EQ(scheduler.Now() - start, absl::Seconds(1));
  scheduler.RunNext();
  EXPECT_EQ(scheduler.Now() - start, absl::Seconds(1));
  scheduler.RunNext();
  EXPECT_EQ(scheduler.Now() - start, absl::Hours(2));
  EXPECT_EQ(order, "a!b");
  EXPECT_EQ(scheduler.NextDue(), Instant::Max());
  EXPECT_EQ(scheduler.events(), 3u);
}

TEST(Scheduler, TiesAreBrokenByTheSeedAndOnlyByIt) {
  std::set<std::vector<int>> orders;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(OrderOfTies(seed), OrderOfTies(seed));
    orders.insert(OrderOfTies(seed));
  }
  EXPECT_GT(orders.size(), 10u);
}

constexpr size_t kReadBytes = 5000;

std::string ReadOf(const PageImage& image, size_t from) {
  std::string read(kReadBytes, '?');
  read.resize(image.Read(from, {reinterpret_cast<uint8_t*>(read.data()), read.size()}));
  return read;
}

std::string From(const std::string& plain, size_t from) {
  return from < plain.size() ? plain.substr(from, kReadBytes) : "";
}

TEST(PageImage, AndItsCopyEqualPlainStringsAfterAnyChanges) {
  Random random(3);
  PageImage image;
  PageImage before;  // a copy, which later changes must not reach
  std::string plain;
  std::string plain_before;
  for (int round = 0; round < 2000; ++round) {
    const size_t at = static_cast<size_t>(random.Below(20'000));
    if (random.Chance(1, 10)) {
      image.Resize(at);
      plain.resize(at, '\0');
    } else {
      const std::string bytes(static_cast<size_t>(random.Between(1, 6000)),
                              static_cast<char>('a' + round % 26));
      image.Write(at, AsBytes(bytes));
      plain.resize(std::max(plain.size(), at + bytes.size()), '\0');
      plain.replace(at, bytes.size(), bytes);
    }
    ASSERT_EQ(image.size(), plain.size());
    const size_t from = static_cast<size_t>(random.Below(25'000));
    ASSERT_TRUE(ReadOf(image, from) == From(plain, from)) << round;
    ASSERT_TRUE(ReadOf(before, from) == From(plain_before, from)) << round;
    before = image;
    plain_before = plain;
  }
}

TEST(TraceLog, HashDependsOnEveryFieldAndOnTheOrder) {
  const Instant now = Instant::FromNanoseconds(1);
  std::set<uint64_t> hashes;
  const auto hash = [&](auto add) {
    TraceLog log;
    add(log);
    hashes.insert(log.hash());
  };
  hash([&](TraceLog& log) { log.Add(now, TraceKind::kTurn, 1, 2, 3); });
  hash([&](TraceLog& log) { log.Add(now + absl::Nanoseconds(1), TraceKind::kTurn, 1, 2, 3); });
  hash([&](TraceLog& log) { log.Add(now, TraceKind::kWake, 1, 2, 3); });
  hash([&](TraceLog& log) { log.Add(now, TraceKind::kTurn, 2, 2, 3); });
  hash([&](TraceLog& log) { log.Add(now, TraceKind::kTurn, 1, 3, 3); });
  hash([&](TraceLog& log) { log.Add(now, TraceKind::kTurn, 1, 2, 4); });
  hash([&](TraceLog& log) {
    log.Add(now, TraceKind::kTurn, 1);
    log.Add(now, TraceKind::kWake, 1);
  });
  hash([&](TraceLog& log) {
    log.Add(now, TraceKind::kWake, 1);
    log.Add(now, TraceKind::kTurn, 1);
  });
  EXPECT_EQ(hashes.size(), 8u);
}

TEST(TraceLog, TextNamesVerbsAndErrors) {
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  TraceLog log;
  log.SetFile(file);
  log.Add(Instant::FromNanoseconds(1'500'000'000), TraceKind::kComplete, 7,
          static_cast<uint64_t>(IoVerb::kSyncData),
          kTraceError | static_cast<uint64_t>(IoError::kDevice));
  std::rewind(file);
  char line[200] = {};
  ASSERT_NE(std::fgets(line, sizeof(line), file), nullptr);
  std::fclose(file);
  EXPECT_EQ(std::string(line), "1.500000000   7 complete   sync-data " +
                                   std::string(Describe(IoError::kDevice)) + "\n");
}

}  // namespace
}  // namespace backstay
