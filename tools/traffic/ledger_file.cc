// tools/traffic/ledger_file.cc -- buffered by stdio, checked at every write.
#include "tools/traffic/ledger_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "core/base/check.h"
#include "tools/traffic/program.h"
#include "tools/traffic/stamp.h"

namespace backstay {

LedgerFile::~LedgerFile() {
  if (file_ != nullptr && std::fclose(file_) != 0) {
    EndProgram();
  }
}

// Not by std::exit: nothing else is to be written or waited for.
void LedgerFile::EndProgram() const {
  std::fprintf(stderr, "%s: cannot write the ledger %s: %s\n", program_invocation_short_name,
               path_.c_str(), strerrordesc_np(errno));
  std::_Exit(kExitOutput);
}

absl::Status LedgerFile::Open(const std::string& path) {
  ASSERT(file_ == nullptr);
  if (path.empty()) {
    return absl::OkStatus();
  }
  path_ = path;
  file_ = std::fopen(path.c_str(), "w");
  if (file_ == nullptr) {
    return absl::NotFoundError(
        fmt::format("cannot write the ledger {}: {}", path, strerrordesc_np(errno)));
  }
  std::setvbuf(file_, nullptr, _IOFBF, 65536);
  return absl::OkStatus();
}

void LedgerFile::Add(uint64_t id, std::string_view recipient) {
  if (file_ != nullptr) {
    const std::string line = fmt::format("{:016x} {}\n", id, recipient);
    if (std::fwrite(line.data(), 1, line.size(), file_) != line.size()) {
      EndProgram();
    }
  }
}

void LedgerFile::Flush() {
  if (file_ != nullptr && std::fflush(file_) != 0) {
    EndProgram();
  }
}

}  // namespace backstay
