// tools/traffic/program.cc -- the heap, and results beside their place first.
#include "tools/traffic/program.h"

#include <malloc.h>

#include <cstdio>
#include <filesystem>
#include <system_error>

namespace backstay {

void KeepHeap() {
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  mallopt(M_TOP_PAD, 1 << 20);
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
