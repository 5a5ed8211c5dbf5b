// core/control/endpoint.h -- the operator's socket: who may connect, and whose it is.
//
// A socket that a dead daemon left behind is replaced; one that answers, and anything that is no
// socket, is left alone. The mode is 0660, the group `backstay` where there is one.
// Owns:   the socket, and its name in the file system until it is destroyed.
// Errors: a sentence that names the path.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace backstay {

struct AdminPeer {
  uid_t uid = 0;
  pid_t pid = 0;
  bool may = false;  // root, the daemon's own user, or of the group
};

class Endpoint {
 public:
  // `owner`: whose it is to be, if not ours; for root, who will be that user.
  static absl::StatusOr<std::unique_ptr<Endpoint>> Open(const std::string& path,
                                                        std::optional<uid_t> owner = std::nullopt);
  ~Endpoint();
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  int socket() const { return socket_; }
  // Nothing: there was none.
  std::optional<int> Accept();
  // Accept() gave nothing, and not because nobody waits.
  bool is_failing() const { return is_failing_; }
  // The kernel's word, not the peer's.
  AdminPeer PeerOf(int client) const;

 private:
  Endpoint(std::string path, int socket, std::optional<gid_t> group)
      : path_(std::move(path)), socket_(socket), group_(group) {}
  absl::Status Publish(std::optional<uid_t> owner);

  const std::string path_;
  const int socket_;
  bool is_failing_ = false;
  const std::optional<gid_t> group_;
  ino_t inode_ = 0;  // of path_, while it is ours
};

}  // namespace backstay
