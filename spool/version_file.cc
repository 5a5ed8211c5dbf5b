// spool/version_file.cc -- "backstay spool 1\nnode 4711\n".
#include "spool/version_file.h"

#include <fmt/format.h>

#include <charconv>

#include "spool/format.h"

namespace backstay {
namespace {

// Takes `word` and the number and line end behind it.
template <typename Number>
bool TakeLine(std::string_view& text, std::string_view word, Number& number) {
  if (text.substr(0, word.size()) != word) {
    return false;
  }
  text.remove_prefix(word.size());
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || stop == text.data() + text.size() || *stop != '\n') {
    return false;
  }
  text.remove_prefix(static_cast<size_t>(stop - text.data()) + 1);
  return true;
}

}  // namespace

std::string VersionFile::ToText() const {
  return fmt::format("backstay spool {}\nnode {}\n", format, node);
}

std::optional<VersionFile> VersionFile::Parse(std::string_view text) {
  VersionFile file;
  if (!TakeLine(text, "backstay spool ", file.format)) {
    return std::nullopt;
  }
  if (file.format > kFormatVersion) {
    return file;
  }
  if (!TakeLine(text, "node ", file.node) || !text.empty()) {
    return std::nullopt;
  }
  return file;
}

}  // namespace backstay
