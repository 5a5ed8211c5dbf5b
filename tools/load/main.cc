// tools/load/main.cc -- backstay-load: flags, progress, the result.
//
// Exit codes: 0; 1 nothing was acknowledged, the server was lost and did not come back or greeted
// nobody, or --require-all and something was not acknowledged; 64 usage; 69 the kernel lacks what
// is needed; 73 a file; 74 the result or the ledger cannot be written.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/status_macros.h"
#include "io/uring/probe.h"
#include "io/uring/uring_io.h"
#include "tools/load/generator.h"
#include "tools/load/replay.h"
#include "tools/traffic/program.h"

namespace backstay {
namespace {

constexpr int kExitFailed = 1;
constexpr uint32_t kRunMask = 0xffffff;                     // MessageMaker: ids have 24 bits for it
constexpr uint64_t kMessagesMax = (uint64_t{1} << 40) - 1;  // and 40 for the number
constexpr uint64_t kClientsMax = 1'000'000;                 // a process has no more descriptors
constexpr double kRateMax = 1e7;  // two moments must be apart in nanoseconds

struct Flags {
  std::string server;
  std::string pipelining = "off";
  std::string size = "4KiB";
  std::string domains = "example.com";
  std::string replay;
  std::string duration;
  std::string warm_up = "0";
  std::string timeout = "60s";
  std::string json;
  bool greet_only = false;
  bool quiet = false;
  bool require_all = false;
  LoadPlan plan;
};

volatile sig_atomic_t g_stop = 0;

void OnSignal(int) {
  g_stop = 1;
}

int Complain(int code, const absl::Status& status) {
  std::fprintf(stderr, "backstay-load: %s\n", std::string(status.message()).c_str());
  return code;
}

absl::StatusOr<absl::Duration> DurationOf(const std::string& flag, const std::string& text) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration < absl::ZeroDuration() ||
      duration == absl::InfiniteDuration()) {
    return absl::InvalidArgumentError(
        fmt::format("{}: \"{}\" is no duration, such as 500ms, 10s or 2m", flag, text));
  }
  return duration;
}

absl::Status Complete(Flags& flags) {
  LoadPlan& plan = flags.plan;
  const std::optional<SocketAddress> server = SocketAddress::Parse(flags.server);
  if (!server.has_value()) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\" is no address with a port, such as 127.0.0.1:2525", flags.server));
  }
  if (plan.sources > 0 && server->is_v6()) {
    return absl::InvalidArgumentError("--sources: of 127.0.0.0/8, so the server must be IPv4");
  }
  plan.sender.server = *server;
  plan.sender.pipelining = flags.pipelining == "chained"    ? Pipelining::kChained
                           : flags.pipelining == "envelope" ? Pipelining::kEnvelope
                                                            : Pipelining::kOff;
  if (flags.greet_only) {
    plan.sender.purpose = SenderPlan::Purpose::kLeave;
  }
  ASSIGN_OR_RETURN(plan.messages.sizes, SizePlan::Parse(flags.size));
  absl::StatusOr<std::vector<std::string>> domains = MessageMaker::ParseDomains(flags.domains);
  if (!domains.ok()) {
    return absl::InvalidArgumentError("--domains: " + std::string(domains.status().message()));
  }
  plan.messages.domains = *std::move(domains);
  ASSIGN_OR_RETURN(plan.warm_up, DurationOf("--warm-up", flags.warm_up));
  ASSIGN_OR_RETURN(plan.sender.reply_timeout, DurationOf("--timeout", flags.timeout));
  if (!flags.duration.empty()) {
    ASSIGN_OR_RETURN(plan.duration, DurationOf("--duration", flags.duration));
  }
  return Generator::Check(plan);
}

CLI::Validator Count(uint64_t least, uint64_t most) {
  return {[least, most](const std::string& text) { return ComplainAboutCount(text, least, most); },
          ""};
}

void AddAmounts(CLI::App& app, Flags& flags) {
  LoadPlan& plan = flags.plan;
  app.add_option("SERVER", flags.server, "address and port: 127.0.0.1:2525")->required();
  app.add_option("--connections", plan.connections, "at the same time")
      ->check(Count(0, kClientsMax))
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--connecting", plan.connecting_max,
                 "of them, so many at once may wait for their greeting; 0: no limit with --rate "
                 "(SYNs beyond a listen backlog are the kernel's matter), else 256")
      ->check(Count(0, kClientsMax))
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--messages", plan.messages_max,
                 fmt::format("so many in all, behind the warm-up; 0: no limit. Without --duration "
                             "and --rate the run ends, with exit code 1, when no session has got "
                             "past its greeting for {} and as many in a row failed as there are "
                             "connections",
                             absl::FormatDuration(Generator::kHopelessAfter)))
      ->check(Count(0, kMessagesMax))
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--duration", flags.duration, "so long, behind the warm-up")->type_name("TIME");
  app.add_option("--warm-up", flags.warm_up, "so long nothing is counted")
      ->type_name("TIME")
      ->capture_default_str();
  app.add_option("--per-connection", plan.sender.messages_max, "then QUIT; 0: no limit")
      ->check(Count(0, kMessagesMax))
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--rate", plan.rate,
                 "open loop: messages/s become due, whatever the server does; latency, and the "
                 "time of a refusal, count from that moment. Without it: closed loop")
      ->check([](const std::string& text) { return ComplainAboutRate(text, kRateMax); })
      ->type_name("N");
  app.add_flag("--poisson", plan.poisson, "due at random moments instead of even ones");
  app.add_option("--timeout", flags.timeout, "for the connection and for each reply")
      ->type_name("TIME")
      ->capture_default_str();
  app.add_option("--seed", plan.messages.seed, "of sizes, moments and cuts")
      ->check(Count(0, std::numeric_limits<uint64_t>::max()))
      ->type_name("N")
      ->capture_default_str();
}

void AddMail(CLI::App& app, Flags& flags) {
  LoadPlan& plan = flags.plan;
  app.add_option("--pipelining", flags.pipelining,
                 "off; envelope: MAIL to DATA in one piece (also without a value); chained: and "
                 "the next one behind each end of data")
      ->expected(0, 1)
      ->default_str("envelope")
      ->check(CLI::IsMember({"off", "envelope", "chained"}))
      ->option_text("HOW:{off,envelope,chained}=off");
  app.add_flag("--tls", plan.sender.tls, "STARTTLS, whatever the certificate");
  app.add_flag("--greet-only", flags.greet_only, "no message: greeting, EHLO, TLS, QUIT, again");
  app.add_option("--size", flags.size,
                 "of a message: 4KiB, 1KiB-64KiB, or with weights 2KiB:60,16KiB:30,1MiB:10")
      ->type_name("SIZES")
      ->capture_default_str();
  app.add_option("--replay", flags.replay, "real messages: an mbox, or a folder of .eml files")
      ->type_name("PATH");
  app.add_option("--recipients", plan.messages.recipients, "of each message")
      ->check(Count(1, 10'000))
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--mailboxes", plan.messages.mailboxes, "of a domain, in turn: each message's own")
      ->check(Count(1, 1'000'000'000))
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--domains", flags.domains, "of the recipients in turn: a list, or how many")
      ->type_name("NAMES")
      ->capture_default_str();
  app.add_option("--run", plan.messages.run, "the first six digits of every id; 0: random")
      ->check(Count(0, kRunMask))
      ->type_name("N")
      ->capture_default_str();
}

void AddClients(CLI::App& app, Flags& flags) {
  LoadPlan& plan = flags.plan;
  app.add_option("--sources", plan.sources,
                 "come from so many addresses, 127.1.0.1 and on; 0: the kernel chooses")
      ->check(Count(0, 16'000'000 - 0x10000))
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--idle", plan.idle, "beside them, clients that greet and stay")
      ->check(Count(0, kClientsMax))
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--slow-drip", plan.slow_drips, "beside them, clients that send a byte a second")
      ->check(Count(0, kClientsMax))
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--no-read", plan.unread, "beside them, clients that never read")
      ->check(Count(0, kClientsMax))
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--cut", plan.cut_percent, "of 100 messages, so many end in a cut connection")
      ->check(Count(0, 100))
      ->type_name("N")
      ->capture_default_str();
}

void AddResults(CLI::App& app, Flags& flags) {
  app.add_option("--ledger", flags.plan.ledger, "write a line for each acknowledged recipient")
      ->type_name("FILE");
  app.add_option("--json", flags.json, "the result as one JSON object; -: stdout")
      ->type_name("FILE");
  app.add_flag("--require-all", flags.require_all, "exit 1 unless every message was acknowledged");
  app.add_flag("--quiet", flags.quiet, "no progress, no text");
}

// One line a second, over itself.
void ShowProgress(const Generator& generator, Instant now, Instant& next) {
  if (now < next) {
    return;
  }
  next = now + absl::Seconds(1);
  std::fprintf(stderr, "\r\033[K%s",
               generator.score().ProgressLine(now, generator.unsent()).c_str());
}

// What a reader needs to repeat the run.
nlohmann::ordered_json OptionsOf(const Flags& flags, WallTime started) {
  const LoadPlan& plan = flags.plan;
  const bool replays = !flags.replay.empty();
  const auto text_or_null = [](bool is, const std::string& text) {
    return is ? nlohmann::ordered_json(text) : nlohmann::ordered_json(nullptr);
  };
  nlohmann::ordered_json options;
  options["version"] = BACKSTAY_VERSION;
  options["started"] = IsoTime(started);
  options["server"] = flags.server;
  options["connections"] = plan.connections;
  options["connecting"] = plan.connecting_max;
  options["messages"] = plan.messages_max;
  options["duration"] = text_or_null(!flags.duration.empty(), flags.duration);
  options["warm_up"] = flags.warm_up;
  options["per_connection"] = plan.sender.messages_max;
  options["rate"] = plan.rate;
  options["poisson"] = plan.poisson;
  options["timeout"] = flags.timeout;
  options["seed"] = plan.messages.seed;
  options["pipelining"] = flags.pipelining;
  options["tls"] = plan.sender.tls;
  options["greet_only"] = flags.greet_only;
  options["size"] = text_or_null(!replays, flags.size);
  options["replay"] = text_or_null(replays, flags.replay);
  options["recipients"] = plan.messages.recipients;
  options["mailboxes"] = plan.messages.mailboxes;
  options["domains"] = flags.domains;
  options["run"] = plan.messages.run;
  options["sources"] = plan.sources;
  options["idle"] = plan.idle;
  options["slow_drip"] = plan.slow_drips;
  options["no_read"] = plan.unread;
  options["cut"] = plan.cut_percent;
  return options;
}

bool WriteJson(const Generator& generator, Io& io, const Flags& flags, WallTime started) {
  const UringCounters& counters = CountersOf(io);
  const std::string options =
      OptionsOf(flags, started).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const std::string extra = fmt::format(
      "{},\"ring\":{{\"turns\":{},\"enters\":{},\"completions\":{}}},\"options\":{}",
      generator.ExtraJson(), counters.turns, counters.enters, counters.completions, options);
  return WriteResult(generator.score().Json(extra), flags.json);
}

bool Failed(const Generator& generator, const Flags& flags) {
  const Score& score = generator.score();
  const bool none = score.acknowledged() == 0 &&
                    flags.plan.sender.purpose == SenderPlan::Purpose::kSend &&
                    flags.plan.connections > 0;
  const bool missing =
      flags.require_all &&
      (score.errors() > 0 || generator.unsent() > 0 ||
       (flags.plan.messages_max > 0 && score.acknowledged() < flags.plan.messages_max));
  return none || missing || generator.server_gone();
}

int Run(Io& io, const Flags& flags) {
  Generator generator(io, flags.plan);
  const absl::Status started = generator.Start();
  if (!started.ok()) {
    return Complain(kExitFile, started);
  }
  const bool live = !flags.quiet && isatty(STDERR_FILENO) != 0;
  const WallTime begun = io.WallNow();
  Instant next_line = io.Now() + absl::Seconds(1);
  while (!generator.finished()) {
    generator.Turn();
    if (g_stop != 0) {
      generator.Stop();
    }
    if (live) {
      ShowProgress(generator, io.Now(), next_line);
    }
  }
  if (live) {
    std::fputs("\r\033[K", stderr);
  }
  if (!flags.quiet) {
    std::fputs(generator.Text().c_str(), flags.json == "-" ? stderr : stdout);
  }
  if (!flags.json.empty() && !WriteJson(generator, io, flags, begun)) {
    return Complain(kExitOutput, absl::DataLossError("cannot write " + flags.json));
  }
  if (!generator.given_up().ok()) {
    return Complain(kExitFailed, generator.given_up());
  }
  return Failed(generator, flags) ? kExitFailed : 0;
}

int Main(int argc, char** argv) {
  KeepHeap();
  Flags flags;
  CLI::App app{"backstay-load: sends mail as fast, as evenly or as badly as it is told.",
               "backstay-load"};
  app.set_version_flag("--version", "backstay-load " BACKSTAY_VERSION);
  app.get_formatter()->label("REQUIRED", "");
  AddAmounts(app, flags);
  AddMail(app, flags);
  AddClients(app, flags);
  AddResults(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  const absl::Status complete = Complete(flags);
  if (!complete.ok()) {
    return Complain(kExitUsage, complete);
  }
  if (!flags.replay.empty()) {
    absl::StatusOr<std::vector<std::string>> replay = LoadReplay(flags.replay);
    if (!replay.ok()) {
      return Complain(kExitFile, replay.status());
    }
    flags.plan.messages.replay = std::move(replay).value();
  }
  static_cast<void>(RaiseLimits());
  const absl::StatusOr<std::unique_ptr<Io>> io = MakeUringIo(UringOptions{});
  if (!io.ok()) {
    return Complain(kExitKernel, io.status());
  }
  if (flags.plan.messages.run == 0) {
    flags.plan.messages.run = static_cast<uint32_t>((*io)->random().Next() & kRunMask);
  }
  struct sigaction action {};
  action.sa_handler = &OnSignal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  return Run(**io, flags);
}

}  // namespace
}  // namespace backstay

int main(int argc, char** argv) {
  return backstay::Main(argc, argv);
}
