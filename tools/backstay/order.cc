// tools/backstay/order.cc -- how many, are you sure, done.
#include "tools/backstay/order.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tools/backstay/daemon_client.h"
#include "tools/backstay/row.h"
#include "tools/backstay/text.h"
#include "tools/backstay/verb.h"

namespace backstay {
namespace {

// 19 bytes each: well within a request.
constexpr size_t kIdsInRequest = 8192;
constexpr uint64_t kTellEvery = 10'000;

std::string ArrayOf(const std::vector<std::string>& names) {
  std::string json = "[";
  for (const std::string& name : names) {
    json += json.size() > 1 ? "," : "";
    json += JsonString(name);
  }
  return json + "]";
}

std::string RequestOf(const OrderOptions& options, bool is_dry_run,
                      const std::vector<std::string>& ids) {
  JsonObject json;
  json.Text("verb", options.verb);
  if (!ids.empty()) {
    json.Json("ids", ArrayOf(ids));
  } else {
    json.Flag("all", options.is_all)
        .Json("domains", ArrayOf(options.domains))
        .Json("destinations", ArrayOf(options.destinations));
  }
  json.Flag("keep_age", options.keeps_age).Flag("dry_run", is_dry_run);
  if (options.accepts_refusals) {
    json.Flag("accept_refusals", true);
  }
  return std::move(json).Take();
}

// One request, or as many as the ids need.
DaemonAnswer Give(DaemonClient& daemon, const OrderOptions& options,
                  const std::vector<std::string>& ids, bool is_dry_run) {
  const auto no_rows = [](std::string_view) {};
  DaemonAnswer sum;
  size_t at = 0;
  bool is_done = false;
  do {
    const size_t end = std::min(ids.size(), at + kIdsInRequest);
    const std::vector<std::string> piece(ids.begin() + static_cast<ptrdiff_t>(at),
                                         ids.begin() + static_cast<ptrdiff_t>(end));
    const DaemonAnswer answer = daemon.Ask(RequestOf(options, is_dry_run, piece), no_rows);
    sum.recipients += answer.recipients;
    sum.exit_code = answer.exit_code;
    at = end;
    is_done = is_done || answer.exit_code == kExitOk;
    // That nothing of one piece waits any more says nothing of the next one.
  } while (at < ids.size() && (sum.exit_code == kExitOk || sum.exit_code == kExitFound));
  if (is_done && sum.exit_code == kExitFound) {
    sum.exit_code = kExitOk;
  }
  return sum;
}

void Tell(const OrderOptions& options, uint64_t recipients, bool is_dry_run) {
  if (!options.is_json) {
    PrintLine(fmt::format("{}{}: {} recipients", is_dry_run ? "would " : "", options.told,
                          GroupedNumber(recipients)));
    return;
  }
  JsonObject json;
  json.Text("verb", options.told).Number("recipients", recipients).Flag("dry_run", is_dry_run);
  PrintLine(std::move(json).Take());
}

bool IsConfirmed(const OrderOptions& options, uint64_t recipients) {
  std::fprintf(stderr, "%s %s recipients? [y/N] ", options.told.c_str(),
               GroupedNumber(recipients).c_str());
  const int answer = std::getchar();
  return answer == 'y' || answer == 'Y';
}

bool SelectsMessages(const OrderOptions& options) {
  return !options.sender.empty() || !options.state.empty() || !options.older.empty();
}

// The daemon says so, too, but of what a request has; these may not become one.
bool IsContradiction(const OrderOptions& options) {
  const bool has_names = !options.domains.empty() || !options.destinations.empty();
  return (options.is_all ? 1 : 0) + (has_names ? 1 : 0) + (options.ids.empty() ? 0 : 1) > 1;
}

// Reads the queue and keeps the ids of what is meant; says how far it is at a terminal.
int SelectMessages(DaemonClient& daemon, const OrderOptions& options,
                   std::vector<std::string>& ids) {
  absl::Duration older;
  if (!options.older.empty() && !absl::ParseDuration(options.older, &older)) {
    Complain(fmt::format("--older: '{}' is no duration: these are as 36h or 90m",
                         Printable(options.older)));
    return kExitUsage;
  }
  const absl::Time before = absl::Now() - older;
  const std::string sender = options.sender == "<>" ? "" : options.sender;
  const std::vector<std::string> named = std::exchange(ids, {});
  uint64_t read = 0;
  JsonObject json;
  json.Text("verb", "list")
      .Json("domains", ArrayOf(options.domains))
      .Json("destinations", ArrayOf(options.destinations));
  const DaemonAnswer answer = daemon.Ask(std::move(json).Take(), [&](std::string_view line) {
    const Row row(line);
    if (++read % kTellEvery == 0 && isatty(STDERR_FILENO) == 1) {
      std::fprintf(stderr, "\r%s messages read, %s chosen ", GroupedNumber(read).c_str(),
                   GroupedNumber(ids.size()).c_str());
    }
    absl::Time arrival;
    std::string error;
    const bool is_old =
        options.older.empty() ||
        (absl::ParseTime(absl::RFC3339_sec, row.Text("arrival"), &arrival, &error) &&
         arrival <= before);
    const bool is_named =
        named.empty() || std::find(named.begin(), named.end(), row.Text("queue_id")) != named.end();
    if (is_old && is_named && (options.sender.empty() || row.Text("sender") == sender) &&
        (options.state.empty() || row.Text("state") == options.state)) {
      ids.push_back(row.Text("queue_id"));
    }
  });
  if (read >= kTellEvery && isatty(STDERR_FILENO) == 1) {
    std::fprintf(stderr, "\n");
  }
  return answer.exit_code;
}

}  // namespace

int Order(const std::string& endpoint, const OrderOptions& options) {
  if (IsContradiction(options)) {
    Complain("either all, or domains and destinations, or ids are wanted");
    return kExitUsage;
  }
  DaemonClient daemon(endpoint);
  std::vector<std::string> ids = options.ids;
  if (SelectsMessages(options)) {
    const int exit_code = SelectMessages(daemon, options, ids);
    if (exit_code != kExitOk) {
      return exit_code;
    }
    if (ids.empty()) {
      Complain("no message is like that");
      return kExitFound;
    }
  }
  const DaemonAnswer counted = Give(daemon, options, ids, /*is_dry_run=*/true);
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
                           options.told, GroupedNumber(counted.recipients)));
      return kExitUsage;
    }
    if (!IsConfirmed(options, counted.recipients)) {
      Complain("nothing was done");
      return kExitFound;
    }
  }
  const DaemonAnswer done = Give(daemon, options, ids, /*is_dry_run=*/false);
  if (done.exit_code == kExitOk) {
    Tell(options, done.recipients, /*is_dry_run=*/false);
  }
  return done.exit_code;
}

int OrderAtOnce(const std::string& endpoint, const OrderOptions& options) {
  DaemonClient daemon(endpoint);
  const DaemonAnswer done = Give(daemon, options, {}, options.is_dry_run);
  if (done.exit_code == kExitOk) {
    Tell(options, done.recipients, options.is_dry_run);
  }
  return done.exit_code;
}

}  // namespace backstay
