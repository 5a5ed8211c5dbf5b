// core/shard/config_document.h -- a TOML text as a plain tree in which everything knows its place.
//
// The only user of toml++, which costs seconds to compile; nothing of it shows here.
// Errors: absl::InvalidArgumentError "file:line:column: reason" for text that is not TOML.
// See:    TOML 1.0.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace backstay {

struct ConfigPlace {
  uint32_t line = 1;
  uint32_t column = 1;
  friend auto operator<=>(const ConfigPlace&, const ConfigPlace&) = default;
};

struct ConfigMember;

struct ConfigNode {
  // kOther: floats and dates, which no key wants.
  enum class Type : uint8_t { kString, kInteger, kBoolean, kArray, kTable, kOther };
  Type type = Type::kTable;
  ConfigPlace place;
  std::string text;                   // kString
  int64_t integer = 0;                // kInteger
  std::vector<ConfigNode> elements;   // kArray
  std::vector<ConfigMember> members;  // kTable, in the order of the file

  // The member of that name, or null; null too for a node that is not a table.
  const ConfigMember* Find(std::string_view key) const;
};

struct ConfigMember {
  std::string key;
  ConfigPlace place;  // of the key
  ConfigNode value;
};

// "a string", "an array": what a message calls the node.
std::string_view Describe(ConfigNode::Type type);

absl::StatusOr<ConfigNode> ParseConfigDocument(std::string_view text, std::string_view file_name);

}  // namespace backstay
