// tests/spool/allocation_test.cc -- no allocation per message once buffers have grown.
#include <cstdlib>
#include <new>

#include "tests/spool/spool_harness.h"

namespace {

uint64_t allocations = 0;

}  // namespace

[[gnu::noinline]] void* operator new(size_t bytes) {
  ++allocations;
  void* memory = std::malloc(bytes);
  if (memory == nullptr) {
    std::abort();
  }
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}

namespace backstay {
namespace {

// One message after the other through one writer; what it holds is made before.
class Repeated : public MessageSource {
 public:
  explicit Repeated(Spool& spool) : writer(spool) {}
  MessageDescription Describe(const QueueId&) override {
    return {
        AsBytes("envelope"), AsBytes("Received: x\r\n"), domains, recipient_domains, WallTime(), 0};
  }
  void OnCommitted(CommitResult outcome, MessageRef) override {
    stored += outcome == CommitResult::kStored ? 1 : 0;
    done = true;
  }
  MessageWriter writer;
  std::vector<std::string_view> domains = {"a.example"};
  std::vector<uint16_t> recipient_domains = {0};
  uint64_t stored = 0;
  bool done = true;
};

TEST(Allocation, SteadyStateDoesNotAllocatePerMessage) {
  SpoolOptions options = SpoolHarness::SmallOptions();
  options.segment_bytes = 16_MiB;
  SpoolHarness harness(1, options);
  harness.Start();
  constexpr size_t kWriters = 16;
  std::vector<std::unique_ptr<Repeated>> writers;
  for (size_t i = 0; i < kWriters; ++i) {
    writers.push_back(std::make_unique<Repeated>(*harness.spool));
  }
  const std::string content = TestContent(1, 3000);
  uint64_t inside = 0;  // allocations made by the spool, not by the simulated disk
  const auto round = [&] {
    const uint64_t before = allocations;
    for (const auto& writer : writers) {
      writer->done = false;
      writer->writer.Append(AsBytes(content));
      writer->writer.Finish(*writer);
    }
    harness.spool->CommitTurn();
    inside += allocations - before;
    while (!writers.back()->done) {
      harness.io->Turn(harness.io->Now() + absl::Milliseconds(10));
      const uint64_t turn = allocations;
      harness.spool->CommitTurn();
      harness.spool->ReclaimStep();
      inside += allocations - turn;
    }
  };
  for (int i = 0; i < 20; ++i) {
    round();
  }
  inside = 0;
  for (int i = 0; i < 50; ++i) {
    round();
  }
  EXPECT_EQ(writers[0]->stored, 70u);
  // The simulator's queue of operations allocates for each verb: a few a batch of 16 messages.
  EXPECT_LT(inside, 50u * 8);
}

}  // namespace
}  // namespace backstay
