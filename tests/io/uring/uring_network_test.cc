// tests/io/uring/uring_network_test.cc -- what only a kernel does to a ring.
//
// Buffers that run out, queues that overflow, wakes from other threads, descriptors that are gone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/time.h>

#include <atomic>
#include <thread>

#include "core/base/mark.h"
#include "tests/io/uring/uring_support.h"

namespace backstay {
namespace {

using testing::HasSubstr;

// Receives on one socket until its end.
class Receiver {
 public:
  Receiver(Io& io, Fd socket) : socket_(socket) { recorder_.ReceiveAll(io, socket); }
  const std::string& received() const { return recorder_.received(); }
  size_t CountOf(IoError error) const {
    return static_cast<size_t>(
        std::count_if(recorder_.events().begin(), recorder_.events().end(),
                      [&](const Event& event) { return event.error == error; }));
  }
  bool done() const { return recorder_.done(); }
  Fd socket() const { return socket_; }

 private:
  const Fd socket_;
  Recorder recorder_;
};

TEST(UringReceive, WithFewBuffersEveryByteStillArrives) {
  UringOptions options = SmallOptions();
  options.receive_buffers = 2;
  options.receive_buffer_bytes = 64;
  auto io = MakeIo(options);
  const Fd listener = ListenOnLoopback(*io);
  const std::string sent = Pattern(20'000);
  std::vector<int> clients;
  std::vector<std::unique_ptr<Receiver>> receivers;
  for (int index = 0; index < 4; ++index) {
    clients.push_back(ConnectPlainly(*io, listener));
    receivers.push_back(std::make_unique<Receiver>(*io, AcceptOne(*io, listener)));
    ASSERT_EQ(write(clients.back(), sent.data(), sent.size()), static_cast<ssize_t>(sent.size()));
    ASSERT_EQ(close(clients.back()), 0);
  }
  for (auto& receiver : receivers) {
    EXPECT_TRUE(TurnUntil(*io, [&] { return receiver->done(); }));
    EXPECT_EQ(receiver->received(), sent);
    io->Close(receiver->socket());
  }
  EXPECT_GT(CountersOf(*io).no_buffers, 0u) << "the case must run out of buffers";
  io->Close(listener);
}

TEST(UringReceive, OneBufferIsEnough) {
  UringOptions options = SmallOptions();
  options.receive_buffers = 1;
  options.receive_buffer_bytes = 100;
  auto io = MakeIo(options);
  const Fd listener = ListenOnLoopback(*io);
  const int client = ConnectPlainly(*io, listener);
  Receiver receiver(*io, AcceptOne(*io, listener));
  const std::string sent = Pattern(5'000);
  ASSERT_EQ(write(client, sent.data(), sent.size()), static_cast<ssize_t>(sent.size()));
  ASSERT_EQ(close(client), 0);
  EXPECT_TRUE(TurnUntil(*io, [&] { return receiver.done(); }));
  EXPECT_EQ(receiver.received(), sent);
  EXPECT_EQ(receiver.CountOf(IoError::kNoBuffers), 0u) << "a socket has one buffer at a time";
  io->Close(receiver.socket());
  io->Close(listener);
}

TEST(UringReceive, AResetIsAReset) {
  auto io = MakeIo();
  const Fd listener = ListenOnLoopback(*io);
  const int client = ConnectPlainly(*io, listener);
  Receiver receiver(*io, AcceptOne(*io, listener));
  io->Turn(io->Now());
  const linger hard{1, 0};
  ASSERT_EQ(setsockopt(client, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
  ASSERT_EQ(close(client), 0);
  EXPECT_TRUE(TurnUntil(*io, [&] { return receiver.done(); }));
  EXPECT_EQ(receiver.CountOf(IoError::kReset), 1u);
  io->Close(receiver.socket());
  io->Close(listener);
}

// Linux hands out what came before a reset, other systems drop it: so the state of the connection
// is asked for, not its bytes.
TEST(UringDismiss, WhoHasAlreadySaidSomethingIsNotReset) {
  auto io = MakeIo();
  const Fd listener = ListenOnLoopback(*io);
  const int client = ConnectPlainly(*io, listener);
  const Fd server = AcceptOne(*io, listener);
  ASSERT_EQ(write(client, "EHLO a\r\n", 8), 8);
  io->Dismiss(server, AsBytes("421 no\r\n"));
  tcp_info info{};
  socklen_t size = sizeof(info);
  ASSERT_EQ(getsockopt(client, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
  EXPECT_EQ(info.tcpi_state, TCP_CLOSE_WAIT);
  ASSERT_EQ(close(client), 0);
  io->Close(listener);
}

TEST(UringQueues, ATinyCompletionQueueOverflowsAndLosesNothing) {
  UringOptions options = SmallOptions();
  options.submission_entries = 4;
  options.completion_entries = 8;
  options.receive_buffers = 64;
  options.receive_buffer_bytes = 64;
  auto io = MakeIo(options);
  const Fd listener = ListenOnLoopback(*io);
  constexpr size_t kClients = 40;
  Recorder accept;
  io->Accept(accept.op(), listener);
  io->Turn(io->Now());
  std::vector<int> clients;
  for (size_t index = 0; index < kClients; ++index) {
    clients.push_back(ConnectPlainly(*io, listener));
  }
  EXPECT_TRUE(TurnUntil(*io, [&] { return accept.events().size() == kClients; }));
  std::vector<std::unique_ptr<Receiver>> receivers;
  for (const Event& event : accept.events()) {
    ASSERT_TRUE(event.ok());
    EXPECT_TRUE(event.more) << "a full queue ends the kernel's multishot, not the op";
    receivers.push_back(std::make_unique<Receiver>(*io, event.fd));
  }
  const std::string sent = Pattern(3'000);
  for (const int client : clients) {
    ASSERT_EQ(write(client, sent.data(), sent.size()), static_cast<ssize_t>(sent.size()));
    ASSERT_EQ(close(client), 0);
  }
  for (auto& receiver : receivers) {
    EXPECT_TRUE(TurnUntil(*io, [&] { return receiver->done(); }));
    EXPECT_EQ(receiver->received(), sent);
    io->Close(receiver->socket());
  }
  EXPECT_GT(CountersOf(*io).overflows, 0u) << "the case must overflow";
  EXPECT_EQ(CountersOf(*io).stale, 0u);
  io->Cancel(accept.op());
  EXPECT_TRUE(TurnUntil(*io, [&] { return accept.done(); }));
  io->Close(listener);
}

TEST(UringAccept, WithoutDescriptorsItEndsAndGoesOnWhenArmedAgain) {
  auto io = MakeIo();
  const Fd listener = ListenOnLoopback(*io);
  const int client = ConnectPlainly(*io, listener);
  Recorder accept;
  {
    LoweredLimit limit(RLIMIT_NOFILE, 3);
    io->Accept(accept.op(), listener);
    EXPECT_TRUE(TurnUntil(*io, [&] { return accept.done(); }));
    ASSERT_EQ(accept.events().size(), 1u);
    EXPECT_EQ(accept.last().error, IoError::kNoDescriptors);
    EXPECT_FALSE(accept.last().more);
  }
  io->Accept(accept.op(), listener);
  EXPECT_TRUE(TurnUntil(*io, [&] { return accept.events().size() == 2; }));
  ASSERT_TRUE(accept.last().ok()) << "the connection waited in the backlog";
  io->Close(accept.last().fd);
  io->Cancel(accept.op());
  EXPECT_TRUE(TurnUntil(*io, [&] { return accept.done(); }));
  io->Close(listener);
  close(client);
}

void ExpectOptions(Fd socket) {
  const struct {
    int level;
    int name;
    int expected;
  } rows[] = {{IPPROTO_TCP, TCP_NODELAY, 1},
              {SOL_SOCKET, SO_KEEPALIVE, 1},
              {IPPROTO_TCP, TCP_KEEPIDLE, 60},
              {IPPROTO_TCP, TCP_USER_TIMEOUT, 180'000}};
  for (const auto& row : rows) {
    int value = -1;
    socklen_t bytes = sizeof(value);
    ASSERT_EQ(getsockopt(socket.number(), row.level, row.name, &value, &bytes), 0);
    EXPECT_EQ(value, row.expected) << row.name;
  }
}

TEST(UringAccept, AcceptedSocketsInheritTheListenersOptions) {
  auto io = MakeIo();
  const Fd listener = ListenOnLoopback(*io);
  const int client = ConnectPlainly(*io, listener);
  const Fd accepted = AcceptOne(*io, listener);
  ExpectOptions(accepted);
  io->Close(accepted);
  io->Close(listener);
  close(client);
}

TEST(UringConnect, WhatIsConnectedHasItsOptions) {
  auto io = MakeIo();
  const Fd listener = ListenOnLoopback(*io);
  Recorder connect;
  io->Connect(connect.op(), io->LocalAddress(listener));
  ASSERT_TRUE(TurnUntil(*io, [&] { return connect.done(); }));
  ASSERT_TRUE(connect.last().ok());
  ExpectOptions(connect.last().fd);
  io->Close(connect.last().fd);
  io->Close(listener);
}

TEST(UringConnect, WithoutDescriptorsItSaysSoInATurn) {
  auto io = MakeIo();
  Recorder connect;
  {
    LoweredLimit limit(RLIMIT_NOFILE, 3);
    io->Connect(connect.op(), SocketAddress::V4({127, 0, 0, 1}, 1));
  }
  EXPECT_TRUE(connect.events().empty());
  io->Turn(io->Now() + absl::Hours(1));
  ASSERT_EQ(connect.events().size(), 1u);
  EXPECT_EQ(connect.last().error, IoError::kNoDescriptors);
}

TEST(UringConnect, AFailedConnectLeavesNoDescriptor) {
  auto io = MakeIo();
  const auto count = [] {
    const auto entries = std::filesystem::directory_iterator("/proc/self/fd");
    return std::distance(begin(entries), end(entries));
  };
  const auto before = count();
  Recorder connect;
  for (int round = 0; round < 20; ++round) {
    io->Connect(connect.op(), SocketAddress::V4({127, 0, 0, 1}, 1));
    EXPECT_TRUE(TurnUntil(*io, [&] { return connect.done(); }));
    EXPECT_EQ(connect.last().error, IoError::kRefused);
  }
  EXPECT_EQ(count(), before);
}

TEST(UringConnect, NoRouteIsUnreachable) {
  auto io = MakeIo();
  Recorder connect;
  // There is no TCP to a multicast group, whatever the routes of this machine are.
  io->Connect(connect.op(), SocketAddress::V4({224, 0, 0, 1}, 25));
  EXPECT_TRUE(TurnUntil(*io, [&] { return connect.done(); }));
  EXPECT_EQ(connect.last().error, IoError::kUnreachable);
}

TEST(UringConnect, AConnectThatHangsCanBeCanceled) {
  auto io = MakeIo();
  // A listener whose backlog is full does not answer any more.
  const int full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  socklen_t bytes = sizeof(address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(full, reinterpret_cast<sockaddr*>(&address), bytes), 0);
  ASSERT_EQ(listen(full, 0), 0);
  ASSERT_EQ(getsockname(full, reinterpret_cast<sockaddr*>(&address), &bytes), 0);
  const SocketAddress to = SocketAddress::V4({127, 0, 0, 1}, ntohs(address.sin_port));
  Recorder connects[6];
  for (Recorder& connect : connects) {
    io->Connect(connect.op(), to);
  }
  io->Turn(io->Now() + absl::Milliseconds(20));
  int canceled = 0;
  for (Recorder& connect : connects) {
    io->Cancel(connect.op());
    EXPECT_TRUE(TurnUntil(*io, [&] { return connect.done(); }));
    if (connect.last().ok()) {
      io->Close(connect.last().fd);
    } else {
      EXPECT_EQ(connect.last().error, IoError::kCanceled);
      ++canceled;
    }
  }
  EXPECT_GT(canceled, 0);
  close(full);
}

TEST(UringListen, AnAddressInUseIsExplained) {
  auto io = MakeIo();
  const int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  socklen_t bytes = sizeof(address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(other, reinterpret_cast<sockaddr*>(&address), bytes), 0);
  ASSERT_EQ(listen(other, 1), 0);
  ASSERT_EQ(getsockname(other, reinterpret_cast<sockaddr*>(&address), &bytes), 0);
  const auto listener = io->Listen(SocketAddress::V4({127, 0, 0, 1}, ntohs(address.sin_port)), 1);
  ASSERT_FALSE(listener.ok());
  EXPECT_THAT(listener.status().ToString(), HasSubstr("ss -ltnp"));
  close(other);
}

TEST(UringListen, Ipv6StandsBesideIpv4OnOnePort) {
  auto io = MakeIo();
  const Fd first = ListenOnLoopback(*io);
  const uint16_t port = io->LocalAddress(first).port();
  auto any = io->Listen(SocketAddress::V6({}, port), 1);
  if (!any.ok()) {
    GTEST_SKIP() << "no IPv6 here: " << any.status().ToString();
  }
  EXPECT_TRUE(io->LocalAddress(*any).is_v6());
  io->Close(*any);
  io->Close(first);
}

// ---- wakes and signals ----

TEST(UringWake, TenThousandWakesOfAnotherThreadAreNeverLost) {
  constexpr int kWakes = 10'000;
  auto io = MakeIo();
  std::atomic<int> posted{0};
  std::atomic<int> seen{0};
  std::thread other([&] {
    for (int index = 0; index < kWakes; ++index) {
      posted.store(index + 1);
      io->Wake();
      // Half of the wakes meet a thread that is going to sleep or asleep, the other half any state.
      while (index % 2 == 0 && seen.load() <= index) {
        std::this_thread::yield();
      }
    }
  });
  const Instant start = io->Now();
  while (seen.load() < kWakes) {
    io->Turn(io->Now() + absl::Seconds(60));
    seen.store(posted.load());
    ASSERT_LT(io->Now() - start, absl::Seconds(50)) << "a wake was lost: a turn slept its minute";
  }
  other.join();
}

TEST(UringWake, AWakeThatMeetsABusyTurnCostsNoSystemCallAndIsKept) {
  auto io = MakeIo();
  io->Turn(io->Now());
  const Instant before = io->Now();
  std::thread([&] { io->Wake(); }).join();
  io->Turn(io->Now() + absl::Hours(1));
  EXPECT_LT(io->Now() - before, absl::Minutes(1));
}

void IgnoreSignal(int /*signal*/) {}

TEST(UringTurn, SignalsDoNotCutAWaitShort) {
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = &IgnoreSignal;
  ASSERT_EQ(sigaction(SIGALRM, &action, &before), 0);
  const itimerval every = {{0, 2000}, {0, 2000}};
  ASSERT_EQ(setitimer(ITIMER_REAL, &every, nullptr), 0);
  auto io = MakeIo();
  const Instant wake = io->Now() + absl::Milliseconds(50);
  io->Turn(wake);
  const itimerval off{};
  ASSERT_EQ(setitimer(ITIMER_REAL, &off, nullptr), 0);
  ASSERT_EQ(sigaction(SIGALRM, &before, nullptr), 0);
  EXPECT_GE(io->Now(), wake);
}

TEST(UringTurn, OneTurnIsOneSystemCallHoweverManyOpsItCarries) {
  auto io = MakeIo();
  const Fd listener = ListenOnLoopback(*io);
  const int client = ConnectPlainly(*io, listener);
  const Fd server = AcceptOne(*io, listener);
  io->Turn(io->Now());
  const uint64_t enters = CountersOf(*io).enters;
  const uint64_t turns = CountersOf(*io).turns;
  Recorder sends[500];
  for (Recorder& send : sends) {
    io->Send(send.op(), server, AsBytes("x"));
  }
  EXPECT_TRUE(TurnUntil(*io, [&] {
    return std::all_of(std::begin(sends), std::end(sends), [](auto& send) { return send.done(); });
  }));
  EXPECT_EQ(CountersOf(*io).enters - enters, CountersOf(*io).turns - turns);
  EXPECT_EQ(CountersOf(*io).turns - turns, 1u);
  io->Close(server);
  io->Close(listener);
  close(client);
}

TEST(UringTurn, OpsQueuedBeforeTheFirstTurnWaitForIt) {
  UringOptions options = SmallOptions();
  options.submission_entries = 8;
  auto io = MakeIo(options);
  const Fd listener = ListenOnLoopback(*io);
  std::vector<std::unique_ptr<Recorder>> connects;
  for (int index = 0; index < 50; ++index) {
    connects.push_back(std::make_unique<Recorder>());
    io->Connect(connects.back()->op(), SocketAddress::V4({127, 0, 0, 1}, 1));
  }
  Recorder receive;
  io->Accept(receive.op(), listener);
  io->Cancel(receive.op());  // behind its own entry, which has no place yet
  EXPECT_GT(CountersOf(*io).unsent, 0u);
  EXPECT_TRUE(TurnUntil(*io, [&] {
    return receive.done() && std::all_of(connects.begin(), connects.end(),
                                         [](auto& connect) { return connect->done(); });
  }));
  for (auto& connect : connects) {
    ASSERT_EQ(connect->events().size(), 1u);
    EXPECT_EQ(connect->last().error, IoError::kRefused);
  }
  EXPECT_EQ(receive.last().error, IoError::kCanceled);
  io->Close(listener);
}

TEST(UringTurn, MadeOnOneThreadItRunsOnAnother) {
  auto io = MakeIo();
  const Fd listener = ListenOnLoopback(*io);
  std::thread shard([&] {
    Recorder connect;
    io->Connect(connect.op(), io->LocalAddress(listener));
    EXPECT_TRUE(TurnUntil(*io, [&] { return connect.done(); }));
    ASSERT_TRUE(connect.last().ok());
    io->Close(connect.last().fd);
  });
  shard.join();
  io->Close(listener);
  io.reset();
}

TEST(UringTurnDeathTest, ASecondThreadIsRefused) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        auto io = MakeIo();
        io->Turn(io->Now());
        std::thread([&] { io->Turn(io->Now()); }).join();
      },
      "io_uring_enter: File exists");
}

TEST(UringCloseDeathTest, ADescriptorWithAnOpInFlightIsNotClosed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        auto io = MakeIo();
        const Fd listener = ListenOnLoopback(*io);
        Recorder accept;
        io->Accept(accept.op(), listener);
        io->Close(listener);
      },
      "state.ops == 0");
}

}  // namespace
}  // namespace backstay
