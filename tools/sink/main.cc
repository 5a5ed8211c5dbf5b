// tools/sink/main.cc -- backstay-sink: flags or a script file, signals, the result.
//
// SIGUSR1 writes the result so far, SIGTERM and SIGINT the last one. Exit codes: 0; 64 usage; 69
// the kernel lacks what is needed; 73 a file or an address; 74 the result or the ledger cannot be
// written.
#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/uring/probe.h"
#include "io/uring/uring_io.h"
#include "tools/sink/sink_server.h"
#include "tools/traffic/program.h"

namespace backstay {
namespace {

constexpr uint64_t kCountMax = uint64_t{1} << 40;

constexpr const char* kFooter =
    "A rule is PHASE [N%] [from TIME] [until TIME] [only TEXT] ACTION:\n"
    "  phases   connect ehlo mail rcpt data content end\n"
    "  actions  delay TIME | stall | cut | CODE TEXT\n"
    "  --rule 'rcpt 10% 450 4.2.1 try later' --rule 'end delay 200ms' --outage '10s 20s every "
    "60s'\n"
    "A script (--script FILE) is TOML with the same names: rule = [\"...\", \"...\"].\n"
    "SIGUSR1 writes the result so far, SIGTERM the last one.";

struct Flags {
  std::vector<std::string> listen = {"127.0.0.1:2526"};
  std::vector<std::string> rules;
  std::vector<std::string> outages;
  std::string certificate;
  std::string private_key;
  std::string json = "-";
  bool no_pipelining = false;
  SinkPlan plan;
};

volatile sig_atomic_t g_stop = 0;
volatile sig_atomic_t g_report = 0;

void OnSignal(int signal) {
  (signal == SIGUSR1 ? g_report : g_stop) = 1;
}

int Complain(int code, const std::string& text) {
  std::fprintf(stderr, "backstay-sink: %s\n", text.c_str());
  return code;
}

CLI::Validator Count(uint64_t most) {
  return {[most](const std::string& text) { return ComplainAboutCount(text, 0, most); }, ""};
}

void AddFlags(CLI::App& app, Flags& flags) {
  SinkPlan& plan = flags.plan;
  app.set_config("--script", "", "TOML with the names of these flags");
  app.allow_config_extras(CLI::config_extras_mode::error);  // a name that nobody knows is a mistake
  app.add_option("--listen", flags.listen, "addresses with ports (default 127.0.0.1:2526)");
  app.add_option("--rule", flags.rules, "what happens instead of taking mail")
      ->allow_extra_args(false);
  app.add_option("--outage", flags.outages, "FROM UNTIL [every TIME]: nobody answers")
      ->allow_extra_args(false);
  app.add_option("--seed", plan.seed, "of what happens in N%")
      ->check(Count(std::numeric_limits<uint64_t>::max()))
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--hostname", plan.manners.hostname, "in the greeting")
      ->type_name("NAME")
      ->capture_default_str();
  app.add_option("--max-connections", plan.connections_max, "beyond it 421; 0: no limit")
      ->check(Count(kCountMax))
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--max-messages", plan.manners.messages_max,
                 "of a connection, then 421; 0: no limit")
      ->check(Count(kCountMax))
      ->type_name("N")
      ->capture_default_str();
  app.add_flag("--no-pipelining", flags.no_pipelining, "do not offer it");
  app.add_option("--certificate", flags.certificate, "PEM; offers STARTTLS")->type_name("FILE");
  app.add_option("--private-key", flags.private_key, "PEM")->type_name("FILE");
  app.add_option("--ledger", plan.ledger, "write a line for each delivery that was taken")
      ->type_name("FILE");
  app.add_option("--json", flags.json, "where the result goes (default -: stdout)")
      ->type_name("FILE");
  app.footer(kFooter);
}

absl::Status Complete(Flags& flags) {
  for (const std::string& text : flags.listen) {
    const std::optional<SocketAddress> address = SocketAddress::Parse(text);
    if (!address.has_value()) {
      return absl::InvalidArgumentError(fmt::format("\"{}\" is no address with a port", text));
    }
    flags.plan.listen.push_back(*address);
  }
  absl::Status status;
  for (const std::string& rule : flags.rules) {
    status.Update(flags.plan.script.AddRule(rule));
  }
  for (const std::string& outage : flags.outages) {
    status.Update(flags.plan.script.AddOutage(outage));
  }
  flags.plan.manners.pipelining = !flags.no_pipelining;
  if (flags.certificate.empty() != flags.private_key.empty()) {
    status.Update(absl::InvalidArgumentError("--certificate and --private-key go together"));
  } else if (!flags.certificate.empty()) {
    flags.plan.certificate = {.certificate = flags.certificate, .private_key = flags.private_key};
  }
  return status;
}

// What a reader needs to repeat the run.
std::string OptionsJson(const Flags& flags, WallTime started) {
  const SinkPlan& plan = flags.plan;
  const nlohmann::ordered_json options = {{"version", BACKSTAY_VERSION},
                                          {"started", IsoTime(started)},
                                          {"listen", flags.listen},
                                          {"rules", flags.rules},
                                          {"outages", flags.outages},
                                          {"seed", plan.seed},
                                          {"hostname", plan.manners.hostname},
                                          {"max_connections", plan.connections_max},
                                          {"max_messages", plan.manners.messages_max},
                                          {"pipelining", !flags.no_pipelining},
                                          {"tls", !flags.certificate.empty()}};
  return ",\"options\":" + options.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The parser says what it does not know, and not where; of a section it says "name.++".
std::string ComplaintAboutScript(const std::string& path, std::string_view text) {
  constexpr std::string_view kUnknown = "INI was not able to parse ";
  constexpr std::string_view kSection = ".++";
  if (!text.starts_with(kUnknown)) {
    return fmt::format("the script {}: {}", path, text);
  }
  text.remove_prefix(kUnknown.size());
  const bool is_section = text.ends_with(kSection);
  text.remove_suffix(is_section ? kSection.size() : 0);
  return fmt::format("the script {}: there is no {} \"{}\"; its keys are the flags of --help", path,
                     is_section ? "section" : "key", text);
}

// The exit code when there is nothing to run: help was asked for, or the mistake is told.
std::optional<int> Parse(CLI::App& app, int argc, char** argv) {
  const auto script = [&app] { return app.get_config_ptr()->as<std::string>(); };
  try {
    app.parse(argc, argv);
  } catch (const CLI::FileError&) {
    return Complain(kExitFile, "cannot read the script " + script());
  } catch (const CLI::ConfigError& error) {
    return Complain(kExitUsage, ComplaintAboutScript(script(), error.what()));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return std::nullopt;
}

int Run(Io& io, Flags& flags) {
  const std::string options = OptionsJson(flags, io.WallNow());
  SinkServer server(io, std::move(flags.plan));
  const absl::Status started = server.Start();
  if (!started.ok()) {
    return Complain(kExitFile, std::string(started.message()));
  }
  int code = 0;
  while (!server.finished()) {
    server.Turn();
    if (g_stop != 0) {
      server.Stop();
    }
    if (g_report != 0) {
      g_report = 0;
      server.FlushLedger();
      code = WriteResult(server.Json(options), flags.json) ? code : kExitOutput;
    }
  }
  return WriteResult(server.Json(options), flags.json)
             ? code
             : Complain(kExitOutput, "cannot write " + flags.json);
}

int Main(int argc, char** argv) {
  KeepHeap();
  Flags flags;
  CLI::App app{"backstay-sink: a primary that does what it is told.", "backstay-sink"};
  app.set_version_flag("--version", "backstay-sink " BACKSTAY_VERSION);
  AddFlags(app, flags);
  if (const std::optional<int> code = Parse(app, argc, argv); code.has_value()) {
    return *code;
  }
  const absl::Status complete = Complete(flags);
  if (!complete.ok()) {
    return Complain(kExitUsage, std::string(complete.message()));
  }
  static_cast<void>(RaiseLimits());
  const absl::StatusOr<std::unique_ptr<Io>> io = MakeUringIo(UringOptions{});
  if (!io.ok()) {
    return Complain(kExitKernel, std::string(io.status().message()));
  }
  struct sigaction action {};
  action.sa_handler = &OnSignal;
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) {
    sigaction(signal, &action, nullptr);
  }
  ::signal(SIGPIPE, SIG_IGN);
  return Run(**io, flags);
}

}  // namespace
}  // namespace backstay

int main(int argc, char** argv) {
  return backstay::Main(argc, argv);
}
