// core/privileges.h -- from root to the user of the configuration, for good (DESIGN 3.3).
//
// Root opens what only root can: the files that the configuration names, the operator's socket, the
// spool's directory if there is none yet. Drop() comes before the first thread, ring and file of
// the spool; of root's rights only that to ports below 1024 is left, and GiveUpPorts() ends it when
// all listeners are open. What a reload then cannot do is told.
//
// Threads: the main thread, while there is no other.
// Errors:  absl::Status: what, and what to do.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/shard/config.h"

namespace backstay {

class Privileges {
 public:
  // `config_path`: what a reload reads again.
  Privileges(const Config& config, std::string config_path);
  Privileges(const Privileges&) = delete;
  Privileges& operator=(const Privileges&) = delete;

  // Whose the operator's socket is to be; nothing: ours.
  std::optional<uid_t> socket_owner() const;
  // Nothing to do is OK, too. Not OK: this process is neither root nor the user.
  absl::Status Drop();
  absl::Status GiveUpPorts();
  // Behind Drop(). Not OK: something in the spool is not ours to read and write. A segment that
  // cannot be opened would be left alone, and its mail seem lost.
  absl::Status CheckSpool() const;
  // Behind Drop(): what is not as the configuration wants it, a sentence each.
  std::vector<std::string> Warnings() const;
  // Behind the sentence that says why a reload was refused; empty if it is not for want of rights.
  std::string ExplainRefusal(const absl::Status& refusal) const;

 private:
  std::string Name() const;

  const std::optional<Account> account_;
  const bool drops_;  // root, and somebody else is to be
  const std::string spool_;
  const std::string log_;
  std::vector<std::string> read_again_;  // by a reload
};

}  // namespace backstay
