// tests/io/sim_network_test.cc -- what the simulated network promises, and how it fails.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "io/sim/connection.h"
#include "io/sim/network.h"
#include "tests/io/sim_support.h"

namespace backstay {
namespace {

// A server host and a client host, each with one program.
class SimNetwork : public ::testing::Test {
 protected:
  SimNetwork()
      : server_host_(world_.AddHost("server", TestAddress(1))),
        client_host_(world_.AddHost("client", TestAddress(2))),
        server_(world_.MakeIo(server_host_)),
        client_(world_.MakeIo(client_host_)) {}

  void Pass(absl::Duration duration) {
    const Instant end = world_.Now() + duration;
    while (world_.Now() < end) {
      server_->Turn(std::min(end, world_.Now() + absl::Seconds(1)));
      client_->Turn(std::min(end, world_.Now() + absl::Seconds(1)));
    }
    for (int round = 0; round < 20; ++round) {  // what came while the other was waiting
      server_->Turn(Instant());
      client_->Turn(Instant());
    }
  }
  void Listen(int backlog = 16) {
    listener_ = *server_->Listen(TestAddress(1, 25), backlog);
    server_->Accept(&accept_, listener_);
  }
  // Listens and connects; server_socket_ and client_socket_ are the two ends.
  void Connect() {
    Listen();
    client_->Connect(&connect_, TestAddress(1, 25));
    Pass(absl::Milliseconds(10));
    server_socket_ = accept_.fd();
    client_socket_ = connect_.fd();
    ASSERT_TRUE(server_socket_.valid());
    ASSERT_TRUE(client_socket_.valid());
  }
  void TearDown() override {  // the ops of this fixture die before the Ios
    world_.Crash(server_host_, CrashMode::kAllUnsynced);
    world_.Crash(client_host_, CrashMode::kAllUnsynced);
    server_.reset();
    client_.reset();
  }

  World world_{1};
  Host& server_host_;
  Host& client_host_;
  std::unique_ptr<Io> server_;
  std::unique_ptr<Io> client_;
  Recorder accept_;
  Recorder connect_;
  Recorder server_receive_;
  Recorder client_receive_;
  Recorder send_;
  Fd listener_;
  Fd server_socket_;
  Fd client_socket_;
};

TEST_F(SimNetwork, EndsKnowEachOthersAddresses) {
  Connect();
  EXPECT_EQ(client_->PeerAddress(client_socket_), TestAddress(1, 25));
  EXPECT_EQ(server_->LocalAddress(server_socket_), TestAddress(1, 25));
  EXPECT_EQ(server_->PeerAddress(server_socket_), client_->LocalAddress(client_socket_));
  EXPECT_EQ(server_->PeerAddress(server_socket_).WithPort(0), TestAddress(2));
}

TEST_F(SimNetwork, BytesAreSplitAndJoinedButNeverReordered) {
  FaultPlan plan = FaultPlan::Manners();
  plan.receive_no_buffers = 0;
  plan.receive_buffers = 10'000;
  world_.SetPlan(plan);
  Connect();
  server_receive_.ReceiveAll(*server_, server_socket_);
  std::string sent;
  for (int round = 0; round < 40; ++round) {
    const std::string piece(100, static_cast<char>('A' + round % 26));
    client_->Send(&send_, client_socket_, AsBytes(piece));
    while (send_.in_flight) {
      Pass(absl::Microseconds(10));
    }
    sent += piece.substr(0, send_.last.count());
  }
  Pass(absl::Seconds(1));
  EXPECT_TRUE(server_receive_.text == sent);
  EXPECT_GT(server_receive_.events, 20);
}

TEST_F(SimNetwork, SendWaitsUntilThePeerTakesBytes) {
  Connect();
  FaultPlan plan = FaultPlan::None();
  plan.socket_buffer_bytes = 1000;
  world_.SetPlan(plan);
  const std::string bytes(1500, 'x');
  client_->Send(&send_, client_socket_, AsBytes(bytes));
  Pass(absl::Seconds(1));
  EXPECT_EQ(send_.last.count(), 1000u);
  client_->Send(&send_, client_socket_, AsBytes(bytes).subspan(1000));
  Pass(absl::Minutes(5));
  EXPECT_TRUE(send_.in_flight);
  server_receive_.ReceiveAll(*server_, server_socket_);
  Pass(absl::Seconds(1));
  EXPECT_EQ(send_.last.count(), 500u);
  EXPECT_EQ(server_receive_.text.size(), 1500u);
}

TEST_F(SimNetwork, SendTakesItsBytesWhenItCompletes) {
  Connect();
  server_receive_.ReceiveAll(*server_, server_socket_);
  std::string buffer = "before";
  client_->Send(&send_, client_socket_, AsBytes(buffer));
  buffer = "after!";
  Pass(absl::Seconds(1));
  EXPECT_EQ(server_receive_.text, "after!");
}

TEST_F(SimNetwork, CloseEndsThePeersReceiveInOrder) {
  Connect();
  client_->Send(&send_, client_socket_, AsBytes("bye"));
  Pass(absl::Milliseconds(1));
  client_->Close(client_socket_);
  Pass(absl::Milliseconds(10));
  server_receive_.ReceiveAll(*server_, server_socket_);
  Pass(absl::Milliseconds(10));
  EXPECT_EQ(server_receive_.text, "bye");
  EXPECT_FALSE(server_receive_.in_flight);
  EXPECT_TRUE(server_receive_.last.ok());
  EXPECT_EQ(server_receive_.last.count(), 0u);
}

TEST_F(SimNetwork, ShutdownEndsBothDirectionsAndAnswersLateBytesWithAReset) {
  Connect();
  server_receive_.ReceiveAll(*server_, server_socket_);
  client_receive_.ReceiveAll(*client_, client_socket_);
  Pass(absl::Milliseconds(1));
  server_->Shutdown(server_socket_);
  Pass(absl::Milliseconds(10));
  EXPECT_FALSE(server_receive_.in_flight);
  EXPECT_TRUE(client_receive_.last.ok());  // the orderly end
  EXPECT_FALSE(client_receive_.in_flight);
  client_->Send(&send_, client_socket_, AsBytes("too late"));
  Pass(absl::Milliseconds(10));
  EXPECT_TRUE(send_.last.ok());
  client_->Send(&send_, client_socket_, AsBytes("again"));
  Pass(absl::Milliseconds(10));
  EXPECT_EQ(send_.last.error(), IoError::kReset);
}

TEST_F(SimNetwork, BytesOnTheWireArriveBeforeTheReset) {
  Connect();
  client_receive_.ReceiveAll(*client_, client_socket_);
  Recorder client_send;
  server_->Send(&send_, server_socket_, AsBytes("421 last words"));
  client_->Send(&client_send, client_socket_, AsBytes("still talking"));
  while (send_.in_flight) {
    server_->Turn(Instant());
  }
  server_->Shutdown(server_socket_);
  Pass(absl::Milliseconds(100));
  EXPECT_EQ(client_receive_.text, "421 last words");
  client_->Send(&client_send, client_socket_, AsBytes("still"));
  Pass(absl::Milliseconds(100));
  EXPECT_EQ(client_send.last.error(), IoError::kReset);
}

TEST_F(SimNetwork, CloseWithUnreadBytesResetsThePeer) {
  Connect();
  client_->Send(&send_, client_socket_, AsBytes("unread"));
  Pass(absl::Milliseconds(10));
  client_receive_.ReceiveAll(*client_, client_socket_);
  server_->Close(server_socket_);
  Pass(absl::Milliseconds(10));
  EXPECT_EQ(client_receive_.last.error(), IoError::kReset);
}

TEST_F(SimNetwork, ErrorOfABrokenConnectionIsToldOnce) {
  Connect();
  world_.Crash(server_host_, CrashMode::kAllUnsynced);
  server_ = world_.MakeIo(server_host_);
  Pass(absl::Milliseconds(10));
  client_receive_.ReceiveAll(*client_, client_socket_);
  Pass(absl::Milliseconds(10));
  EXPECT_EQ(client_receive_.last.error(), IoError::kReset);
  client_receive_.ReceiveAll(*client_, client_socket_);
  client_->Send(&send_, client_socket_, AsBytes("x"));
  Pass(absl::Milliseconds(10));
  EXPECT_TRUE(client_receive_.last.ok());
  EXPECT_EQ(client_receive_.last.count(), 0u);
  EXPECT_EQ(send_.last.error(), IoError::kReset);
}

TEST_F(SimNetwork, SilentCrashIsNoticedOnlyBySending) {
  Connect();
  FaultPlan plan = FaultPlan::None();
  plan.silent_crash = 1'000'000;
  world_.SetPlan(plan);
  world_.Crash(server_host_, CrashMode::kAllUnsynced);
  server_ = world_.MakeIo(server_host_);
  client_receive_.ReceiveAll(*client_, client_socket_);
  Pass(absl::Hours(1));
  EXPECT_TRUE(client_receive_.in_flight);
  client_->Send(&send_, client_socket_, AsBytes("anybody?"));
  Pass(absl::Seconds(1));
  EXPECT_EQ(client_receive_.last.error(), IoError::kReset);
}

// ---- connecting ----

TEST_F(SimNetwork, NobodyListeningIsRefused) {
  client_->Connect(&connect_, TestAddress(1, 25));
  Pass(absl::Seconds(1));
  EXPECT_EQ(connect_.last.error(), IoError::kRefused);
}

TEST_F(SimNetwork, HostThatIsDownIsUnreachableOrSilentAndComesBack) {
  Listen();
  server_host_.SetDown(true);
  std::set<IoError> seen;
  for (int round = 0; round < 12; ++round) {
    client_->Connect(&connect_, TestAddress(1, 25));
    Pass(absl::Minutes(3));
    ASSERT_FALSE(connect_.in_flight);
    seen.insert(connect_.last.error());
  }
  EXPECT_EQ(seen, (std::set<IoError>{IoError::kUnreachable, IoError::kTimedOut}));
  server_host_.SetDown(false);
  client_->Connect(&connect_, TestAddress(1, 25));
  Pass(absl::Seconds(1));
  EXPECT_TRUE(connect_.last.ok());
}

TEST_F(SimNetwork, PartitionHoldsBytesUntilItHealsOrTimesOut) {
  Connect();
  server_receive_.ReceiveAll(*server_, server_socket_);
  client_receive_.ReceiveAll(*client_, client_socket_);
  world_.SetReachable(server_host_, client_host_, false);
  client_->Send(&send_, client_socket_, AsBytes("held"));
  Pass(absl::Minutes(1));
  EXPECT_EQ(server_receive_.text, "");
  world_.SetReachable(server_host_, client_host_, true);
  Pass(absl::Seconds(1));
  EXPECT_EQ(server_receive_.text, "held");
  world_.SetReachable(server_host_, client_host_, false);
  client_->Send(&send_, client_socket_, AsBytes("lost"));
  Pass(absl::Minutes(20));
  EXPECT_EQ(client_receive_.last.error(), IoError::kTimedOut);
  EXPECT_TRUE(server_receive_.in_flight);  // it has no way to know
}

TEST_F(SimNetwork, ListenersOfOnePortShareConnectionsAndAFullBacklogMakesTheRestWait) {
  const std::unique_ptr<Io> second = world_.MakeIo(server_host_);
  const Fd second_listener = *second->Listen(TestAddress(1, 25), 2);
  Recorder second_accept;
  listener_ = *server_->Listen(TestAddress(1, 25), 2);
  std::vector<std::unique_ptr<Recorder>> connects;
  for (int count = 0; count < 8; ++count) {
    connects.push_back(std::make_unique<Recorder>());
    client_->Connect(connects.back().get(), TestAddress(1, 25));
  }
  Pass(absl::Milliseconds(100));
  size_t connected = 0;
  for (const std::unique_ptr<Recorder>& connect : connects) {
    connected += connect->fd().valid() ? 1 : 0;
  }
  EXPECT_EQ(connected, 4u);
  second->Accept(&second_accept, second_listener);
  server_->Accept(&accept_, listener_);
  for (int round = 0; round < 10; ++round) {
    second->Turn(second->Now() + absl::Seconds(1));
    Pass(absl::Seconds(2));
  }
  EXPECT_EQ(accept_.fds.size() + second_accept.fds.size(), 8u);
  EXPECT_FALSE(accept_.fds.empty());
  EXPECT_FALSE(second_accept.fds.empty());
  world_.Crash(server_host_, CrashMode::kAllUnsynced);
  world_.Crash(client_host_, CrashMode::kAllUnsynced);
}

TEST_F(SimNetwork, CanceledConnectLeavesNothingBehind) {
  Listen();
  client_->Connect(&connect_, TestAddress(1, 25));
  client_->Cancel(&connect_);
  Pass(absl::Seconds(1));
  EXPECT_EQ(connect_.events, 1);
  if (accept_.fd().valid()) {  // it had got through: then it is cut
    server_receive_.ReceiveAll(*server_, accept_.fd());
    Pass(absl::Seconds(1));
    EXPECT_FALSE(server_receive_.in_flight);
  }
}

// ---- manners of the kernel ----

TEST_F(SimNetwork, AcceptWithoutDescriptorsEndsAndCanBeArmedAgain) {
  FaultPlan plan = FaultPlan::None();
  plan.accept_no_descriptors = 1'000'000;
  world_.SetPlan(plan);
  Listen();
  client_->Connect(&connect_, TestAddress(1, 25));
  Pass(absl::Seconds(1));
  EXPECT_EQ(accept_.last.error(), IoError::kNoDescriptors);
  EXPECT_FALSE(accept_.in_flight);
  world_.SetPlan(FaultPlan::None());
  server_->Accept(&accept_, listener_);
  Pass(absl::Seconds(1));
  EXPECT_TRUE(accept_.fd().valid());
}

TEST_F(SimNetwork, ReceiveWithoutBuffersEndsAndLosesNoByte) {
  Connect();
  FaultPlan plan = FaultPlan::None();
  plan.receive_no_buffers = 500'000;
  plan.receive_buffer_bytes = 10;
  world_.SetPlan(plan);
  std::string sent;
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    sent += std::string(20, letter);
  }
  client_->Send(&send_, client_socket_, AsBytes(sent));
  bool no_buffers = false;
  bool ended_with_bytes = false;
  for (int round = 0; round < 500 && server_receive_.text.size() < sent.size(); ++round) {
    server_->Receive(&server_receive_, server_socket_);
    Pass(absl::Milliseconds(2));
    no_buffers = no_buffers || server_receive_.last.error() == IoError::kNoBuffers;
    ended_with_bytes =
        ended_with_bytes || (server_receive_.last.ok() && server_receive_.last.count() > 0);
    ASSERT_FALSE(server_receive_.in_flight && server_receive_.text.size() < sent.size());
  }
  EXPECT_EQ(server_receive_.text, sent);
  EXPECT_TRUE(no_buffers);
  EXPECT_TRUE(ended_with_bytes);
}

TEST_F(SimNetwork, SeveralReceivesShareTheBuffersOfTheirIo) {
  FaultPlan plan = FaultPlan::None();
  plan.receive_buffers = 1;
  world_.SetPlan(plan);
  Connect();
  const Fd first = server_socket_;
  Recorder other_connect;
  client_->Connect(&other_connect, TestAddress(1, 25));
  Pass(absl::Milliseconds(10));
  const Fd second = accept_.fd();
  ASSERT_NE(first.number(), second.number());
  Recorder other_send;
  client_->Send(&send_, client_socket_, AsBytes("one"));
  client_->Send(&other_send, other_connect.fd(), AsBytes("two"));
  Pass(absl::Milliseconds(10));
  Recorder other_receive;
  server_->Receive(&server_receive_, first);
  server_->Receive(&other_receive, second);
  world_.RunFor(absl::Milliseconds(10));  // the server has no turn meanwhile
  server_->Turn(Instant());
  EXPECT_EQ(server_receive_.text + other_receive.text, server_receive_.last.ok() ? "one" : "two");
  const IoError of_the_other =
      server_receive_.last.ok() ? other_receive.last.error() : server_receive_.last.error();
  EXPECT_EQ(of_the_other, IoError::kNoBuffers);
  world_.Crash(server_host_, CrashMode::kAllUnsynced);
  world_.Crash(client_host_, CrashMode::kAllUnsynced);
}

#if defined(__SANITIZE_ADDRESS__)
TEST_F(SimNetwork, LentBytesReadAfterTheCompletionAreFound) {
  struct Keeper : Op {
    Keeper()
        : Op([](Op* op, const IoResult& result) {
            static_cast<Keeper*>(op)->kept = result.lent();
          }) {}
    Bytes kept;
  };
  Connect();
  Keeper keeper;
  server_->Receive(&keeper, server_socket_);
  client_->Send(&send_, client_socket_, AsBytes("lent"));
  Pass(absl::Seconds(1));
  ASSERT_EQ(keeper.kept.size(), 4u);
  EXPECT_DEATH(
      {
        volatile uint8_t byte = keeper.kept[0];
        static_cast<void>(byte);
      },
      "heap-use-after-free");
  world_.Crash(server_host_, CrashMode::kAllUnsynced);
}
#endif

}  // namespace
}  // namespace backstay
