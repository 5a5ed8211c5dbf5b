// tools/traffic/ledger_file.h -- a file of "id recipient" lines, one for each that was taken.
//
// The generator writes what was acknowledged to it, the sink what it acknowledged; the audit
// compares them as sets of lines.
//
// Owns:   the file; lines wait in memory until Flush() or 64 KiB of them.
// Errors: Open: a sentence; a failed write ends the program with a sentence and kExitOutput: a
//         ledger with a hole proves nothing.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace backstay {

class LedgerFile {
 public:
  LedgerFile() = default;
  LedgerFile(const LedgerFile&) = delete;
  LedgerFile& operator=(const LedgerFile&) = delete;
  ~LedgerFile();

  // Empty path: Add() does nothing.
  absl::Status Open(const std::string& path);
  void Add(uint64_t id, std::string_view recipient);
  void Flush();

 private:
  [[noreturn]] void EndProgram() const;

  std::FILE* file_ = nullptr;
  std::string path_;
};

}  // namespace backstay
