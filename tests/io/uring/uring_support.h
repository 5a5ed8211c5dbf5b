// tests/io/uring/uring_support.h -- one Io on the kernel with odd options, and what the cases do
// with it.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "io/uring/uring_io.h"
#include "tests/io/contract_fixture.h"

namespace backstay {

// As tests on a real kernel want them: little memory, the rest as shipped.
inline UringOptions SmallOptions() {
  UringOptions options;
  options.seed = 1;
  return options;
}

inline std::unique_ptr<Io> MakeIo(const UringOptions& options = SmallOptions()) {
  auto made = MakeUringIo(options);
  EXPECT_TRUE(made.ok()) << made.status().ToString();
  return std::move(made).value();
}

inline bool TurnUntil(Io& io, const std::function<bool()>& done) {
  const Instant deadline = io.Now() + absl::Seconds(20);
  while (!done()) {
    if (io.Now() > deadline) {
      return false;
    }
    io.Turn(io.Now() + absl::Milliseconds(5));
  }
  return true;
}

inline Fd ListenOnLoopback(Io& io) {
  auto listener = io.Listen(SocketAddress::V4({127, 0, 0, 1}, 0), 128);
  EXPECT_TRUE(listener.ok()) << listener.status().ToString();
  return *listener;
}

// A client made of plain calls, so that what it does is sure to have happened when the call
// returns.
inline int ConnectPlainly(Io& io, Fd listener) {
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(io.LocalAddress(listener).port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  return client;
}

// The accepted end of one plain client.
inline Fd AcceptOne(Io& io, Fd listener) {
  Recorder accept;
  io.Accept(accept.op(), listener);
  EXPECT_TRUE(TurnUntil(io, [&] { return !accept.events().empty(); }));
  io.Cancel(accept.op());
  EXPECT_TRUE(TurnUntil(io, [&] { return accept.done(); }));
  return accept.events().front().fd;
}

// A directory that goes with the case.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/backstay-uring-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Lowers a limit of this process for the life of the object.
class LoweredLimit {
 public:
  LoweredLimit(__rlimit_resource resource, rlim_t value) : resource_(resource) {
    EXPECT_EQ(getrlimit(resource_, &before_), 0);
    rlimit lowered = before_;
    lowered.rlim_cur = value;
    EXPECT_EQ(setrlimit(resource_, &lowered), 0);
  }
  ~LoweredLimit() { EXPECT_EQ(setrlimit(resource_, &before_), 0); }

 private:
  const __rlimit_resource resource_;
  rlimit before_{};
};

}  // namespace backstay
