// core/control/endpoint.cc -- bind, restrict, and only then listen.
#include "core/control/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "io/account.h"

namespace backstay {
namespace {

constexpr std::string_view kGroup = "backstay";
constexpr int kBacklog = 128;  // beyond it connect() waits, or says EAGAIN
constexpr size_t kGroupsOfPeerMax = 1024;

absl::Status Failed(const std::string& path, std::string_view what) {
  return absl::UnavailableError(fmt::format("{}: {}: {}", path, what, std::strerror(errno)));
}

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT(path.size() < sizeof(address.sun_path));  // the configuration was checked
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

int NewSocket() {
  return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

// Removes what nobody answers at.
absl::Status ClearPath(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) {
    return errno == ENOENT ? absl::OkStatus() : Failed(path, "cannot be looked at");
  }
  if (!S_ISSOCK(status.st_mode)) {
    return absl::AlreadyExistsError(fmt::format("{}: is there and is no socket", path));
  }
  const int probe = NewSocket();
  const sockaddr_un address = AddressOf(path);
  const int connected =
      connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int error = errno;
  close(probe);
  if (connected == 0 || error != ECONNREFUSED) {  // EAGAIN: it lives and is busy
    return absl::AlreadyExistsError(fmt::format("{}: another daemon listens there", path));
  }
  return unlink(path.c_str()) == 0 ? absl::OkStatus() : Failed(path, "cannot be replaced");
}

// As a service manager would have made it; only the last folder.
void MakeFolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0) {
    (void)mkdir(path.substr(0, slash).c_str(), 0755);  // bind says what is wrong if it is not there
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Endpoint>> Endpoint::Open(const std::string& path,
                                                         std::optional<uid_t> owner) {
  MakeFolderOf(path);
  RETURN_IF_ERROR(ClearPath(path));
  const int socket = NewSocket();
  if (socket < 0) {
    return Failed(path, "no socket");
  }
  std::unique_ptr<Endpoint> endpoint(new Endpoint(path, socket, FindGroup(kGroup)));
  RETURN_IF_ERROR(endpoint->Publish(owner));
  return endpoint;
}

// Nobody gets in before listen(), so the mode that bind() gives does no harm. The name is looked up
// once: whoever may write to the folder could put a link in its place, and we may be root.
absl::Status Endpoint::Publish(std::optional<uid_t> owner) {
  const sockaddr_un address = AddressOf(path_);
  if (bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return Failed(path_, "cannot be made");
  }
  const int file = open(path_.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (file < 0) {
    return Failed(path_, "cannot be looked at");
  }
  const absl::Cleanup closer = [file] { close(file); };
  struct stat status {};
  if (fstat(file, &status) != 0 || !S_ISSOCK(status.st_mode)) {
    return Failed(path_, "cannot be looked at");
  }
  inode_ = status.st_ino;
  // Who is not root may give it to a group of his own only; then it stays with the daemon's.
  constexpr auto kAsItIs = static_cast<uid_t>(-1);
  static_assert(std::is_same_v<uid_t, gid_t>);
  if ((owner.has_value() || group_.has_value()) &&
      fchownat(file, "", owner.value_or(kAsItIs), group_.value_or(kAsItIs), AT_EMPTY_PATH) != 0 &&
      errno != EPERM) {
    return Failed(path_, "cannot be given to its owner and group");
  }
  // There is no fchmod() for such a descriptor.
  const std::string name = fmt::format("/proc/self/fd/{}", file);
  if (chmod(name.c_str(), 0660) != 0 || listen(socket_, kBacklog) != 0) {
    return Failed(path_, "cannot be opened to its group");
  }
  return absl::OkStatus();
}

Endpoint::~Endpoint() {
  close(socket_);
  struct stat status {};
  if (inode_ != 0 && lstat(path_.c_str(), &status) == 0 && status.st_ino == inode_) {
    unlink(path_.c_str());
  }
}

std::optional<int> Endpoint::Accept() {
  const int client = accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  is_failing_ = client < 0 && errno != EAGAIN;
  return client >= 0 ? std::optional(client) : std::nullopt;
}

AdminPeer Endpoint::PeerOf(int client) const {
  AdminPeer peer;
  ucred credentials{};
  socklen_t bytes = sizeof(credentials);
  if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) != 0) {
    return peer;
  }
  peer.uid = credentials.uid;
  peer.pid = credentials.pid;
  peer.may = peer.uid == 0 || peer.uid == geteuid();
  if (peer.may || !group_.has_value()) {
    return peer;
  }
  std::vector<gid_t> groups(kGroupsOfPeerMax);
  bytes = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  if (getsockopt(client, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes) != 0) {
    bytes = 0;
  }
  groups.resize(bytes / sizeof(gid_t));
  groups.push_back(credentials.gid);
  peer.may = std::find(groups.begin(), groups.end(), *group_) != groups.end();
  return peer;
}

}  // namespace backstay
