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
#include <charconv>
#include <cstring>
#include <vector>

#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace backstay {
namespace {

constexpr std::string_view kGroup = "backstay";
constexpr int kBacklog = 128;  // beyond it connect() waits, or says EAGAIN
constexpr size_t kGroupFileBytesMax = size_t{1024} * 1024;
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

std::string ReadGroupFile() {
  std::string text;
  const int file = open("/etc/group", O_RDONLY | O_CLOEXEC);
  char piece[4096];
  ssize_t bytes = 0;
  while (file >= 0 && text.size() < kGroupFileBytesMax &&
         (bytes = read(file, piece, sizeof(piece))) > 0) {
    text.append(piece, static_cast<size_t>(bytes));
  }
  if (file >= 0) {
    close(file);
  }
  return text;
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

std::optional<gid_t> GroupInFile(std::string_view file, std::string_view name) {
  while (!file.empty()) {
    const std::string_view line = file.substr(0, file.find('\n'));
    file.remove_prefix(std::min(line.size() + 1, file.size()));
    // name:password:number:members
    const size_t password = line.find(':');
    if (password == std::string_view::npos || line.substr(0, password) != name) {
      continue;
    }
    const size_t number = line.find(':', password + 1);
    gid_t group = 0;
    const char* end = line.data() + line.size();
    if (number != std::string_view::npos &&
        std::from_chars(line.data() + number + 1, end, group).ec == std::errc()) {
      return group;
    }
  }
  return std::nullopt;
}

absl::StatusOr<std::unique_ptr<Endpoint>> Endpoint::Open(const std::string& path) {
  MakeFolderOf(path);
  RETURN_IF_ERROR(ClearPath(path));
  const int socket = NewSocket();
  if (socket < 0) {
    return Failed(path, "no socket");
  }
  std::unique_ptr<Endpoint> endpoint(
      new Endpoint(path, socket, GroupInFile(ReadGroupFile(), kGroup)));
  RETURN_IF_ERROR(endpoint->Publish());
  return endpoint;
}

// Nobody gets in before listen(), so the mode that bind() gives does no harm.
absl::Status Endpoint::Publish() {
  const sockaddr_un address = AddressOf(path_);
  if (bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return Failed(path_, "cannot be made");
  }
  struct stat status {};
  if (lstat(path_.c_str(), &status) != 0) {
    return Failed(path_, "cannot be looked at");
  }
  inode_ = status.st_ino;
  // Who is not root may give it to a group of his own only; then it stays with the daemon's.
  if (group_.has_value() && lchown(path_.c_str(), static_cast<uid_t>(-1), *group_) != 0 &&
      errno != EPERM) {
    return Failed(path_, "cannot be given to its group");
  }
  if (chmod(path_.c_str(), 0660) != 0 || listen(socket_, kBacklog) != 0) {
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
