// tests/core/shard/receive_allocation_test.cc -- a warm shard takes mail without allocating per
// message.
//
// The shard runs on the real ring in a thread of its own; only that thread's calls of operator new
// count.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <string>
#include <thread>

#include "core/shard/inbox.h"
#include "core/shard/shard.h"
#include "core/shard/snapshot.h"
#include "io/uring/uring_io.h"
#include "spool/spool_directory.h"

namespace {

std::atomic<bool> counting{false};
std::atomic<size_t> allocations{0};
thread_local bool is_shard_thread = false;

}  // namespace

__attribute__((noinline)) void* operator new(size_t bytes) {
  if (is_shard_thread && counting.load(std::memory_order_relaxed)) {
    allocations.fetch_add(1);
  }
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) {
    std::abort();
  }
  return memory;
}
__attribute__((noinline)) void operator delete(void* memory) noexcept {
  std::free(memory);
}
__attribute__((noinline)) void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}

namespace backstay {
namespace {

constexpr int kWarmUp = 100;
constexpr int kMeasured = 400;

class Client {
 public:
  explicit Client(uint16_t port) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~Client() { close(socket_); }
  bool connected() const { return connected_; }

  void Send(const std::string& bytes) {
    ASSERT_EQ(send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Reads up to and with one whole reply whose code begins with `code`.
  void Expect(const std::string& code) {
    while (input_.find(code) == std::string::npos || !input_.ends_with("\n")) {
      char buffer[4096];
      const ssize_t count = recv(socket_, buffer, sizeof(buffer), 0);
      ASSERT_GT(count, 0) << input_;
      input_.append(buffer, static_cast<size_t>(count));
    }
    input_.clear();
  }

 private:
  int socket_;
  bool connected_ = false;
  std::string input_;
};

void SendMessage(Client& client) {
  static const std::string content = std::string(4000, 'x').insert(1000, "\r\n") + "\r\n.\r\n";
  client.Send(
      "MAIL FROM:<a.rather.long.local.part@sender.example.org>\r\n"
      "RCPT TO:<another.quite.long.local.part@example.com>\r\nDATA\r\n");
  client.Expect("354");
  client.Send(content);
  client.Expect("250 2.0.0");
}

TEST(ReceivePath, DoesNotAllocatePerMessageWhenWarm) {
  char path[] = "/tmp/backstay-allocation-XXXXXX";
  ASSERT_NE(mkdtemp(path), nullptr);
  absl::StatusOr<std::unique_ptr<Io>> main_io = MakeUringIo(UringOptions{});
  ASSERT_TRUE(main_io.ok()) << main_io.status().message();
  const auto listeners = OpenListeners(**main_io, {*SocketAddress::Parse("127.0.0.1:0")}, 0);
  ASSERT_TRUE(listeners.ok()) << listeners.status().message();
  const uint16_t port = (*main_io)->LocalAddress(listeners->front()).port();
  // The primary has no address yet, so that nothing but receiving happens.
  const auto snapshot = ParseSnapshot(
      fmt::format("hostname = \"mx2.example.net\"\n[smtp]\nlisten = [\"127.0.0.1:{}\"]\n"
                  "[spool]\ndirectory = \"{}\"\nreserve = \"16MiB\"\n[log]\nfile = "
                  "\"{}/mail.log\"\n[admin]\nlisten = \"\"\n"
                  "[[domain]]\nname = \"example.com\"\nprimary = [\"mx1.example.com\"]\n",
                  port, path, path),
      "test.toml");
  ASSERT_TRUE(snapshot.ok()) << snapshot.status().message();
  auto directory = SpoolDirectory::Open(**main_io, {.path = path});
  ASSERT_TRUE(directory.ok()) << directory.status().message();

  PostOffice post(1);
  SharedCounts shared(1, 100, 1);
  std::atomic<bool> serving{false};
  std::unique_ptr<Io> io;
  std::thread thread([&] {
    is_shard_thread = true;
    io = *MakeUringIo(UringOptions{});
    Shard shard(*io, {.index = 0,
                      .spool_directory = directory->shard_directories()[0],
                      .listeners = *listeners,
                      .intake_shards = 1,
                      .node = directory->node(),
                      .post = post,
                      .shared = shared,
                      .snapshot = **snapshot,
                      .ticket_keys = TicketKeys(NewTicketSecret(), io->Now())});
    post.Register(0, io.get());
    shard.Start();
    while (!shard.finished()) {
      shard.Turn();
      serving.store(shard.serving());
    }
    EXPECT_EQ(shard.counters().messages_stored, uint64_t{kWarmUp + kMeasured});
  });
  while (!serving.load()) {
    usleep(1000);
  }
  {
    Client client(port);
    ASSERT_TRUE(client.connected());
    client.Expect("220");
    client.Send("EHLO client.example\r\n");
    client.Expect("250 HELP");
    for (int count = 0; count < kWarmUp; ++count) {
      SendMessage(client);
    }
    counting.store(true);
    for (int count = 0; count < kMeasured; ++count) {
      SendMessage(client);
    }
    counting.store(false);
  }
  post.Post(post.engine(), 0, {.kind = ShardMessage::Kind::kStop});
  thread.join();
  EXPECT_GT(std::filesystem::file_size(std::string(path) + "/mail.log"), 100u * kMeasured);
  directory->Close(**main_io);
  std::filesystem::remove_all(path);
  // The index of the log may grow now and then (it doubles); nothing else may.
  EXPECT_LT(allocations.load(), size_t{kMeasured / 20});
}

}  // namespace
}  // namespace backstay
