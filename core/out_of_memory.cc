// core/out_of_memory.cc -- limits as the kernel has them, in buffers of the stack.
#include "core/out_of_memory.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace backstay {
namespace {

constexpr size_t kLineBytes = 1024;
constexpr size_t kPathBytes = 512;
constexpr size_t kLimitBytes = 32;

using PathText = std::array<char, kPathBytes>;
using LimitText = std::array<char, kLimitBytes>;

LimitText TextOf(int resource) {
  LimitText text{"none"};
  rlimit limit{};
  if (getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    (void)std::snprintf(text.data(), text.size(), "%llu bytes",
                        static_cast<unsigned long long>(limit.rlim_cur));
  }
  return text;
}

// What fits, with a NUL behind it; false: nothing.
bool ReadSmallFile(const char* path, char* text, size_t bytes) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t count = file < 0 ? -1 : read(file, text, bytes - 1);
  if (file >= 0) {
    close(file);
  }
  text[count > 0 ? count : 0] = '\0';
  return count > 0;
}

// memory.max of our own group of the unified hierarchy.
LimitText GroupLimit() {
  PathText own{};
  PathText path{};
  LimitText limit{"none"};
  if (!ReadSmallFile("/proc/self/cgroup", own.data(), own.size())) {
    return limit;
  }
  const char* group = std::strstr(own.data(), "0::/");
  if (group == nullptr) {
    return limit;
  }
  group += std::strlen("0::");
  (void)std::snprintf(path.data(), path.size(), "/sys/fs/cgroup%.*s/memory.max",
                      static_cast<int>(std::strcspn(group, "\n")), group);
  LimitText read{};
  if (ReadSmallFile(path.data(), read.data(), read.size()) && read[0] >= '0' && read[0] <= '9') {
    read[std::strcspn(read.data(), "\n")] = '\0';
    (void)std::snprintf(limit.data(), limit.size(), "%.24s bytes", read.data());
  }
  return limit;
}

}  // namespace

void EndForWantOfMemory() {
  timespec now{};
  tm parts{};
  std::array<char, kLimitBytes> time{};
  std::array<char, kLineBytes> line{};
  (void)clock_gettime(CLOCK_REALTIME, &now);
  (void)gmtime_r(&now.tv_sec, &parts);
  (void)strftime(time.data(), time.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  const int length = std::snprintf(
      line.data(), line.size(),
      "%s.%03d+00:00 error out of memory: nothing more can be had, so the daemon ends; what was "
      "acknowledged is on disk, start it again; limits: RLIMIT_AS (LimitAS, ulimit -v) %s, "
      "RLIMIT_DATA (LimitDATA, ulimit -d) %s, memory.max of its cgroup (MemoryMax) %s: raise what "
      "there is, or lower smtp.max_connections; where there is none the machine has too little "
      "(vm.overcommit_memory, vm.max_map_count)\n",
      time.data(), static_cast<int>(now.tv_nsec / 1'000'000), TextOf(RLIMIT_AS).data(),
      TextOf(RLIMIT_DATA).data(), GroupLimit().data());
  // Whoever cannot be told is not told.
  [[maybe_unused]] const ssize_t told =
      length > 0 ? write(STDERR_FILENO, line.data(), static_cast<size_t>(length)) : 0;
  std::abort();
}

}  // namespace backstay
