// io/account.h -- users and groups of this machine, as /etc/passwd and /etc/group have them.
//
// Names are not looked up by the C library: a plug-in of it (NSS) may bring a second TLS library
// into the process. So whoever is known to a directory service alone is not known here.
// Errors: absl::Status that names the file; kNotFound: there is no such user.
// Turn:   reads files; at a start or a reload, never on a shard.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace backstay {

struct Account {
  std::string name;
  uid_t user = 0;
  gid_t group = 0;
  std::vector<gid_t> groups;  // `group`, and those that name the user as a member; sorted
};

absl::StatusOr<Account> FindAccount(const std::string& name);
// Nothing: there is none, or /etc/group cannot be read.
std::optional<gid_t> FindGroup(std::string_view name);

// The same from the texts of the two files. Lines that are not as they should be are passed over.
struct AccountFiles {
  std::string_view users;
  std::string_view groups;
};
std::optional<Account> AccountInFiles(const AccountFiles& files, std::string_view name);
std::optional<gid_t> GroupInFile(std::string_view file, std::string_view name);

}  // namespace backstay
