// tests/core/control/admin_server_test.cc -- the thread itself: places, descriptors, reloads.
#include "core/control/admin_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <utility>

#include "core/base/log.h"
#include "tests/support/certificates.h"

namespace backstay {
namespace {

std::atomic<int64_t> ahead{0};  // seconds, of the server's clock
std::atomic<int> asked{0};

int64_t Nanoseconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

Instant Now() {
  return Instant::FromNanoseconds(Nanoseconds(CLOCK_MONOTONIC) +
                                  ahead.load() * int64_t{1'000'000'000});
}

// No shard answers: only what the thread does by itself is asked of it.
class AdminServerTest : public testing::Test {
 protected:
  AdminServerTest() {
    SetLogSink([](LogLevel, std::string_view) {});
    ahead = 0;
    asked = 0;
    server_.Use(*Endpoint::Open(path_));
    thread_ = std::thread([this] { server_.Run(); });
  }
  ~AdminServerTest() override {
    for (const int client : clients_) {
      close(client);
    }
    server_.Stop();
    thread_.join();
    SetLogSink(nullptr);
  }

  int Socket() {
    const timeval silence{10, 0};
    const int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
    return clients_.emplace_back(made);
  }
  void Connect(int client) const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    ASSERT_EQ(connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  // "": it is gone.
  static std::string Ask(int client, std::string_view text) {
    (void)send(client, text.data(), text.size(), MSG_NOSIGNAL);
    std::string answer(4096, '\0');
    const ssize_t bytes = recv(client, answer.data(), answer.size(), 0);
    answer.resize(bytes > 0 ? static_cast<size_t>(bytes) : 0);
    return answer;
  }

  const TestFolder folder_;
  const std::string path_ = folder_.path() + "/admin.sock";
  PostOffice post_{1};
  AdminServer server_{post_, {.ask_reload = [](bool) { ++asked; }, .now = &Now}};
  std::thread thread_;
  std::vector<int> clients_;
};

TEST_F(AdminServerTest, WhoIsSilentForLongMakesRoom) {
  for (size_t count = 0; count < AdminServer::kClientsMax; ++count) {
    Connect(Socket());
  }
  Connect(Socket());
  EXPECT_NE(Ask(clients_.back(), "").find("too many clients"), std::string::npos);
  ahead = 61;
  EXPECT_NE(Ask(clients_[0], "{\"verb\":\"show\"}x\n").find("usage"), std::string::npos);
  EXPECT_EQ(Ask(clients_[0], ""), "");  // refused: its place is free
  Connect(Socket());
  Connect(Socket());
  EXPECT_NE(Ask(clients_.back(), "what\n").find("usage"), std::string::npos);
  EXPECT_EQ(Ask(clients_[1], ""), "");
  EXPECT_NE(Ask(clients_[2], "what\n").find("usage"), std::string::npos);
}

// The only shard answers nothing here, as one whose disk hangs.
TEST_F(AdminServerTest, WhoIsGoneTakesNobodysPlace) {
  constexpr std::string_view kRequest = "{\"verb\":\"status\"}\n";
  for (size_t round = 0; round < AdminServer::kLeftMax / AdminServer::kClientsMax; ++round) {
    for (size_t count = 0; count < AdminServer::kClientsMax; ++count) {
      Connect(Socket());
      ASSERT_EQ(send(clients_.back(), kRequest.data(), kRequest.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(kRequest.size()));
    }
    absl::SleepFor(absl::Milliseconds(100));  // they are in, and the shard has their questions
    for (const int client : std::exchange(clients_, {})) {
      close(client);
    }
    if (round == 0) {
      Connect(Socket());
      EXPECT_NE(Ask(clients_.back(), "what\n").find("usage"), std::string::npos);
    }
  }
  Connect(Socket());  // what is left behind has a bound, too
  EXPECT_NE(Ask(clients_.back(), "what\n").find("too many clients"), std::string::npos);
}

// Who waits in the backlog keeps the socket readable.
TEST_F(AdminServerTest, WithoutADescriptorItDoesNotSpin) {
  const int client = Socket();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 3;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  Connect(client);
  const int64_t cpu = Nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
  absl::SleepFor(absl::Milliseconds(500));
  EXPECT_LT(Nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu, 100'000'000);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_NE(Ask(client, "what\n").find("usage"), std::string::npos);
}

TEST_F(AdminServerTest, AReloadThatHadBegunIsNotTheOneThatWasAskedFor) {
  const int client = Socket();
  Connect(client);
  server_.OnReloadBegins(/*is_forced=*/false);
  (void)send(client, "{\"verb\":\"reload\"}\n", 18, MSG_NOSIGNAL);
  while (asked == 0) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  server_.OnReload(/*is_forced=*/false, "");
  server_.OnReloadBegins(/*is_forced=*/true);
  server_.OnReload(/*is_forced=*/true, "by force");
  server_.OnReloadBegins(/*is_forced=*/false);
  server_.OnReload(/*is_forced=*/false, "mistaken");
  EXPECT_EQ(Ask(client, ""), "{\"result\":\"failed\",\"message\":\"mistaken\"}\n");
}

}  // namespace
}  // namespace backstay
