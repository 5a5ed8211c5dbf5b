// tools/load/replay.cc -- reads everything at the start: a disk must not set the pace.
#include "tools/load/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "core/base/status_macros.h"
#include "core/base/units.h"

namespace backstay {
namespace {

constexpr size_t kReplayBytesMax = 1_GiB;

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "r");
  if (file == nullptr) {
    return absl::NotFoundError(fmt::format("cannot read {}: {}", path, strerrordesc_np(errno)));
  }
  std::string text;
  char piece[65536];
  for (size_t count = 0; (count = std::fread(piece, 1, sizeof(piece), file)) > 0;) {
    text.append(piece, count);
    if (text.size() > kReplayBytesMax) {
      break;
    }
  }
  const bool failed = std::ferror(file) != 0 || text.size() > kReplayBytesMax;
  static_cast<void>(std::fclose(file));
  if (failed) {
    return absl::InvalidArgumentError(fmt::format("{} cannot be read, or is above 1 GiB", path));
  }
  return text;
}

absl::StatusOr<std::vector<std::string>> FilesOf(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    if (at->path().extension() == ".eml") {
      names.push_back(at->path().string());
    }
  }
  if (error) {
    return absl::NotFoundError(fmt::format("cannot read {}: {}", folder, error.message()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::string WithCrlf(std::string_view text) {
  std::string output;
  output.reserve(text.size() + text.size() / 32);
  for (const char character : text) {
    if (character == '\n') {
      output += "\r\n";
    } else if (character != '\r' && character != '\0') {
      output += character;
    }
  }
  if (!output.empty() && !output.ends_with("\r\n")) {
    output += "\r\n";
  }
  return output;
}

std::vector<std::string> SplitMbox(std::string_view text) {
  std::vector<std::string> messages;
  while (!text.empty()) {
    const size_t begin = text.find('\n') + 1;  // behind the "From " line
    const size_t next = begin == 0 ? text.size() : text.find("\nFrom ", begin - 1);
    const size_t end = std::min(next, text.size());
    if (begin > 0 && end > begin) {
      messages.push_back(WithCrlf(text.substr(begin, end - begin)));
    }
    text = next >= text.size() ? std::string_view() : text.substr(next + 1);
  }
  return messages;
}

absl::StatusOr<std::vector<std::string>> LoadReplay(const std::string& path) {
  std::vector<std::string> messages;
  std::error_code none;  // whatever it is: who opens it says more
  if (std::filesystem::is_directory(path, none)) {
    size_t bytes = 0;
    ASSIGN_OR_RETURN(const std::vector<std::string> names, FilesOf(path));
    for (const std::string& name : names) {
      ASSIGN_OR_RETURN(const std::string text, ReadFile(name));
      messages.push_back(WithCrlf(text));
      bytes += text.size();
      if (bytes > kReplayBytesMax) {
        return absl::InvalidArgumentError(fmt::format("{} holds more than 1 GiB", path));
      }
    }
  } else {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    if (!text.starts_with("From ")) {
      return absl::InvalidArgumentError(
          fmt::format("{} is no mbox (its first line begins with \"From \") and no folder", path));
    }
    messages = SplitMbox(text);
  }
  if (messages.empty()) {
    return absl::InvalidArgumentError(fmt::format("{} has no message", path));
  }
  return messages;
}

}  // namespace backstay
