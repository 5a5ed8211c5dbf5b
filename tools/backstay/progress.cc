// tools/backstay/progress.cc -- one line of stderr, drawn over itself.
#include "tools/backstay/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "tools/backstay/text.h"

namespace backstay {
namespace {

constexpr size_t kBarColumns = 30;
constexpr absl::Duration kBetweenDraws = absl::Milliseconds(100);
constexpr const char* kEraseLine = "\r\x1b[K";

}  // namespace

void Progress::OnBytesRead(uint64_t bytes) {
  bytes_read_ += bytes;
  if (!is_shown_ || io_.Now() < draw_at_) {
    return;
  }
  draw_at_ = io_.Now() + kBetweenDraws;
  is_drawn_ = true;
  // A file may have grown since its size was asked.
  const uint64_t total = std::max<uint64_t>({bytes_total_, bytes_read_, 1});
  const auto full = static_cast<size_t>(kBarColumns * bytes_read_ / total);
  const std::string line =
      fmt::format("{}[{:<{}}] {:3}%  {} of {}", kEraseLine, std::string(full, '='), kBarColumns,
                  100 * bytes_read_ / total, ReadableBytes(bytes_read_), ReadableBytes(total));
  std::fputs(line.c_str(), stderr);
}

void Progress::Clear() {
  if (is_drawn_) {
    std::fputs(kEraseLine, stderr);
    is_drawn_ = false;
  }
}

}  // namespace backstay
