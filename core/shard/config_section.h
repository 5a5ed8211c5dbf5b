// core/shard/config_section.h -- typed reading of one section, keeping every mistake.
//
// Reading a key makes it known: what was never asked for is an unknown key, and the nearest known
// one is named. So all sections must be read, absent ones too (a null table), before the report.
// Outlives: a ConfigReport every section that reports to it; the document both.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/status/statusor.h"
#include "core/shard/config_document.h"

namespace backstay {

// What a mistake says was wanted, where several sections read the same kind of value.
inline constexpr std::string_view kDurationWanted = "a duration in quotes, such as \"10m\"";
inline constexpr std::string_view kSizeWanted = "a size in quotes, such as \"50MiB\"";
inline constexpr std::string_view kNetworksWanted =
    "an array of networks, such as [\"192.0.2.0/24\"]";

// The mistakes and notices of one file.
class ConfigReport {
 public:
  explicit ConfigReport(std::string_view file_name) : file_name_(file_name) {}
  ConfigReport(const ConfigReport&) = delete;
  ConfigReport& operator=(const ConfigReport&) = delete;

  void Error(ConfigPlace place, std::string reason);
  void KnownKey(std::string path) { known_.insert(std::move(path)); }
  void UnknownKey(ConfigPlace place, const std::string& section, const std::string& key);
  // The key at `path` asks for what this version does not do; `detail` may be empty.
  void NotYet(ConfigPlace place, const std::string& path, std::string_view detail);

  // The value of the key at `key` names a file to be read.
  void NamesFile(ConfigPlace place, const std::string& key, const std::string& path);

  // Ok, or one line per mistake in the order of the file.
  absl::Status ToStatus() const;
  std::vector<std::string> Notices() const;
  // See Config::files.
  const absl::btree_map<std::string, std::string>& files() const { return files_; }

 private:
  struct Unknown {
    std::string section;
    std::string key;
  };
  struct Notice {
    ConfigPlace place;  // of the first
    std::string detail;
    size_t count = 0;
  };
  std::string Nearest(const Unknown& unknown) const;

  const std::string file_name_;
  absl::btree_multimap<ConfigPlace, std::string> errors_;
  absl::btree_multimap<ConfigPlace, Unknown> unknown_;
  absl::btree_set<std::string> known_;  // "smtp.listen"
  absl::btree_map<std::string, Notice> notices_;
  absl::btree_map<std::string, std::string> files_;
};

class ConfigSection {
 public:
  template <typename Value>
  using Parser = absl::StatusOr<Value> (*)(std::string_view text);
  template <typename Enum>
  using Choices = std::initializer_list<std::pair<std::string_view, Enum>>;
  struct Range {
    uint64_t low = 0;
    uint64_t high = 0;
  };

  // `table` may be null: the section is absent. `path` is empty for the top, else "smtp".
  ConfigSection(const ConfigNode* table, std::string path, ConfigReport& report);

  // Each returns true when the key is there and its value was taken. `wanted` completes "wants
  // ...".
  template <typename Value>
  bool Read(std::string_view key, std::string_view wanted, Parser<Value> parse, Value& target);
  template <typename Value>
  bool ReadList(std::string_view key, std::string_view wanted, Parser<Value> parse,
                std::vector<Value>& target);
  template <typename Number>
  bool ReadNumber(std::string_view key, Range range, Number& target);
  template <typename Enum>
  bool ReadChoice(std::string_view key, Choices<Enum> choices, Enum& target);

  // The value of the key whatever its type, or null.
  const ConfigNode* Find(std::string_view key);
  // The value when it has that type; anything else is reported.
  const ConfigNode* Find(std::string_view key, ConfigNode::Type type, std::string_view wanted);
  ConfigSection Section(std::string_view key);

  // At the value of `key`, which is there.
  void Error(std::string_view key, std::string reason);
  void NotYet(std::string_view key, std::string_view detail = {});
  // At the value, or at that element if it is an array.
  void NamesFile(std::string_view key, const std::string& path, size_t element = 0);
  // At the section, if there is one.
  void Missing(std::string_view key);
  // Last: reports the keys that nobody asked for.
  void ReportUnknownKeys();

  ConfigReport& report() { return report_; }
  std::string PathOf(std::string_view key) const;

 private:
  std::optional<uint64_t> FindNumber(std::string_view key, Range range);
  void WrongType(std::string_view key, const ConfigNode& value, std::string_view wanted);
  void BadChoice(std::string_view key, const std::string& choices);

  const ConfigNode* const table_;
  const std::string path_;
  ConfigReport& report_;
  std::vector<std::string_view> asked_;
};

template <typename Value>
bool ConfigSection::Read(std::string_view key, std::string_view wanted, Parser<Value> parse,
                         Value& target) {
  const ConfigNode* node = Find(key, ConfigNode::Type::kString, wanted);
  if (node == nullptr) {
    return false;
  }
  absl::StatusOr<Value> value = parse(node->text);
  if (!value.ok()) {
    report_.Error(node->place, std::string(value.status().message()));
    return false;
  }
  target = *std::move(value);
  return true;
}

template <typename Value>
bool ConfigSection::ReadList(std::string_view key, std::string_view wanted, Parser<Value> parse,
                             std::vector<Value>& target) {
  const ConfigNode* array = Find(key, ConfigNode::Type::kArray, wanted);
  if (array == nullptr) {
    return false;
  }
  std::vector<Value> values;
  for (const ConfigNode& element : array->elements) {
    if (element.type != ConfigNode::Type::kString) {
      WrongType(key, element, wanted);
      continue;
    }
    absl::StatusOr<Value> value = parse(element.text);
    if (value.ok()) {
      values.push_back(*std::move(value));
    } else {
      report_.Error(element.place, std::string(value.status().message()));
    }
  }
  if (values.size() != array->elements.size()) {
    return false;
  }
  target = std::move(values);
  return true;
}

template <typename Number>
bool ConfigSection::ReadNumber(std::string_view key, Range range, Number& target) {
  const std::optional<uint64_t> number = FindNumber(key, range);
  if (number.has_value()) {
    target = static_cast<Number>(*number);
  }
  return number.has_value();
}

template <typename Enum>
bool ConfigSection::ReadChoice(std::string_view key, Choices<Enum> choices, Enum& target) {
  std::string names;
  for (const auto& [name, value] : choices) {
    names.append(names.empty() ? "\"" : ", \"").append(name).append("\"");
  }
  const ConfigNode* node = Find(key, ConfigNode::Type::kString, "one of " + names);
  if (node == nullptr) {
    return false;
  }
  for (const auto& [name, value] : choices) {
    if (name == node->text) {
      target = value;
      return true;
    }
  }
  BadChoice(key, names);
  return false;
}

}  // namespace backstay
