// core/shard/config_document.cc -- toml++ nodes copied into our own, sorted by their place.
#include "core/shard/config_document.h"

// Product targets have no exceptions; then parse() gives a result that may hold an error.
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include <fmt/format.h>

#include <algorithm>

#include "core/base/check.h"
#include "core/base/log.h"

namespace backstay {
namespace {

ConfigPlace ToPlace(const toml::source_region& source) {
  return {.line = source.begin.line, .column = source.begin.column};
}

ConfigNode ToNode(const toml::node& from);

void CopyMembers(const toml::table& from, ConfigNode& to) {
  to.type = ConfigNode::Type::kTable;
  for (const auto& [key, value] : from) {
    to.members.push_back(
        {.key = std::string(key.str()), .place = ToPlace(key.source()), .value = ToNode(value)});
  }
  // toml++ sorts by name. Places are distinct: each key stands somewhere.
  std::sort(
      to.members.begin(), to.members.end(),
      [](const ConfigMember& left, const ConfigMember& right) { return left.place < right.place; });
}

// Recursion is bounded: toml++ refuses more than TOML_MAX_NESTED_VALUES (256) levels.
ConfigNode ToNode(const toml::node& from) {
  ConfigNode node;
  node.type = ConfigNode::Type::kOther;
  node.place = ToPlace(from.source());
  if (const toml::table* table = from.as_table()) {
    CopyMembers(*table, node);
  } else if (const toml::array* array = from.as_array()) {
    node.type = ConfigNode::Type::kArray;
    for (const toml::node& element : *array) {
      node.elements.push_back(ToNode(element));
    }
  } else if (const auto* text = from.as_string()) {
    node.type = ConfigNode::Type::kString;
    node.text = text->get();
  } else if (const auto* integer = from.as_integer()) {
    node.type = ConfigNode::Type::kInteger;
    node.integer = integer->get();
  } else if (from.is_boolean()) {
    node.type = ConfigNode::Type::kBoolean;
  }
  return node;
}

}  // namespace

const ConfigMember* ConfigNode::Find(std::string_view key) const {
  for (const ConfigMember& member : members) {
    if (member.key == key) {
      return &member;
    }
  }
  return nullptr;
}

std::string_view Describe(ConfigNode::Type type) {
  switch (type) {
    case ConfigNode::Type::kString:
      return "a string";
    case ConfigNode::Type::kInteger:
      return "a number";
    case ConfigNode::Type::kBoolean:
      return "true or false";
    case ConfigNode::Type::kArray:
      return "an array";
    case ConfigNode::Type::kTable:
      return "a section";
    case ConfigNode::Type::kOther:
      return "a fraction or a date";
  }
  UNREACHABLE();
}

absl::StatusOr<ConfigNode> ParseConfigDocument(std::string_view text, std::string_view file_name) {
  const toml::parse_result result = toml::parse(text);
  if (!result) {
    const ConfigPlace place = ToPlace(result.error().source());
    return absl::InvalidArgumentError(fmt::format("{}:{}:{}: {}", file_name, place.line,
                                                  place.column,
                                                  Escaped(result.error().description())));
  }
  ConfigNode root;
  CopyMembers(result.table(), root);
  return root;
}

}  // namespace backstay
