// io/account.cc -- lines of fields between colons.
#include "io/account.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "core/base/units.h"
#include "io/file/text_file.h"

namespace backstay {
namespace {

constexpr const char* kUserFile = "/etc/passwd";
constexpr const char* kGroupFile = "/etc/group";
constexpr size_t kFileBytesMax = 16_MiB;

using Fields = std::vector<std::string_view>;

// Of each line that has at least `count`; until `take` returns true.
void ForEachLine(std::string_view file, size_t count,
                 absl::FunctionRef<bool(const Fields& fields)> take) {
  while (!file.empty()) {
    const std::string_view line = file.substr(0, file.find('\n'));
    file.remove_prefix(std::min(line.size() + 1, file.size()));
    Fields fields;
    for (size_t begin = 0; begin <= line.size();) {
      const size_t end = std::min(line.find(':', begin), line.size());
      fields.push_back(line.substr(begin, end - begin));
      begin = end + 1;
    }
    if (fields.size() >= count && take(fields)) {
      return;
    }
  }
}

std::optional<uint32_t> NumberOf(std::string_view text) {
  constexpr uint32_t kNobody = UINT32_MAX;  // to system calls it means "as it is"
  uint32_t number = kNobody;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  const bool is_whole = error == std::errc() && stop == end && number != kNobody;
  return is_whole ? std::optional(number) : std::nullopt;
}

bool IsMember(std::string_view members, std::string_view name) {
  for (size_t begin = 0; begin <= members.size();) {
    const size_t end = std::min(members.find(',', begin), members.size());
    if (members.substr(begin, end - begin) == name) {
      return true;
    }
    begin = end + 1;
  }
  return false;
}

}  // namespace

// name:password:user:group:...
std::optional<Account> AccountInFiles(const AccountFiles& files, std::string_view name) {
  std::optional<Account> account;
  ForEachLine(files.users, 4, [&](const Fields& fields) {
    const std::optional<uint32_t> user = NumberOf(fields[2]);
    const std::optional<uint32_t> group = NumberOf(fields[3]);
    if (fields[0] == name && user.has_value() && group.has_value()) {
      account = Account{std::string(name), *user, *group, {*group}};
    }
    return account.has_value();
  });
  if (!account.has_value()) {
    return std::nullopt;
  }
  // name:password:group:members
  ForEachLine(files.groups, 4, [&](const Fields& fields) {
    const std::optional<uint32_t> group = NumberOf(fields[2]);
    if (group.has_value() && IsMember(fields[3], name)) {
      account->groups.push_back(*group);
    }
    return false;
  });
  std::sort(account->groups.begin(), account->groups.end());
  account->groups.erase(std::unique(account->groups.begin(), account->groups.end()),
                        account->groups.end());
  return account;
}

std::optional<gid_t> GroupInFile(std::string_view file, std::string_view name) {
  std::optional<gid_t> group;
  ForEachLine(file, 3, [&](const Fields& fields) {
    group = fields[0] == name ? NumberOf(fields[2]) : std::nullopt;
    return group.has_value();
  });
  return group;
}

absl::StatusOr<Account> FindAccount(const std::string& name) {
  ASSIGN_OR_RETURN(const std::string users, ReadTextFile(kUserFile, kFileBytesMax));
  ASSIGN_OR_RETURN(const std::string groups, ReadTextFile(kGroupFile, kFileBytesMax));
  std::optional<Account> account = AccountInFiles({users, groups}, name);
  if (!account.has_value()) {
    return absl::NotFoundError(
        fmt::format("there is no user \"{}\" in {}", Escaped(name), kUserFile));
  }
  return *std::move(account);
}

std::optional<gid_t> FindGroup(std::string_view name) {
  const absl::StatusOr<std::string> groups = ReadTextFile(kGroupFile, kFileBytesMax);
  return groups.ok() ? GroupInFile(*groups, name) : std::nullopt;
}

}  // namespace backstay
