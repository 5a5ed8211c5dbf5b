// tools/traffic/program.cc -- the heap, numbers, and results beside their place first.
#include "tools/traffic/program.h"

#include <fmt/format.h>
#include <malloc.h>

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "absl/time/time.h"

namespace backstay {
namespace {

template <typename Number>
bool IsNumber(std::string_view text, Number& number) {
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && at == end;
}

}  // namespace

void KeepHeap() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most; by itself it does not grow once one is set
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  mallopt(M_TOP_PAD, 1 << 20);
}

std::string ComplainAboutCount(std::string_view text, uint64_t least, uint64_t most) {
  uint64_t count = 0;
  if (IsNumber(text, count) && count >= least && count <= most) {
    return "";
  }
  return fmt::format("\"{}\" is no whole number from {} to {}", text, least, most);
}

std::string ComplainAboutRate(std::string_view text, double most) {
  double rate = 0;
  if (IsNumber(text, rate) && rate > 0 && rate <= most) {
    return "";
  }
  return fmt::format("\"{}\" is no number above 0, {:.0f} at most", text, most);
}

std::string IsoTime(WallTime time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixNanos(time.nanoseconds()),
                          absl::UTCTimeZone());
}

bool WriteResult(const std::string& json, const std::string& path) {
  const bool to_stdout = path == "-";
  std::error_code none;
  const bool replaces = !to_stdout && (!std::filesystem::exists(path, none) ||
                                       std::filesystem::is_regular_file(path, none));
  const std::string written_to = replaces ? path + ".new" : path;
  std::FILE* file = to_stdout ? stdout : std::fopen(written_to.c_str(), "w");
  if (file == nullptr) {
    return false;
  }
  const bool written = std::fprintf(file, "%s\n", json.c_str()) > 0;
  const bool closed = (to_stdout ? std::fflush(file) : std::fclose(file)) == 0;
  return written && closed && (!replaces || std::rename(written_to.c_str(), path.c_str()) == 0);
}

}  // namespace backstay
