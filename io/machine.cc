// io/machine.cc -- gethostname and stat.
#include "io/machine.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>

namespace backstay {

std::string MachineName() {
  std::array<char, 256> name{};  // the kernel keeps 64, and a name that is cut has no end
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : std::string();
}

FileRights RightsOf(const std::string& path) {
  struct stat found {};
  if (stat(path.c_str(), &found) != 0) {
    return {};
  }
  return {.everybody_reads = (found.st_mode & S_IROTH) != 0,
          .others_write = (found.st_mode & (S_IWGRP | S_IWOTH)) != 0};
}

}  // namespace backstay
