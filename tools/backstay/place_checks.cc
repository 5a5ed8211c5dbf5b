// tools/backstay/place_checks.cc -- asks the file system and the network, with plain system calls.
#include "tools/backstay/place_checks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>
#include <string_view>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "io/uring/file_system.h"
#include "io/uring/sockets.h"
#include "tools/backstay/text.h"

namespace backstay {
namespace {

using Verdict = Check::Verdict;

constexpr int kConnectMilliseconds = 3000;
constexpr int kBannerMilliseconds = 5000;
constexpr size_t kSyncs = 21;
// A message waits for one sync at least, and a client for its message.
constexpr absl::Duration kSlowSync = absl::Milliseconds(50);

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) {
      close(number_);
    }
  }
  int number() const { return number_; }
  bool ok() const { return number_ >= 0; }

 private:
  const int number_;
};

std::string Reason() {
  return std::strerror(errno);
}

// ---- the disk ----

Check CheckRoom(const SpoolConfig& spool, uint16_t shards) {
  struct statfs space {};
  (void)statfs(spool.directory.c_str(), &space);
  const uint64_t free_bytes =
      static_cast<uint64_t>(space.f_bavail) * static_cast<uint64_t>(space.f_bsize);
  const uint64_t count =
      shards != 0 ? shards : static_cast<uint64_t>(sysconf(_SC_NPROCESSORS_ONLN));
  const uint64_t wanted = spool.reserve_bytes + 2 * count * spool.segment_bytes;
  const std::string have = fmt::format("{} free", ReadableBytes(free_bytes));
  return free_bytes >= wanted
             ? Check{"disk space", Verdict::kGood, have}
             : Check{"disk space", Verdict::kOdd,
                     fmt::format("{}; the reserve and two segments a shard want {}: less is taken "
                                 "than that",
                                 have, ReadableBytes(wanted))};
}

Check CheckSync(const std::string& directory) {
  const Descriptor file(open(directory.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
  if (!file.ok()) {
    return {"spool", Verdict::kWrong, fmt::format("{}: cannot write: {}", directory, Reason())};
  }
  const std::array<char, 4096> block{};
  std::vector<absl::Duration> times;
  for (size_t i = 0; i < kSyncs; ++i) {
    const absl::Time began = absl::Now();
    if (write(file.number(), block.data(), block.size()) != static_cast<ssize_t>(block.size()) ||
        fdatasync(file.number()) != 0) {
      return {"disk sync", Verdict::kWrong, fmt::format("{}: {}", directory, Reason())};
    }
    times.push_back(absl::Now() - began);
  }
  std::sort(times.begin(), times.end());
  const absl::Duration median = times[kSyncs / 2];
  const std::string text = fmt::format("a write of 4 KiB is safe after {:.1f} ms (median of {})",
                                       absl::ToDoubleMilliseconds(median), kSyncs);
  return median < kSlowSync ? Check{"disk sync", Verdict::kGood, text}
                            : Check{"disk sync", Verdict::kOdd, text + ": a slow disk for mail"};
}

// ---- the network ----

bool WaitFor(int socket, short events, int milliseconds) {
  pollfd watched{socket, events, 0};
  return poll(&watched, 1, milliseconds) == 1;
}

Check CheckPrimary(const SocketAddress& address) {
  const std::string name = address.ToString();
  const Descriptor one(
      socket(address.is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_storage system{};
  const socklen_t size = ToKernelAddress(address, &system);
  int error = 0;
  if (connect(one.number(), reinterpret_cast<sockaddr*>(&system), size) != 0) {
    error = errno;
  }
  if (error == EINPROGRESS) {
    socklen_t length = sizeof(error);
    error = ETIMEDOUT;
    if (WaitFor(one.number(), POLLOUT, kConnectMilliseconds)) {
      (void)getsockopt(one.number(), SOL_SOCKET, SO_ERROR, &error, &length);
    }
  }
  if (error != 0) {
    return {"primary", Verdict::kOdd, fmt::format("{}: {}", name, std::strerror(error))};
  }
  std::array<char, 256> banner{};
  const ssize_t got = WaitFor(one.number(), POLLIN, kBannerMilliseconds)
                          ? recv(one.number(), banner.data(), banner.size(), 0)
                          : 0;
  const std::string_view text(banner.data(), got > 0 ? static_cast<size_t>(got) : 0);
  const std::string_view line = text.substr(0, text.find_first_of("\r\n"));
  (void)send(one.number(), "QUIT\r\n", 6, MSG_NOSIGNAL);
  return line.starts_with("220")
             ? Check{"primary", Verdict::kGood, fmt::format("{}: {}", name, line)}
             : Check{"primary", Verdict::kOdd,
                     fmt::format("{}: no 220: {}", name, line.empty() ? "nothing" : line)};
}

}  // namespace

std::vector<Check> CheckSpoolPlace(const SpoolConfig& spool, uint16_t shards,
                                   const std::optional<Account>& user) {
  struct stat found {};
  if (stat(spool.directory.c_str(), &found) != 0 || !S_ISDIR(found.st_mode)) {
    return {
        {"spool", Verdict::kOdd,
         fmt::format("{} is no directory (yet): the daemon makes it if it may", spool.directory)}};
  }
  std::vector<Check> checks;
  const FileSystemVerdict verdict = JudgeFileSystem(spool.directory);
  if (verdict.kind != FileSystemVerdict::Kind::kStable) {
    const bool is_lost = verdict.kind == FileSystemVerdict::Kind::kLost;
    checks.push_back({"spool", is_lost ? Verdict::kWrong : Verdict::kOdd, verdict.text});
  }
  if (user.has_value() && user->user != 0 && found.st_uid != user->user) {
    checks.push_back(
        {"spool", Verdict::kWrong,
         fmt::format("{} is not the daemon's, which becomes user {}: `chown -R {}: {}`",
                     spool.directory, user->name, user->name, spool.directory)});
  }
  if ((found.st_mode & 07) != 0) {
    checks.push_back({"spool", Verdict::kOdd,
                      fmt::format("{} is open to everybody: chmod 700 it", spool.directory)});
  }
  if (checks.empty()) {
    checks.push_back({"spool", Verdict::kGood, spool.directory});
  }
  checks.push_back(CheckRoom(spool, shards));
  checks.push_back(CheckSync(spool.directory));
  return checks;
}

std::vector<Check> CheckListeners(const std::vector<SocketAddress>& listen) {
  std::vector<Check> checks;
  for (const SocketAddress& address : listen) {
    const Descriptor one(
        socket(address.is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int yes = 1;
    (void)setsockopt(one.number(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    (void)setsockopt(one.number(), IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
    sockaddr_storage system{};
    const socklen_t size = ToKernelAddress(address, &system);
    const bool is_free = bind(one.number(), reinterpret_cast<sockaddr*>(&system), size) == 0;
    checks.push_back(is_free ? Check{"listen", Verdict::kGood, address.ToString() + " is free"}
                             : Check{"listen", Verdict::kWrong,
                                     fmt::format("{}: {}", address.ToString(), Reason())});
  }
  return checks;
}

bool Answers(const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.empty() || socket_path.size() >= sizeof(address.sun_path)) {
    return false;
  }
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  const Descriptor one(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return connect(one.number(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
}

std::vector<Check> CheckPrimaries(const std::vector<DomainConfig>& domains) {
  constexpr size_t kPrimariesMax = 20;
  std::vector<Check> checks;
  std::set<std::string> seen;
  std::set<std::string> skipped;
  for (const DomainConfig& domain : domains) {
    if (domain.primary_by_mx) {
      skipped.insert(domain.name + ": by its MX records");
    }
    for (const HostPort& host : domain.primary) {
      if (!host.address.has_value()) {
        skipped.insert(fmt::format("{}:{}: by name", host.host, host.port));
      } else if (seen.insert(host.address->ToString()).second && seen.size() <= kPrimariesMax) {
        checks.push_back(CheckPrimary(*host.address));
      }
    }
  }
  const auto skip = [&](const std::string& what) {
    checks.push_back({"primary", Verdict::kSkipped, what + ": not looked at"});
  };
  size_t told = 0;
  for (auto what = skipped.begin(); what != skipped.end() && told < kPrimariesMax; ++what, ++told) {
    skip(*what);
  }
  if (skipped.size() > told) {
    skip(fmt::format("{} more by name", skipped.size() - told));
  }
  if (seen.size() > kPrimariesMax) {
    skip(fmt::format("{} more addresses", seen.size() - kPrimariesMax));
  }
  return checks;
}

}  // namespace backstay
