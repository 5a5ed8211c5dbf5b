// core/smtp/output_queue.h -- bytes to send, and whether a command has begun to leave.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/check.h"

namespace backstay {

class OutputQueue {
 public:
  void Append(std::string_view text) { bytes_.append(text); }
  // For writers that append by themselves.
  std::string& tail() { return bytes_; }
  std::string_view view() const { return std::string_view(bytes_).substr(start_); }

  // What is appended from here on is a group of commands of its own.
  void BeginGroup() {
    group_before_at_ = group_at_;
    group_at_ = dropped_ + view().size();
  }
  // At least one byte of the last group was dropped, that is, sent; or of the one before it.
  bool group_left() const { return dropped_ > group_at_; }
  bool group_before_left() const { return dropped_ > group_before_at_; }

  void Drop(size_t bytes) {
    ASSERT(bytes <= view().size());
    start_ += bytes;
    dropped_ += bytes;
    if (start_ * 2 >= bytes_.size()) {  // moving the rest costs no more than what was dropped
      bytes_.erase(0, start_);
      start_ = 0;
    }
  }
  void Clear() {
    bytes_.clear();
    start_ = 0;
  }

 private:
  std::string bytes_;  // from start_ on
  size_t start_ = 0;
  uint64_t dropped_ = 0;   // ever
  uint64_t group_at_ = 0;  // position of the last group among all bytes ever queued
  uint64_t group_before_at_ = 0;
};

}  // namespace backstay
