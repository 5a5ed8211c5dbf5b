// tests/io/stream_fixture.h -- two joined streams, with owners that write down what happens.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "io/stream.h"
#include "tests/io/contract_fixture.h"

namespace backstay {

// An owner that takes `room` bytes at most (all, by default) and writes down what it is told.
class Owner : public StreamEvents {
 public:
  Owner(Outbox& outbox, Fd socket) : stream(outbox, *this) { stream.Start(socket); }

  size_t OnStreamBytes(Bytes bytes) override {
    EXPECT_FALSE(bytes.empty());
    EXPECT_FALSE(ended || closed_count > 0);
    EXPECT_FALSE(inside_call) << "an event inside a call";
    const size_t taken = std::min(room, bytes.size());
    room -= taken;
    received.append(AsText(bytes.first(taken)));
    if (on_bytes) {
      on_bytes();
    }
    return taken;
  }
  void OnStreamEnd(IoError error) override {
    EXPECT_FALSE(ended) << "told once";
    EXPECT_EQ(closed_count, 0);
    ended = true;
    end_error = error;
    if (on_end) {
      on_end();
    }
  }
  void OnStreamSecure() override {
    EXPECT_FALSE(stream.handshaking());
    ++secure_count;
    if (on_secure) {
      on_secure();
    }
  }
  void OnStreamDrained() override {
    EXPECT_EQ(stream.queued_bytes(), 0u);
    ++drained_count;
    if (on_drained) {
      on_drained();
    }
  }
  void OnStreamClosed() override {
    EXPECT_FALSE(inside_call) << "never inside Close()";
    EXPECT_TRUE(stream.closed());
    ++closed_count;
    if (on_closed) {
      on_closed();
    }
  }

  void Close() {
    inside_call = true;
    stream.Close();
    inside_call = false;
  }

  size_t room = SIZE_MAX;
  std::string received;
  bool ended = false;
  bool inside_call = false;
  IoError end_error = IoError::kNone;
  int drained_count = 0;
  int closed_count = 0;
  int secure_count = 0;
  std::function<void()> on_bytes;
  std::function<void()> on_end;
  std::function<void()> on_drained;
  std::function<void()> on_secure;
  std::function<void()> on_closed;
  Stream stream;
};

class StreamTest : public ContractTest {
 protected:
  void Open() {
    const SocketPair pair = Connect();
    Forget(io(), pair.server);
    Forget(peer(), pair.client);
    server_ = std::make_unique<Owner>(outbox_, pair.server);
    client_ = std::make_unique<Owner>(peer_outbox_, pair.client);
  }
  Owner& server() { return *server_; }
  Owner& client() { return *client_; }
  void SendFrom(Owner& from, const std::string& bytes) {
    from.stream.Queue(AsBytes(bytes));
    from.stream.Flush();
  }
  bool Until(const std::function<bool()>& done) { return world().RunUntil(done); }
  void CloseBoth() {
    for (Owner* owner : {server_.get(), client_.get()}) {
      if (owner != nullptr && !owner->stream.closed()) {
        owner->Close();
        EXPECT_TRUE(Until([&] { return owner->stream.closed(); }));
        EXPECT_EQ(owner->closed_count, 1);
      }
    }
  }
  void TearDown() override {
    CloseBoth();
    ContractTest::TearDown();
  }

  Outbox outbox_{io()};
  Outbox peer_outbox_{peer()};
  std::unique_ptr<Owner> server_;
  std::unique_ptr<Owner> client_;
};

}  // namespace backstay
