// tools/backstay/row.h -- one line of the daemon's answer, read leniently: a member that is missing
// or of another type is empty.
//
// A daemon may be newer than the command.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace backstay {

class Row {
 public:
  explicit Row(std::string_view line);
  ~Row();
  Row(Row&&) noexcept;

  std::string Text(std::string_view name) const;
  uint64_t Number(std::string_view name) const;
  double Rate(std::string_view name) const;
  bool Flag(std::string_view name) const;
  bool Has(std::string_view name) const;  // and it is not null
  std::vector<Row> Rows(std::string_view name) const;
  std::vector<std::string> Texts(std::string_view name) const;
  Row Member(std::string_view name) const;  // an object

 private:
  struct Members;
  explicit Row(std::unique_ptr<Members> members);
  std::unique_ptr<Members> members_;
};

}  // namespace backstay
