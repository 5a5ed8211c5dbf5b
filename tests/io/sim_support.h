// tests/io/sim_support.h -- an op that remembers, and a program with verbs that wait.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "io/sim/world.h"

namespace backstay {

struct Recorder : Op {
  Recorder() : Op(&OnEvent) {}
  static void OnEvent(Op* op, const IoResult& result) {
    Recorder* self = static_cast<Recorder*>(op);
    ++self->events;
    self->last = result;
    self->text += std::string(AsText(result.lent()));
    if (result.ok() && result.fd().valid()) {
      self->fds.push_back(result.fd());
    }
    if (self->receiver_ != nullptr && result.ok() && result.count() > 0) {
      self->receiver_->Receive(self, self->socket_);
    }
  }
  // Receives piece after piece, until the end or an error.
  void ReceiveAll(Io& io, Fd socket) {
    receiver_ = &io;
    socket_ = socket;
    io.Receive(this, socket);
  }
  Fd fd() const { return fds.empty() ? Fd() : fds.back(); }

  int events = 0;
  std::vector<Fd> fds;
  std::string text;  // all that was received
  IoResult last;

 private:
  Io* receiver_ = nullptr;
  Fd socket_;
};

inline SocketAddress TestAddress(uint8_t last, uint16_t port = 0) {
  return SocketAddress::V4({10, 0, 0, last}, port);
}

// Owns an Io that is not attached; each verb waits for its op. Crash() takes a new Io.
class Program {
 public:
  Program(World& world, Host& host) : world_(world), host_(host), io_(world.MakeIo(host)) {}

  Io& io() { return *io_; }
  void Crash(CrashMode mode) {
    world_.Crash(host_, mode);
    io_ = world_.MakeIo(host_);
  }
  void Wait(const Op& op) {
    while (op.in_flight) {
      io_->Turn(io_->Now() + absl::Hours(1));
    }
  }
  Fd Directory(const std::string& path = "/spool") { return *io_->OpenDirectory(path, true); }
  IoResult Open(Fd directory, const char* name, OpenMode mode = OpenMode::kCreateOrOpen) {
    return Run([&](Op* op) { io_->Open(op, directory, name, mode); });
  }
  IoResult Write(Fd file, std::string_view bytes, uint64_t at) {
    return Run([&](Op* op) { io_->Write(op, file, AsBytes(bytes), Offset{at}); });
  }
  IoResult SyncData(Fd file) {
    return Run([&](Op* op) { io_->SyncData(op, file); });
  }
  IoResult SyncDirectory(Fd directory) {
    return Run([&](Op* op) { io_->SyncDirectory(op, directory); });
  }
  IoResult Allocate(Fd file, uint64_t bytes) {
    return Run([&](Op* op) { io_->Allocate(op, file, bytes); });
  }
  IoResult Truncate(Fd file, uint64_t bytes) {
    return Run([&](Op* op) { io_->Truncate(op, file, bytes); });
  }
  IoResult Unlink(Fd directory, const char* name) {
    return Run([&](Op* op) { io_->Unlink(op, directory, name); });
  }
  IoResult Rename(Fd directory, const char* from, const char* to) {
    return Run([&](Op* op) { io_->Rename(op, directory, from, to); });
  }
  // All that can be read at `at`, up to `bytes`.
  std::string Read(Fd file, uint64_t at, size_t bytes) {
    std::string into(bytes, '?');
    const IoResult result = Run([&](Op* op) {
      io_->Read(op, file, {reinterpret_cast<uint8_t*>(into.data()), into.size()}, Offset{at});
    });
    EXPECT_TRUE(result.ok());
    into.resize(result.count());
    return into;
  }

 private:
  template <typename Start>
  IoResult Run(Start start) {
    Recorder recorder;
    start(&recorder);
    Wait(recorder);
    return recorder.last;
  }

  World& world_;
  Host& host_;
  std::unique_ptr<Io> io_;
};

}  // namespace backstay
