// tools/backstay/table.h -- a small table for a terminal: columns as wide as their widest cell.
#pragma once

#include <string>
#include <vector>

namespace backstay {

class Table {
 public:
  // The first column is of names and stands left, the others are of numbers and stand right.
  explicit Table(std::vector<std::string> heading) : rows_{std::move(heading)} {}
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string Text() const;

 private:
  std::vector<std::vector<std::string>> rows_;  // all of one length
};

}  // namespace backstay
