// tools/backstay/order.cc -- how many, are you sure, done.
#include "tools/backstay/order.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "tools/backstay/daemon_client.h"
#include "tools/backstay/text.h"
#include "tools/backstay/verb.h"

namespace backstay {
namespace {

std::string ArrayOf(const std::vector<std::string>& names) {
  std::string json = "[";
  for (const std::string& name : names) {
    json += json.size() > 1 ? "," : "";
    json += JsonString(name);
  }
  return json + "]";
}

std::string RequestOf(const OrderOptions& options, bool is_dry_run) {
  JsonObject json;
  json.Text("verb", options.verb)
      .Flag("all", options.is_all)
      .Json("domains", ArrayOf(options.domains))
      .Json("destinations", ArrayOf(options.destinations))
      .Flag("keep_age", options.keeps_age)
      .Flag("dry_run", is_dry_run);
  return std::move(json).Take();
}

void Tell(const OrderOptions& options, uint64_t recipients, bool is_dry_run) {
  if (!options.is_json) {
    PrintLine(fmt::format("{}{}: {} recipients", is_dry_run ? "would " : "", options.verb,
                          GroupedNumber(recipients)));
    return;
  }
  JsonObject json;
  json.Text("verb", options.verb).Number("recipients", recipients).Flag("dry_run", is_dry_run);
  PrintLine(std::move(json).Take());
}

bool IsConfirmed(const OrderOptions& options, uint64_t recipients) {
  std::fprintf(stderr, "%s %s recipients? [y/N] ", options.verb.c_str(),
               GroupedNumber(recipients).c_str());
  const int answer = std::getchar();
  return answer == 'y' || answer == 'Y';
}

}  // namespace

int Order(const std::string& endpoint, const OrderOptions& options) {
  DaemonClient daemon(endpoint);
  const auto no_rows = [](std::string_view) {};
  const DaemonAnswer counted = daemon.Ask(RequestOf(options, /*is_dry_run=*/true), no_rows);
  if (counted.exit_code != kExitOk) {
    return counted.exit_code;
  }
  if (options.is_dry_run) {
    Tell(options, counted.recipients, /*is_dry_run=*/true);
    return kExitOk;
  }
  if (!options.is_sure) {
    if (isatty(STDIN_FILENO) != 1) {
      Complain(fmt::format("{} {} recipients? Say --yes: there is no terminal to ask at",
                           options.verb, GroupedNumber(counted.recipients)));
      return kExitUsage;
    }
    if (!IsConfirmed(options, counted.recipients)) {
      Complain("nothing was done");
      return kExitFound;
    }
  }
  const DaemonAnswer done = daemon.Ask(RequestOf(options, /*is_dry_run=*/false), no_rows);
  if (done.exit_code == kExitOk) {
    Tell(options, done.recipients, /*is_dry_run=*/false);
  }
  return done.exit_code;
}

}  // namespace backstay
