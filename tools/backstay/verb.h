// tools/backstay/verb.h -- what all verbs share: exit codes, opening the spool, saying what is odd.
//
// Results go to stdout, everything else to stderr.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "io/io.h"
#include "tools/backstay/finding.h"
#include "tools/backstay/spool_view.h"

namespace backstay {

constexpr int kExitOk = 0;
constexpr int kExitFound = 1;     // damage, or nothing of that name
constexpr int kExitUsage = 64;    // from here on as in sysexits.h
constexpr int kExitNoInput = 66;  // a file of the operator's cannot be read
constexpr int kExitKernel = 69;   // io_uring is missing or forbidden
constexpr int kExitNoDaemon = 69;
constexpr int kExitSpool = 73;   // cannot be opened or read
constexpr int kExitOutput = 74;  // stdout does not take what is written
constexpr int kExitNotYet = 75;  // the daemon cannot now
constexpr int kExitNewerFormat = 76;
constexpr int kExitPermission = 77;
constexpr int kExitConfig = 78;

void Print(std::string_view text);      // to stdout
void PrintLine(std::string_view line);  // to stdout
void Complain(std::string_view line);   // to stderr, behind the program's name

// Opens it and says on stderr what a reader must know. Nothing: `exit_code` says why, stderr too.
std::optional<SpoolView> OpenSpool(Io& io, const std::string& path, int& exit_code);
int ComplainOfSpool(const std::string& path, const absl::Status& status);

// For verbs whose subject is not the damage: counts it, and says at the end that there was some.
class FindingCount final : public FindingEvents {
 public:
  void OnFinding(const Finding& finding) override;
  void Complain(const std::string& path) const;

 private:
  uint64_t damaged_ = 0;
  uint64_t unreadable_ = 0;
};

}  // namespace backstay
