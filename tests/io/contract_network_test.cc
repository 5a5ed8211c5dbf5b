// tests/io/contract_network_test.cc -- the sentences of io/io.h on sockets.
//
// Built against each back end, as contract_test.cc is.
#include <gtest/gtest.h>

#include "core/base/units.h"
#include "tests/io/contract_fixture.h"

namespace backstay {
namespace {

class ContractNetwork : public ContractTest {};

TEST_F(ContractNetwork, PortZeroIsReplacedByAChosenOne) {
  const Fd first = Listen();
  const Fd second = Listen();
  EXPECT_NE(io().LocalAddress(first).port(), 0);
  EXPECT_NE(io().LocalAddress(first), io().LocalAddress(second));
}

TEST_F(ContractNetwork, ListenersMayShareAPort) {
  const Fd first = Listen();
  auto second = io().Listen(io().LocalAddress(first), 128);
  ASSERT_TRUE(second.ok()) << second.status().ToString();
  EXPECT_EQ(io().LocalAddress(first), io().LocalAddress(*second));
  io().Close(*second);
}

TEST_F(ContractNetwork, TheFirstListenerFindsNobodyAndLetsOthersJoin) {
  const Fd listener = Listen();
  const SocketAddress taken = io().LocalAddress(listener);
  const auto refused = io().ListenFirst(taken, 128);
  ASSERT_FALSE(refused.ok()) << "a listener that shares its port is there";
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(std::string(refused.status().message()).find(taken.ToString()), std::string::npos)
      << refused.status();
  CloseNow(io(), listener);
  const auto first = io().ListenFirst(taken, 128);
  ASSERT_TRUE(first.ok()) << first.status();
  Keep(io(), *first);
  EXPECT_FALSE(io().ListenFirst(taken, 128).ok()) << "nobody else is the first now";
  const auto second = io().Listen(taken, 128);
  ASSERT_TRUE(second.ok()) << second.status();
  Keep(io(), *second);
}

TEST_F(ContractNetwork, TheFirstListenerAndThoseThatJoinedShareItsConnections) {
  constexpr size_t kConnections = 64;
  const auto first = io().ListenFirst(world().listen_address(), 128);
  ASSERT_TRUE(first.ok()) << first.status();
  Keep(io(), *first);
  const auto second = io().Listen(io().LocalAddress(*first), 128);
  ASSERT_TRUE(second.ok()) << second.status();
  Keep(io(), *second);
  Recorder accepts[2];
  io().Accept(accepts[0].op(), *first);
  io().Accept(accepts[1].op(), *second);
  std::vector<std::unique_ptr<Recorder>> connects;
  for (size_t count = 0; count < kConnections; ++count) {
    connects.push_back(std::make_unique<Recorder>());
    peer().Connect(connects.back()->op(), io().LocalAddress(*first));
  }
  const auto accepted = [&] { return accepts[0].events().size() + accepts[1].events().size(); };
  EXPECT_TRUE(world().RunUntil([&] {
    return accepted() == kConnections && std::all_of(connects.begin(), connects.end(),
                                                     [](auto& connect) { return connect->done(); });
  }));
  EXPECT_FALSE(accepts[0].events().empty());
  EXPECT_FALSE(accepts[1].events().empty());
  for (Recorder& accept : accepts) {
    for (const Event& event : accept.events()) {
      Keep(io(), event.fd);
    }
    io().Cancel(accept.op());
    EXPECT_TRUE(Await(accept));
  }
  for (const auto& connect : connects) {
    Keep(peer(), connect->last().fd);
  }
}

TEST_F(ContractNetwork, BothEndsAgreeOnTheirAddresses) {
  const SocketPair pair = Connect();
  EXPECT_EQ(io().LocalAddress(pair.server), peer().PeerAddress(pair.client));
  EXPECT_EQ(io().PeerAddress(pair.server), peer().LocalAddress(pair.client));
}

TEST_F(ContractNetwork, AConnectionThatWasResetHasNoPeer) {
  const SocketPair pair = Connect();
  SendAll(io(), pair.server, "unread");
  world().RunFor(absl::Milliseconds(10));
  Forget(peer(), pair.client);
  peer().Close(pair.client);  // with bytes that nobody has read
  world().RunFor(absl::Milliseconds(10));
  EXPECT_EQ(io().PeerAddress(pair.server), SocketAddress());
}

TEST_F(ContractNetwork, ConnectingFromAnAddressOfThisHostShowsIt) {
  const Fd listener = Listen();
  const SocketAddress own = SocketAddress::V4({127, 0, 0, 9}, 0);  // not what would be chosen
  Recorder accept;
  Recorder connect;
  io().Accept(accept.op(), listener);
  io().ConnectFrom(connect.op(), own, io().LocalAddress(listener));
  EXPECT_TRUE(AwaitEvents(accept, 1));
  EXPECT_TRUE(Await(connect));
  ASSERT_TRUE(connect.last().ok());
  const Fd server = Keep(io(), accept.events().front().fd);
  const Fd client = Keep(io(), connect.last().fd);
  EXPECT_EQ(io().PeerAddress(server).WithPort(0), own);
  EXPECT_EQ(io().PeerAddress(server), io().LocalAddress(client));
  io().Cancel(accept.op());
  EXPECT_TRUE(Await(accept));
}

TEST_F(ContractNetwork, ConnectingFromAForeignAddressFails) {
  const Fd listener = Listen();
  const SocketAddress foreign = SocketAddress::V4({192, 0, 2, 1}, 0);
  const SocketAddress to = io().LocalAddress(listener);
  const Event result = Run([&](Op* op) { io().ConnectFrom(op, foreign, to); });
  EXPECT_EQ(result.error, IoError::kUnreachable);
}

TEST_F(ContractNetwork, AcceptGoesOnUntilItIsCanceled) {
  const Fd listener = Listen();
  Recorder accept;
  io().Accept(accept.op(), listener);
  Recorder connects[5];
  for (Recorder& connect : connects) {
    peer().Connect(connect.op(), io().LocalAddress(listener));
  }
  EXPECT_TRUE(AwaitEvents(accept, 5));
  for (Recorder& connect : connects) {
    EXPECT_TRUE(Await(connect));
    ASSERT_TRUE(connect.last().ok());
    peer().Close(connect.last().fd);
  }
  for (const Event& event : accept.events()) {
    EXPECT_TRUE(event.ok());
    EXPECT_TRUE(event.more);
    io().Close(event.fd);
  }
  io().Cancel(accept.op());
  EXPECT_TRUE(Await(accept));
  EXPECT_EQ(accept.events().size(), 6u);
  EXPECT_EQ(accept.last().error, IoError::kCanceled);
}

TEST_F(ContractNetwork, ConnectingToNobodyIsRefused) {
  const Event result = Run([&](Op* op) { peer().Connect(op, world().refusing_address()); });
  EXPECT_EQ(result.error, IoError::kRefused);
  EXPECT_FALSE(result.fd.valid());
}

TEST_F(ContractNetwork, BytesArriveInOrderAndOnce) {
  const SocketPair pair = Connect();
  const std::string sent = Pattern(300'000);
  Recorder receive;
  receive.ReceiveAll(io(), pair.server);
  SendAll(peer(), pair.client, sent);
  EXPECT_TRUE(world().RunUntil([&] { return receive.received().size() >= sent.size(); }));
  EXPECT_EQ(receive.received(), sent);
  io().Cancel(receive.op());
  EXPECT_TRUE(Await(receive));
}

TEST_F(ContractNetwork, AReceiveBringsOnePieceAndNothingUntilTheNext) {
  const SocketPair pair = Connect();
  const std::string much = Pattern(32_MiB);  // more than both socket buffers hold
  Recorder receive;
  Recorder send;
  io().Receive(receive.op(), pair.server);
  peer().Send(send.op(), pair.client, AsBytes(much));
  EXPECT_TRUE(Await(receive));
  world().RunFor(absl::Milliseconds(50));
  ASSERT_EQ(receive.events().size(), 1u);
  EXPECT_FALSE(receive.last().more);
  EXPECT_GT(receive.last().count, 0u);
  EXPECT_LE(receive.last().count, 16_KiB);
  EXPECT_EQ(receive.received(), much.substr(0, receive.last().count));
  peer().Shutdown(pair.client);
  EXPECT_TRUE(Await(send));
}

TEST_F(ContractNetwork, BothDirectionsRunAtOnce) {
  const SocketPair pair = Connect();
  Recorder at_server;
  Recorder at_client;
  at_server.ReceiveAll(io(), pair.server);
  at_client.ReceiveAll(peer(), pair.client);
  SendAll(peer(), pair.client, "EHLO client.example\r\n");
  SendAll(io(), pair.server, "250 server.example\r\n");
  EXPECT_TRUE(world().RunUntil([&] {
    return at_server.received() == "EHLO client.example\r\n" &&
           at_client.received() == "250 server.example\r\n";
  }));
  io().Cancel(at_server.op());
  peer().Cancel(at_client.op());
  EXPECT_TRUE(Await(at_server) && Await(at_client));
}

TEST_F(ContractNetwork, ThePeersOrderlyEndIsTheLastEvent) {
  const SocketPair pair = Connect();
  Recorder receive;
  receive.ReceiveAll(io(), pair.server);
  SendAll(peer(), pair.client, "QUIT\r\n");
  CloseNow(peer(), pair.client);
  EXPECT_TRUE(Await(receive));
  EXPECT_EQ(receive.received(), "QUIT\r\n");
  EXPECT_TRUE(receive.last().ok());
  EXPECT_EQ(receive.last().count, 0u);
  EXPECT_FALSE(receive.last().more);
}

TEST_F(ContractNetwork, SendingToAPeerThatIsGoneEndsInReset) {
  const SocketPair pair = Connect();
  CloseNow(peer(), pair.client);
  Recorder send;
  EXPECT_TRUE(world().RunUntil([&] {
    if (send.done() && (send.events().empty() || send.last().ok())) {
      io().Send(send.op(), pair.server, AsBytes("250 Ok\r\n"));
    }
    return send.done();
  }));
  EXPECT_EQ(send.last().error, IoError::kReset);
}

TEST_F(ContractNetwork, ShutdownEndsAPendingReceiveAndThePeers) {
  const SocketPair pair = Connect();
  Recorder ours;
  Recorder theirs;
  io().Receive(ours.op(), pair.server);
  peer().Receive(theirs.op(), pair.client);
  world().RunFor(absl::Milliseconds(5));
  io().Shutdown(pair.server);
  EXPECT_TRUE(Await(ours));
  EXPECT_TRUE((ours.last().ok() && ours.last().count == 0) || ours.last().error == IoError::kReset);
  EXPECT_TRUE(Await(theirs));
  EXPECT_TRUE(theirs.last().ok());
  EXPECT_EQ(theirs.last().count, 0u);
}

TEST_F(ContractNetwork, AReceiveAfterShutdownEndsToo) {
  const SocketPair pair = Connect();
  io().Shutdown(pair.server);
  io().Shutdown(pair.server);
  Recorder receive;
  io().Receive(receive.op(), pair.server);
  EXPECT_TRUE(Await(receive));
  EXPECT_TRUE((receive.last().ok() && receive.last().count == 0) ||
              receive.last().error == IoError::kReset);
  EXPECT_FALSE(receive.last().more);
}

TEST_F(ContractNetwork, ShutdownEndsASendThatFoundNoRoom) {
  const SocketPair pair = Connect();
  const std::string much = Pattern(32_MiB);  // more than both socket buffers hold
  Recorder send;
  io().Send(send.op(), pair.server, AsBytes(much));
  world().RunFor(absl::Milliseconds(20));
  io().Shutdown(pair.server);
  EXPECT_TRUE(Await(send));
  EXPECT_EQ(send.events().size(), 1u);
  EXPECT_TRUE(send.last().error == IoError::kReset ||
              (send.last().ok() && send.last().count < much.size()));
}

TEST_F(ContractNetwork, BytesSentBeforeShutdownStillArrive) {
  const SocketPair pair = Connect();
  SendAll(io(), pair.server, "221 2.0.0 Bye\r\n");
  io().Shutdown(pair.server);
  Recorder receive;
  receive.ReceiveAll(peer(), pair.client);
  EXPECT_TRUE(Await(receive));
  EXPECT_EQ(receive.received(), "221 2.0.0 Bye\r\n");
  EXPECT_TRUE(receive.last().ok());
}

TEST_F(ContractNetwork, ShutdownSendEndsOurDirectionOnly) {
  const SocketPair pair = Connect();
  Recorder theirs;
  Recorder ours;
  theirs.ReceiveAll(peer(), pair.client);
  ours.ReceiveAll(io(), pair.server);
  SendAll(io(), pair.server, "521 5.5.2 bare line feed\r\n");
  io().ShutdownSend(pair.server);
  io().ShutdownSend(pair.server);
  EXPECT_TRUE(Await(theirs));
  EXPECT_TRUE(theirs.last().ok());
  EXPECT_EQ(theirs.last().count, 0u);
  EXPECT_EQ(theirs.received(), "521 5.5.2 bare line feed\r\n");
  SendAll(peer(), pair.client, "still talking");
  world().RunFor(absl::Milliseconds(5));
  SendAll(peer(), pair.client, ", and no reset came");
  EXPECT_TRUE(
      world().RunUntil([&] { return ours.received() == "still talking, and no reset came"; }));
  EXPECT_FALSE(ours.done());
  Recorder late;
  io().Send(late.op(), pair.server, AsBytes("one more thing"));
  EXPECT_TRUE(Await(late));
  EXPECT_EQ(late.last().error, IoError::kReset);
  peer().ShutdownSend(pair.client);
  EXPECT_TRUE(Await(ours));
  EXPECT_TRUE(ours.last().ok());
  EXPECT_EQ(ours.last().count, 0u);
}

TEST_F(ContractNetwork, ADismissedPeerReadsTheTextAndTheEnd) {
  for (const bool talks : {false, true}) {
    const SocketPair pair = Connect();
    if (talks) {
      SendAll(peer(), pair.client, "EHLO client.example\r\nQUIT\r\n");
      world().RunFor(absl::Milliseconds(50));  // it has come, and nobody reads it
    }
    Forget(io(), pair.server);
    io().Dismiss(pair.server, AsBytes("421 4.3.2 Too many connections\r\n"));
    Recorder receive;
    receive.ReceiveAll(peer(), pair.client);
    EXPECT_TRUE(Await(receive));
    EXPECT_EQ(receive.received(), "421 4.3.2 Too many connections\r\n") << talks;
    EXPECT_TRUE(receive.last().ok()) << "an orderly end, no reset: " << talks;
    EXPECT_EQ(receive.last().count, 0u);
  }
}

TEST_F(ContractNetwork, WhoIsGoneMayBeDismissed) {
  const SocketPair pair = Connect();
  CloseNow(peer(), pair.client);
  world().RunFor(absl::Milliseconds(50));
  Forget(io(), pair.server);
  io().Dismiss(pair.server, AsBytes("421 4.3.2 Too many connections\r\n"));
}

TEST_F(ContractNetwork, ADescriptorMayBeReusedAfterClose) {
  for (int round = 0; round < 5; ++round) {
    const SocketPair pair = Connect();
    SendAll(peer(), pair.client, "abc");
    Recorder receive;
    receive.ReceiveAll(io(), pair.server);
    EXPECT_TRUE(world().RunUntil([&] { return receive.received() == "abc"; }));
    io().Cancel(receive.op());
    EXPECT_TRUE(Await(receive));
    CloseNow(io(), pair.server);
    CloseNow(peer(), pair.client);
  }
}

}  // namespace
}  // namespace backstay
