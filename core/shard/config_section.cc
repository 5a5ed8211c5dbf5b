// core/shard/config_section.cc -- lookups, and the report in the order of the file.
#include "core/shard/config_section.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/shard/config_values.h"

namespace backstay {
namespace {

constexpr size_t kErrorsMax = 100;            // printed; a file with more is not ours at all
constexpr size_t kSuggestedKeyBytesMax = 64;  // longer than any key, so that distances stay cheap

struct KeyName {
  std::string_view section;
  std::string_view key;
};

KeyName SplitPath(std::string_view path) {
  const size_t dot = path.rfind('.');
  if (dot == std::string_view::npos) {
    return {.section = {}, .key = path};
  }
  return {.section = path.substr(0, dot), .key = path.substr(dot + 1)};
}

}  // namespace

void ConfigReport::Error(ConfigPlace place, std::string reason) {
  errors_.emplace(place, std::move(reason));
}

void ConfigReport::UnknownKey(ConfigPlace place, const std::string& section,
                              const std::string& key) {
  unknown_.emplace(place, Unknown{.section = section, .key = key});
}

void ConfigReport::NotYet(ConfigPlace place, const std::string& path, std::string_view detail) {
  Notice& notice = notices_[path];
  if (notice.count == 0) {
    notice.place = place;
    notice.detail = detail;
  }
  ++notice.count;
}

void ConfigReport::NamesFile(ConfigPlace place, const std::string& key, const std::string& path) {
  files_.try_emplace(path, fmt::format("{}:{}:{}: {}", file_name_, place.line, place.column, key));
}

std::string ConfigReport::Nearest(const Unknown& unknown) const {
  if (unknown.key.size() > kSuggestedKeyBytesMax) {
    return {};
  }
  std::string_view nearest;
  // More than half of the key wrong is no slip.
  size_t least = unknown.key.size() / 2 * 2 + 1;
  for (const std::string& path : known_) {
    const KeyName known = SplitPath(path);
    // The same name in another section is nearer than a similar one in this section.
    const size_t distance =
        2 * EditDistance(unknown.key, known.key) + (known.section == unknown.section ? 0 : 1);
    if (distance <= least && (nearest.empty() || distance < least)) {
      least = distance;
      nearest = path;
    }
  }
  return nearest.empty() ? std::string() : fmt::format(" (nearest known key: {})", nearest);
}

absl::Status ConfigReport::ToStatus() const {
  absl::btree_multimap<ConfigPlace, std::string> lines = errors_;
  for (const auto& [place, unknown] : unknown_) {
    const std::string where =
        unknown.section.empty() ? std::string() : fmt::format(" in [{}]", unknown.section);
    lines.emplace(place, fmt::format("unknown key \"{}\"{}{}", Escaped(unknown.key), where,
                                     Nearest(unknown)));
  }
  if (lines.empty()) {
    return absl::OkStatus();
  }
  std::string message;
  size_t printed = 0;
  for (const auto& [place, reason] : lines) {
    if (printed == kErrorsMax) {
      message += fmt::format("\n{}: and {} more", file_name_, lines.size() - printed);
      break;
    }
    message += fmt::format("{}{}:{}:{}: {}", printed == 0 ? "" : "\n", file_name_, place.line,
                           place.column, reason);
    ++printed;
  }
  return absl::InvalidArgumentError(message);
}

std::vector<std::string> ConfigReport::Notices() const {
  std::vector<std::pair<ConfigPlace, std::string>> ordered;
  for (const auto& [path, notice] : notices_) {
    std::string line = fmt::format("{}:{}:{}: not in effect yet: {}", file_name_, notice.place.line,
                                   notice.place.column, path);
    if (!notice.detail.empty()) {
      line += fmt::format(" ({})", notice.detail);
    }
    if (notice.count > 1) {
      line += fmt::format(", and {} more of these", notice.count - 1);
    }
    ordered.emplace_back(notice.place, std::move(line));
  }
  std::sort(ordered.begin(), ordered.end());
  std::vector<std::string> lines;
  lines.reserve(ordered.size());
  for (auto& [place, line] : ordered) {
    lines.push_back(std::move(line));
  }
  return lines;
}

ConfigSection::ConfigSection(const ConfigNode* table, std::string path, ConfigReport& report)
    : table_(table), path_(std::move(path)), report_(report) {}

std::string ConfigSection::PathOf(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

const ConfigNode* ConfigSection::Find(std::string_view key) {
  asked_.push_back(key);
  report_.KnownKey(PathOf(key));
  const ConfigMember* member = table_ == nullptr ? nullptr : table_->Find(key);
  return member == nullptr ? nullptr : &member->value;
}

const ConfigNode* ConfigSection::Find(std::string_view key, ConfigNode::Type type,
                                      std::string_view wanted) {
  const ConfigNode* value = Find(key);
  if (value != nullptr && value->type != type) {
    WrongType(key, *value, wanted);
    return nullptr;
  }
  return value;
}

ConfigSection ConfigSection::Section(std::string_view key) {
  const ConfigNode* table =
      Find(key, ConfigNode::Type::kTable, fmt::format("a section: [{}]", PathOf(key)));
  return {table, PathOf(key), report_};
}

std::optional<uint64_t> ConfigSection::FindNumber(std::string_view key, Range range) {
  const ConfigNode* node = Find(key, ConfigNode::Type::kInteger, "a number");
  if (node == nullptr) {
    return std::nullopt;
  }
  if (node->integer < 0 || static_cast<uint64_t>(node->integer) < range.low ||
      static_cast<uint64_t>(node->integer) > range.high) {
    Error(key, fmt::format("{} must be {} to {}", PathOf(key), range.low, range.high));
    return std::nullopt;
  }
  return static_cast<uint64_t>(node->integer);
}

void ConfigSection::WrongType(std::string_view key, const ConfigNode& value,
                              std::string_view wanted) {
  report_.Error(value.place,
                fmt::format("{} wants {}, not {}", PathOf(key), wanted, Describe(value.type)));
}

void ConfigSection::BadChoice(std::string_view key, const std::string& choices) {
  const ConfigNode* value = Find(key);
  ASSERT(value != nullptr);
  Error(key, fmt::format("\"{}\" is not a value of {} (it is one of {})", Escaped(value->text),
                         PathOf(key), choices));
}

void ConfigSection::Error(std::string_view key, std::string reason) {
  const ConfigNode* value = Find(key);
  ASSERT(value != nullptr);
  report_.Error(value->place, std::move(reason));
}

void ConfigSection::NotYet(std::string_view key, std::string_view detail) {
  const ConfigNode* value = Find(key);
  ASSERT(value != nullptr);
  report_.NotYet(value->place, PathOf(key), detail);
}

void ConfigSection::NamesFile(std::string_view key, const std::string& path, size_t element) {
  const ConfigNode* value = Find(key);
  ASSERT(value != nullptr);
  const bool is_array = value->type == ConfigNode::Type::kArray;
  report_.NamesFile(is_array ? value->elements[element].place : value->place, PathOf(key), path);
}

void ConfigSection::Missing(std::string_view key) {
  if (table_ != nullptr) {
    report_.Error(table_->place, fmt::format("{} is missing", PathOf(key)));
  }
}

void ConfigSection::ReportUnknownKeys() {
  if (table_ == nullptr) {
    return;
  }
  for (const ConfigMember& member : table_->members) {
    if (std::find(asked_.begin(), asked_.end(), member.key) == asked_.end()) {
      report_.UnknownKey(member.place, path_, member.key);
    }
  }
}

}  // namespace backstay
