// tools/backstay/top.cc -- ask, draw, wait. A terminal shows one round, anything else all of them.
#include "tools/backstay/top.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <string_view>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/shard/config_values.h"
#include "tools/backstay/daemon_client.h"
#include "tools/backstay/row.h"
#include "tools/backstay/status.h"
#include "tools/backstay/text.h"
#include "tools/backstay/verb.h"

namespace backstay {
namespace {

constexpr const char* kClearScreen = "\x1b[H\x1b[2J";

// One line, with the sums of all primaries.
int DaemonLineText(const std::string& endpoint, std::string& text) {
  DaemonClient daemon(endpoint);
  const auto keep = [&](std::string_view line) {
    if (Row(line).Text("kind") == "daemon") {
      text.append(line).append("\n");
    }
  };
  return daemon.Ask(R"({"verb":"status"})", keep).exit_code;
}

}  // namespace

int Top(const std::string& endpoint, const TopOptions& options) {
  const absl::StatusOr<absl::Duration> interval = ParseDuration(options.interval);
  if (!interval.ok() || *interval < absl::Seconds(1)) {
    Complain(fmt::format("--interval '{}': a second at least is wanted, as 2s or 1m",
                         Printable(options.interval)));
    return kExitUsage;
  }
  const bool is_terminal = isatty(STDOUT_FILENO) == 1;
  for (uint64_t round = 0; options.rounds_max == 0 || round < options.rounds_max; ++round) {
    if (round > 0) {
      absl::SleepFor(*interval);
    }
    // Connected anew each time: a client that waits takes no place from others.
    std::string text;
    const int exit_code =
        options.is_json ? DaemonLineText(endpoint, text) : StatusText(endpoint, text);
    if (exit_code != kExitOk) {
      return exit_code;
    }
    if (!options.is_json) {
      Print(is_terminal ? kClearScreen : round > 0 ? "\n" : "");
    }
    Print(text);
    if (std::fflush(stdout) != 0) {
      return kExitOutput;  // nobody reads it any more
    }
  }
  return kExitOk;
}

}  // namespace backstay
