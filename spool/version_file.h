// spool/version_file.h -- the VERSION file: format and node of a spool, as two lines of text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace backstay {

struct VersionFile {
  uint32_t format = 0;
  uint16_t node = 0;

  std::string ToText() const;
  // Reads the format of any version, the node of ours. Nothing for anything else.
  static std::optional<VersionFile> Parse(std::string_view text);
};

}  // namespace backstay
