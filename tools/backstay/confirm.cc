// tools/backstay/confirm.cc -- see the header.
#include "tools/backstay/confirm.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "tools/backstay/text.h"
#include "tools/backstay/verb.h"

namespace backstay {
namespace {

void Tell(const Confirmation& how, uint64_t recipients, bool is_dry_run) {
  if (!how.is_json) {
    PrintLine(fmt::format("{}{}: {} recipients", is_dry_run ? "would " : "", how.told,
                          GroupedNumber(recipients)));
    return;
  }
  JsonObject json;
  json.Text("verb", how.told).Number("recipients", recipients).Flag("dry_run", is_dry_run);
  PrintLine(std::move(json).Take());
}

bool IsConfirmed(const Confirmation& how, uint64_t recipients) {
  std::fprintf(stderr, "%s %s recipients? [y/N] ", how.told.c_str(),
               GroupedNumber(recipients).c_str());
  const int answer = std::getchar();
  return answer == 'y' || answer == 'Y';
}

}  // namespace

int CountAskDo(const Confirmation& how, absl::FunctionRef<DaemonAnswer(bool is_dry_run)> give) {
  const DaemonAnswer counted = give(/*is_dry_run=*/true);
  if (counted.exit_code != kExitOk) {
    return counted.exit_code;
  }
  if (how.is_dry_run) {
    Tell(how, counted.recipients, /*is_dry_run=*/true);
    return kExitOk;
  }
  if (!how.is_sure) {
    if (isatty(STDIN_FILENO) != 1) {
      Complain(fmt::format("{} {} recipients? Say --yes: there is no terminal to ask at", how.told,
                           GroupedNumber(counted.recipients)));
      return kExitUsage;
    }
    if (!IsConfirmed(how, counted.recipients)) {
      Complain("nothing was done");
      return kExitFound;
    }
  }
  const DaemonAnswer done = give(/*is_dry_run=*/false);
  if (done.exit_code == kExitOk) {
    Tell(how, done.recipients, /*is_dry_run=*/false);
  }
  return done.exit_code;
}

int DoAtOnce(const Confirmation& how, absl::FunctionRef<DaemonAnswer(bool is_dry_run)> give) {
  const DaemonAnswer done = give(how.is_dry_run);
  if (done.exit_code == kExitOk) {
    Tell(how, done.recipients, how.is_dry_run);
  }
  return done.exit_code;
}

}  // namespace backstay
