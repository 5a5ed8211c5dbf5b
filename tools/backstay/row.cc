// tools/backstay/row.cc -- the only place of the command that parses JSON.
#include "tools/backstay/row.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace backstay {

struct Row::Members {
  nlohmann::json json;

  // Null: it is missing.
  const nlohmann::json* Find(std::string_view name) const {
    if (!json.is_object()) {
      return nullptr;
    }
    const auto found = json.find(std::string(name));
    return found == json.end() ? nullptr : &*found;
  }
};

Row::Row(std::string_view line)
    : members_(new Members{nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false)}) {}
Row::Row(std::unique_ptr<Members> members) : members_(std::move(members)) {}
Row::~Row() = default;
Row::Row(Row&&) noexcept = default;

std::string Row::Text(std::string_view name) const {
  const nlohmann::json* value = members_->Find(name);
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

uint64_t Row::Number(std::string_view name) const {
  const nlohmann::json* value = members_->Find(name);
  return value != nullptr && value->is_number_unsigned() ? value->get<uint64_t>() : 0;
}

double Row::Rate(std::string_view name) const {
  const nlohmann::json* value = members_->Find(name);
  return value != nullptr && value->is_number() ? value->get<double>() : 0;
}

bool Row::Flag(std::string_view name) const {
  const nlohmann::json* value = members_->Find(name);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

bool Row::Has(std::string_view name) const {
  const nlohmann::json* value = members_->Find(name);
  return value != nullptr && !value->is_null();
}

std::vector<std::string> Row::Texts(std::string_view name) const {
  std::vector<std::string> texts;
  const nlohmann::json* value = members_->Find(name);
  if (value != nullptr && value->is_array()) {
    for (const nlohmann::json& item : *value) {
      texts.push_back(item.is_string() ? item.get<std::string>() : "");
    }
  }
  return texts;
}

Row Row::Member(std::string_view name) const {
  const nlohmann::json* value = members_->Find(name);
  return Row(std::unique_ptr<Members>(new Members{value != nullptr ? *value : nlohmann::json()}));
}

std::vector<Row> Row::Rows(std::string_view name) const {
  std::vector<Row> rows;
  const nlohmann::json* value = members_->Find(name);
  if (value != nullptr && value->is_array()) {
    for (const nlohmann::json& item : *value) {
      rows.push_back(Row(std::unique_ptr<Members>(new Members{item})));
    }
  }
  return rows;
}

}  // namespace backstay
