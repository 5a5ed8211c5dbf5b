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

std::string InWords(const DaemonAnswer& answer) {
  const std::string recipients = fmt::format("{} recipients", GroupedNumber(answer.recipients));
  return answer.reports == 0 ? recipients
                             : fmt::format("{} and {} reports that are owed", recipients,
                                           GroupedNumber(answer.reports));
}

std::string Recipients(const Confirmation& how, const DaemonAnswer& answer) {
  const std::string all = InWords(answer);
  return how.elsewhere.value_or(0) == 0
             ? all
             : fmt::format("{}, {} of them in other domains, as whole messages are meant", all,
                           GroupedNumber(*how.elsewhere));
}

void Tell(const Confirmation& how, const DaemonAnswer& answer, bool is_dry_run) {
  if (!how.is_json) {
    PrintLine(
        fmt::format("{}{}: {}", is_dry_run ? "would " : "", how.told, Recipients(how, answer)));
    return;
  }
  JsonObject json;
  json.Text("verb", how.told).Number("recipients", answer.recipients);
  json.Flag("dry_run", is_dry_run);
  if (answer.reports > 0) {
    json.Number("reports", answer.reports);
  }
  if (how.elsewhere.has_value()) {
    json.Number("elsewhere", *how.elsewhere);
  }
  PrintLine(std::move(json).Take());
}

bool IsConfirmed(const Confirmation& how, const DaemonAnswer& counted) {
  std::fprintf(stderr, "%s %s? [y/N] ", how.told.c_str(), Recipients(how, counted).c_str());
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
    Tell(how, counted, /*is_dry_run=*/true);
    return kExitOk;
  }
  if (!how.is_sure) {
    if (isatty(STDIN_FILENO) != 1) {
      Complain(fmt::format("{} {}? Say --yes: there is no terminal to ask at", how.told,
                           Recipients(how, counted)));
      return kExitUsage;
    }
    if (!IsConfirmed(how, counted)) {
      Complain("nothing was done");
      return kExitFound;
    }
  }
  const DaemonAnswer done = give(/*is_dry_run=*/false);
  if (done.exit_code == kExitOk) {
    Tell(how, done, /*is_dry_run=*/false);
  } else if (done.recipients + done.reports > 0) {  // of many ids, those of the requests before
    Complain(fmt::format("before that {} was done for {}; the same command goes on with the others",
                         how.told, InWords(done)));
  }
  return done.exit_code;
}

int DoAtOnce(const Confirmation& how, absl::FunctionRef<DaemonAnswer(bool is_dry_run)> give) {
  const DaemonAnswer done = give(how.is_dry_run);
  if (done.exit_code == kExitOk) {
    Tell(how, done, how.is_dry_run);
  }
  return done.exit_code;
}

}  // namespace backstay
