// tests/io/uring/uring_allocation_test.cc -- a busy ring in steady state does not allocate.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "io/stream.h"
#include "tests/io/uring/uring_support.h"

namespace {

size_t allocations = 0;

}  // namespace

// Not inlined: the compiler would see free() meet what it takes for the library's own operator new.
__attribute__((noinline)) void* operator new(size_t bytes) {
  ++allocations;
  void* made = std::malloc(bytes);
  if (made == nullptr) {
    std::abort();
  }
  return made;
}
__attribute__((noinline)) void operator delete(void* at) noexcept {
  std::free(at);
}
__attribute__((noinline)) void operator delete(void* at, size_t /*bytes*/) noexcept {
  std::free(at);
}

namespace backstay {
namespace {

// Answers each line with a reply, as a session does.
class Echo : public StreamEvents {
 public:
  Echo(Outbox& outbox, std::string_view says) : stream(outbox, *this), says_(says) {}
  size_t OnStreamBytes(Bytes bytes) override {
    ++count;
    stream.Queue(AsBytes(says_));
    stream.Flush();
    return bytes.size();
  }
  void OnStreamEnd(IoError /*error*/) override { stream.Close(); }
  void OnStreamDrained() override {}
  void OnStreamClosed() override {}

  Stream stream;
  size_t count = 0;

 private:
  const std::string_view says_;
};

TEST(UringAllocation, ADialogueInSteadyStateAllocatesNothing) {
  auto io = MakeIo();
  const Fd listener = ListenOnLoopback(*io);
  Recorder connect;
  io->Connect(connect.op(), io->LocalAddress(listener));
  const Fd accepted = AcceptOne(*io, listener);
  ASSERT_TRUE(TurnUntil(*io, [&] { return connect.done(); }));
  Outbox outbox(*io);
  Echo server(outbox, "250 2.1.0 Ok, and something longer than a short string\r\n");
  Echo client(outbox, "MAIL FROM:<somebody@a.domain.with.a.long.name.example>\r\n");
  server.stream.Start(accepted);
  client.stream.Start(connect.last().fd);
  client.stream.Queue(AsBytes("EHLO\r\n"));
  client.stream.Flush();
  const auto turn_until = [&](size_t count) {
    for (int turn = 0; turn < 100'000 && server.count < count; ++turn) {
      io->Turn(io->Now() + absl::Seconds(1));
    }
  };
  turn_until(100);
  const size_t before = allocations;
  turn_until(2'100);
  EXPECT_GE(server.count, 2'100u);
  EXPECT_EQ(allocations, before);
  server.stream.Close();
  client.stream.Close();
  EXPECT_TRUE(TurnUntil(*io, [&] { return server.stream.closed() && client.stream.closed(); }));
  io->Close(listener);
}

}  // namespace
}  // namespace backstay
