// core/privileges.cc -- groups, group, user, capabilities, in this order.
//
// A process that was root stays closed to others of its user: it leaves no core file and nobody may
// trace it, for it has the keys of certificates in memory.
#include "core/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fts.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <string_view>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_join.h"

namespace backstay {
namespace {

constexpr uint32_t kPorts = uint32_t{1} << CAP_NET_BIND_SERVICE;

bool KeepCapabilities(uint32_t kept) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
  if (syscall(SYS_capget, &header, sets) != 0) {
    return false;
  }
  const uint32_t mask = sets[0].permitted & kept;  // a container may have less from the beginning
  sets[0] = {.effective = mask, .permitted = mask, .inheritable = 0};
  sets[1] = {};
  return syscall(SYS_capset, &header, sets) == 0;
}

absl::Status Become(const Account& account) {
  // Root is under no such limit, so what rings were given is what they are given now.
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  (void)setrlimit(RLIMIT_MEMLOCK, &unlimited);  // refused in some containers: the old one stays
  const bool is_done = prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 &&
                       setgroups(account.groups.size(), account.groups.data()) == 0 &&
                       setresgid(account.group, account.group, account.group) == 0 &&
                       setresuid(account.user, account.user, account.user) == 0 &&
                       KeepCapabilities(kPorts) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
  if (!is_done) {
    return absl::UnavailableError(
        fmt::format("cannot become user {}: {}; root needs CAP_SETUID and CAP_SETGID for that, or "
                    "start the daemon as that user and not as root",
                    account.name, std::strerror(errno)));
  }
  if (setresuid(0, 0, 0) == 0) {
    return absl::UnavailableError(
        fmt::format("this kernel lets user {} become root again", account.name));
  }
  return absl::OkStatus();
}

// Only root can make it where such directories stand; one that is there is used as it is. Whatever
// goes wrong is told by those who open it.
void MakeSpool(const std::string& path, const Account& account) {
  const std::string name = path.substr(0, path.find_last_not_of('/') + 1);
  const size_t slash = name.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : name.substr(0, slash + 1);
  if (mkdir(name.c_str(), 0700) != 0) {
    return;
  }
  bool is_given = true;
  for (const std::string& one : {name, parent}) {  // its name is to survive a power cut, too
    const int directory = open(one.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    is_given = is_given && directory >= 0 &&
               (one != name || fchown(directory, account.user, account.group) == 0) &&
               fsync(directory) == 0;
    close(directory);
  }
  if (!is_given) {
    rmdir(name.c_str());
  }
}

// Directly in the spool's directory there may be others' files: lost+found, snapshots.
bool IsOfSpool(std::string_view name) {
  return name == "LOCK" || name == "VERSION" || name == "primaries" || name == "recipients" ||
         name.starts_with("shard-");
}

// Nothing: all of it may be read and written.
std::optional<std::string> FindClosed(const std::string& directory) {
  std::string root = directory;
  char* const roots[] = {root.data(), nullptr};
  FTS* const walk = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, nullptr);
  if (walk == nullptr) {
    return std::nullopt;  // no memory
  }
  const absl::Cleanup closer = [walk] { fts_close(walk); };
  while (FTSENT* const entry = fts_read(walk)) {
    if (entry->fts_level == 1 && !IsOfSpool(entry->fts_name)) {
      fts_set(walk, entry, FTS_SKIP);
      continue;
    }
    const bool is_directory = entry->fts_info == FTS_D;
    if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS) {
      errno = entry->fts_errno;
    } else if ((!is_directory && entry->fts_info != FTS_F) ||
               access(entry->fts_path, R_OK | W_OK | (is_directory ? X_OK : 0)) == 0) {
      continue;
    }
    if (errno == EACCES || errno == EPERM) {
      return fmt::format("{}: {}", entry->fts_path, std::strerror(errno));
    }
  }
  return std::nullopt;
}

bool IsDenied(const std::string& path, int mode) {
  return access(path.c_str(), mode) != 0 && errno == EACCES;
}

}  // namespace

Privileges::Privileges(const Config& config, std::string config_path)
    : account_(config.user),
      drops_(geteuid() == 0 && config.user.has_value() && config.user->user != 0),
      spool_(config.spool.directory),
      log_(config.log.file) {
  read_again_.push_back(std::move(config_path));
  for (const TlsFiles& files : config.tls.certificates) {
    read_again_.push_back(files.certificate);
    read_again_.push_back(files.private_key);
  }
  if (!config.delivery.client_certificate.empty()) {
    read_again_.push_back(config.delivery.client_certificate);
    read_again_.push_back(config.delivery.client_key);
  }
  for (const DomainConfig& domain : config.domains) {
    if (domain.recipients == DomainConfig::Recipients::kFile) {
      read_again_.push_back(domain.recipients_path);
    }
  }
}

std::optional<uid_t> Privileges::socket_owner() const {
  return drops_ ? std::optional(account_->user) : std::nullopt;
}

absl::Status Privileges::Drop() {
  if (!drops_) {
    return absl::OkStatus();
  }
  MakeSpool(spool_, *account_);
  return Become(*account_);
}

absl::Status Privileges::GiveUpPorts() {
  return !drops_ || KeepCapabilities(0)
             ? absl::OkStatus()
             : absl::UnavailableError(
                   fmt::format("cannot give up root's rights: {}", std::strerror(errno)));
}

// As chown takes it.
std::string Privileges::Name() const {
  return drops_ ? account_->name : fmt::format("{}", geteuid());
}

absl::Status Privileges::CheckSpool() const {
  const std::optional<std::string> closed = geteuid() == 0 ? std::nullopt : FindClosed(spool_);
  if (!closed.has_value()) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(fmt::format(
      "spool {}: user {} cannot use it: {}; give all of it to him: `chown -R {}:{} {}`, and let "
      "him through the directories above it",
      spool_, Name(), *closed, Name(), drops_ ? "" : fmt::format("{}", getegid()), spool_));
}

std::vector<std::string> Privileges::Warnings() const {
  std::vector<std::string> warnings;
  if (account_.has_value() && geteuid() != account_->user) {
    warnings.push_back(
        fmt::format("user = \"{}\" is not in effect: the daemon was not started as root, and stays "
                    "with user id {}",
                    account_->name, geteuid()));
  }
  if (!drops_) {
    return warnings;
  }
  std::vector<std::string> closed;
  for (const std::string& path : read_again_) {
    if (IsDenied(path, R_OK)) {
      closed.push_back(path);
    }
  }
  if (!closed.empty()) {
    warnings.push_back(fmt::format(
        "user {} may not read {}: a reload will be refused and only a restart reads it again; give "
        "him the right (chgrp, chmod g+r)",
        account_->name, absl::StrJoin(closed, ", ")));
  }
  const size_t slash = log_.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : log_.substr(0, slash + 1);
  const bool is_made = !log_.empty() && access(log_.c_str(), F_OK) != 0;
  if (!log_.empty() && (IsDenied(log_, W_OK) || (is_made && IsDenied(folder, W_OK | X_OK)))) {
    warnings.push_back(fmt::format(
        "user {} may not write {}: lines of the log are lost; give it to him: `chown {}: {}`",
        account_->name, log_, account_->name, is_made ? folder : log_));
  }
  return warnings;
}

std::string Privileges::ExplainRefusal(const absl::Status& refusal) const {
  return drops_ && absl::IsPermissionDenied(refusal)
             ? fmt::format(
                   "; the daemon is user {} now and no longer root: give him the right "
                   "(chgrp, chmod g+r), or restart it",
                   account_->name)
             : std::string();
}

}  // namespace backstay
