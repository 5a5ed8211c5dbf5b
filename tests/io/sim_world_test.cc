// tests/io/sim_world_test.cc -- the simulated world itself: time, turns, determinism, network manners.
#include "io/sim/world.h"

#include <gtest/gtest.h>

#include <string>

namespace backstay {
namespace {

struct Recorder : Op {
  Recorder() : Op(&OnEvent) {}
  static void OnEvent(Op* op, const IoResult& result) {
    Recorder* self = static_cast<Recorder*>(op);
    self->events++;
    self->last = result;
    self->text += std::string(AsText(result.lent()));
    if (result.ok() && result.fd().valid()) {
      self->fd = result.fd();
    }
  }
  int events = 0;
  Fd fd;
  std::string text;
  IoResult last;
};

SocketAddress Address(uint8_t last, uint16_t port = 0) {
  return SocketAddress::V4({10, 0, 0, last}, port);
}

void TurnUntilDone(Io& io, const Op& op) {
  while (op.in_flight) {
    io.Turn(io.Now() + absl::Hours(1));
  }
}

TEST(World, BytesTravelBetweenTwoHosts) {
  World world(1);
  Host& server_host = world.AddHost("server", Address(1));
  Host& client_host = world.AddHost("client", Address(2));
  const std::unique_ptr<Io> server = world.MakeIo(server_host);
  const std::unique_ptr<Io> client = world.MakeIo(client_host);
  const Fd listener = *server->Listen(Address(1, 25), 16);
  Recorder accept, connect, receive, send;
  server->Accept(&accept, listener);
  client->Connect(&connect, Address(1, 25));
  TurnUntilDone(*client, connect);
  ASSERT_TRUE(connect.last.ok());
  while (!accept.fd.valid()) {
    server->Turn(server->Now() + absl::Seconds(1));
  }
  server->Receive(&receive, accept.fd);
  client->Send(&send, connect.fd, AsBytes("hello"));
  TurnUntilDone(*client, send);
  EXPECT_EQ(send.last.count(), 5u);
  client->Close(connect.fd);
  TurnUntilDone(*server, receive);
  EXPECT_EQ(receive.text, "hello");
  EXPECT_TRUE(receive.last.ok());
  server->Close(accept.fd);
  server->Cancel(&accept);
  TurnUntilDone(*server, accept);
  EXPECT_EQ(accept.last.error(), IoError::kCanceled);
  server->Close(listener);
}

}  // namespace
}  // namespace backstay
