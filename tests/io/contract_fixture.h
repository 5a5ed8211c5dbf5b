// tests/io/contract_fixture.h -- verbs for the cases that run on every Io: connect, open, await.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/io.h"
#include "tests/io/contract_world.h"

namespace backstay {

struct Event {
  IoError error = IoError::kNone;
  size_t count = 0;
  Fd fd;
  bool more = false;
  bool ok() const { return error == IoError::kNone; }
};

// One op and everything that it reported.
class Recorder {
 public:
  Op* op() { return &completion_; }
  bool done() const { return !completion_.in_flight; }
  // Of the last event.
  const Event& last() const { return events_.back(); }
  const std::vector<Event>& events() const { return events_; }
  // Everything that was lent, in order.
  const std::string& received() const { return received_; }
  void Clear() {
    events_.clear();
    received_.clear();
  }
  // Receives piece after piece, until the end, an error or a cancel.
  void ReceiveAll(Io& io, Fd socket) {
    on_event = [this, &io, socket] {
      if (last().error == IoError::kNoBuffers || last().count > 0) {
        io.Receive(op(), socket);
      }
    };
    io.Receive(op(), socket);
  }
  // Called after each event is recorded.
  std::function<void()> on_event;

 private:
  void OnEvent(const IoResult& result) {
    if (!result.more()) {
      EXPECT_FALSE(completion_.in_flight) << "cleared before the last completion";
    } else {
      EXPECT_TRUE(completion_.in_flight) << "a multishot op stays in flight";
    }
    events_.push_back({result.error(), result.count(), result.fd(), result.more()});
    received_.append(AsText(result.lent()));
    EXPECT_TRUE(result.lent().empty() || result.lent().size() == result.count());
    if (on_event) {
      on_event();
    }
  }

  std::vector<Event> events_;
  std::string received_;
  Completion<&Recorder::OnEvent> completion_{this};
};

struct SocketPair {
  Fd server;  // of io()
  Fd client;  // of peer()
};

class ContractTest : public testing::Test {
 protected:
  Io& io() { return world_->io(); }
  Io& peer() { return world_->peer_io(); }
  ContractWorld& world() { return *world_; }

  bool Await(const Recorder& recorder) {
    return world_->RunUntil([&] { return recorder.done(); });
  }
  bool AwaitEvents(const Recorder& recorder, size_t count) {
    return world_->RunUntil([&] { return recorder.events().size() >= count; });
  }

  // ---- network ----
  Fd Listen() {
    auto listener = io().Listen(world_->listen_address(), 128);
    EXPECT_TRUE(listener.ok()) << listener.status().ToString();
    return Keep(io(), *listener);
  }
  SocketPair Connect() {
    const Fd listener = Listen();
    Recorder accept;
    Recorder connect;
    io().Accept(accept.op(), listener);
    peer().Connect(connect.op(), io().LocalAddress(listener));
    EXPECT_TRUE(AwaitEvents(accept, 1));
    EXPECT_TRUE(Await(connect));
    EXPECT_TRUE(accept.events().front().ok());
    EXPECT_TRUE(connect.last().ok());
    io().Cancel(accept.op());
    EXPECT_TRUE(Await(accept));
    return {Keep(io(), accept.events().front().fd), Keep(peer(), connect.last().fd)};
  }
  // All of `bytes`, however short the sends are.
  void SendAll(Io& from, Fd socket, const std::string& bytes) {
    Recorder send;
    for (size_t sent = 0; sent < bytes.size();) {
      from.Send(send.op(), socket, AsBytes(bytes).subspan(sent));
      ASSERT_TRUE(Await(send));
      ASSERT_TRUE(send.last().ok()) << Describe(send.last().error);
      ASSERT_GT(send.last().count, 0u);
      sent += send.last().count;
    }
  }

  // ---- files ----
  Fd Scratch() {
    auto directory = io().OpenDirectory(world_->scratch_directory(), false);
    EXPECT_TRUE(directory.ok()) << directory.status().ToString();
    return Keep(io(), *directory);
  }
  Event OpenFile(Fd directory, const char* name, OpenMode mode) {
    Recorder open;
    io().Open(open.op(), directory, name, mode);
    EXPECT_TRUE(Await(open));
    if (open.last().ok()) {
      Keep(io(), open.last().fd);
    }
    return open.last();
  }
  Fd MakeFile(Fd directory, const char* name, const std::string& content) {
    const Event opened = OpenFile(directory, name, OpenMode::kCreateNew);
    EXPECT_TRUE(opened.ok()) << Describe(opened.error);
    WriteAll(opened.fd, content, Offset{0});
    return opened.fd;
  }
  void WriteAll(Fd file, const std::string& bytes, Offset at) {
    Recorder write;
    for (size_t written = 0; written < bytes.size();) {
      io().Write(write.op(), file, AsBytes(bytes).subspan(written), at + written);
      ASSERT_TRUE(Await(write));
      ASSERT_TRUE(write.last().ok()) << Describe(write.last().error);
      ASSERT_GT(write.last().count, 0u);
      written += write.last().count;
    }
  }
  // Until `bytes` are there or the end is.
  std::string ReadAll(Fd file, size_t bytes, Offset at) {
    std::string content(bytes, '?');
    size_t got = 0;
    Recorder read;
    while (got < bytes) {
      auto* place = reinterpret_cast<uint8_t*>(content.data()) + got;
      io().Read(read.op(), file, {place, bytes - got}, at + got);
      EXPECT_TRUE(Await(read));
      EXPECT_TRUE(read.last().ok()) << Describe(read.last().error);
      if (!read.last().ok() || read.last().count == 0) {
        break;
      }
      got += read.last().count;
    }
    content.resize(got);
    return content;
  }
  // Runs one op to its end.
  Event Run(const std::function<void(Op*)>& start) {
    Recorder recorder;
    start(recorder.op());
    EXPECT_TRUE(Await(recorder));
    EXPECT_EQ(recorder.events().size(), 1u);
    return recorder.last();
  }

  // Closed at the end of the case unless CloseNow came first.
  Fd Keep(Io& owner, Fd fd) {
    kept_.push_back({&owner, fd});
    return fd;
  }
  // Somebody else closes it.
  void Forget(Io& owner, Fd fd) {
    std::erase_if(kept_, [&](const Kept& kept) { return kept.owner == &owner && kept.fd == fd; });
  }
  void CloseNow(Io& owner, Fd fd) {
    const auto kept = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& candidate) {
      return candidate.owner == &owner && candidate.fd == fd;
    });
    ASSERT_NE(kept, kept_.end());
    kept_.erase(kept);
    owner.Close(fd);
  }
  void TearDown() override {
    for (const Kept& kept : kept_) {
      kept.owner->Close(kept.fd);
    }
  }

 private:
  struct Kept {
    Io* owner;
    Fd fd;
  };
  std::unique_ptr<ContractWorld> world_ = MakeContractWorld();
  std::vector<Kept> kept_;
};

// Bytes in which a shift or a swap shows.
inline std::string Pattern(size_t bytes) {
  std::string pattern(bytes, '\0');
  uint32_t state = 12345;
  for (char& byte : pattern) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<char>(state >> 24);
  }
  return pattern;
}

}  // namespace backstay
