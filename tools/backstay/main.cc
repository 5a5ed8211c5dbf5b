// tools/backstay/main.cc -- backstay: the operator's command; its verbs and their flags.
//
// Exit codes: 0; 1 damage, nothing of that name, or refused; 64 usage; 66 a file of addresses
// cannot be read; 69 the kernel lacks what is needed, or no daemon answers; 73 the spool cannot be
// opened or read; 74 stdout; 75 the daemon cannot now; 76 the spool was written by a newer format;
// 77 not permitted; 78 configuration.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/log.h"
#include "io/uring/probe.h"
#include "io/uring/uring_io.h"
#include "tools/backstay/cat.h"
#include "tools/backstay/daemon_verbs.h"
#include "tools/backstay/list.h"
#include "tools/backstay/stat.h"
#include "tools/backstay/text.h"
#include "tools/backstay/verb.h"
#include "tools/backstay/verify.h"

namespace backstay {
namespace {

struct Flags {
  VerifyOptions verify;
  ListOptions list;
  StatOptions stat;
  CatOptions cat;
};

// One thread that waits for one read at a time, and no sockets.
absl::StatusOr<std::unique_ptr<Io>> MakeIo() {
  UringOptions options;
  options.submission_entries = 8;
  options.completion_entries = 16;
  options.receive_buffers = 1;
  options.receive_buffer_bytes = 4_KiB;
  options.file_workers = 1;
  return MakeUringIo(options);
}

void AddDirectory(CLI::App& verb, std::string& path) {
  verb.add_option("DIR", path, "the spool: spool.directory of the configuration")
      ->required()
      ->type_name("");
}

void AddVerify(CLI::App& spool, VerifyOptions& options) {
  CLI::App* verb =
      spool.add_subcommand("verify", "read everything, and name what is not as it was written");
  AddDirectory(*verb, options.path);
  verb->add_flag("--json", options.is_json, "one JSON object a finding, then one for the summary");
  verb->add_option("--shard", options.shard, "of this shard only")->type_name("N");
  verb->footer(
      "A torn last batch is not damage: a stop interrupted it, and its sender was told nothing.\n"
      "Exit codes: 0 whole; 1 damaged; 64 usage; 73 cannot be opened or read; 76 newer format.");
}

void AddList(CLI::App& spool, ListOptions& options) {
  CLI::App* verb = spool.add_subcommand("list", "one line a message that is still owed");
  AddDirectory(*verb, options.path);
  verb->add_flag("--json", options.is_json, "one JSON object a message");
  verb->add_option("--domain", options.domain, "with a recipient in this domain")->type_name("D");
  verb->add_flag("--all", options.with_settled, "also those that are wholly settled");
  verb->footer(
      "A recipient is live (to be delivered), dsn-pending (its sender is owed a report) "
      "or settled.\n"
      "Exit codes: 0; 64 usage; 73 cannot be opened or read; 76 newer format.");
}

void AddStat(CLI::App& spool, StatOptions& options) {
  CLI::App* verb = spool.add_subcommand("stat", "how much of what is there, by shard and domain");
  AddDirectory(*verb, options.path);
  verb->add_flag("--json", options.is_json, "one JSON object a shard, a domain, and the total");
  verb->footer(
      "FILES are allocated at once, WRITTEN is the log in them. LIVE are the records of messages\n"
      "that are owed, DEAD the others. A segment in which nothing is live goes when checkpoints\n"
      "know it; one with little in it is emptied before.\n"
      "A message that owes only a report to its sender is counted as DSN PENDING.\n"
      "Exit codes: 0; 64 usage; 73 cannot be opened or read; 76 newer format.");
}

void AddCat(CLI::App& spool, CatOptions& options) {
  CLI::App* verb =
      spool.add_subcommand("cat", "one message, byte for byte as the primary would be sent it");
  AddDirectory(*verb, options.path);
  verb->add_option("QUEUE_ID", options.queue_id, "as in the reply to the client")
      ->required()
      ->type_name("");
  verb->add_flag("--envelope", options.is_envelope, "the envelope instead of the message");
  verb->footer(
      "Every byte is verified before the first is written.\n"
      "Exit codes: 0; 1 damaged, or not there; 64 usage; 73 cannot be opened; 76 newer format.");
}

int RunSpool(const CLI::App& spool, const Flags& flags) {
  // A shard's segments are all open at once. What is low is named when it does not suffice.
  static_cast<void>(RaiseLimits());
  absl::StatusOr<std::unique_ptr<Io>> io = MakeIo();
  if (!io.ok()) {
    Complain(std::string(io.status().message()));
    return kExitKernel;
  }
  int exit_code = kExitUsage;
  if (spool.got_subcommand("verify")) {
    exit_code = Verify(**io, flags.verify);
  } else if (spool.got_subcommand("list")) {
    exit_code = ListMessages(**io, flags.list);
  } else if (spool.got_subcommand("stat")) {
    exit_code = Stat(**io, flags.stat);
  } else if (spool.got_subcommand("cat")) {
    exit_code = Cat(**io, flags.cat);
  }
  return exit_code;
}

int Run(const CLI::App& spool, const Flags& flags, DaemonVerbs& daemon) {
  // The log is the daemon's; what is to be said here the verbs say.
  SetLogSink([](LogLevel, std::string_view) {});
  const int exit_code = spool.parsed() ? RunSpool(spool, flags) : daemon.Run().value_or(kExitUsage);
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    Complain("the output cannot be written");
    return kExitOutput;
  }
  return exit_code;
}

// `verb` wants another one behind it: which word is none, and what there is.
void ComplainOfVerb(const CLI::App& verb, std::string_view command) {
  std::string known;
  for (const CLI::App* one : verb.get_subcommands([](const CLI::App*) { return true; })) {
    known += (known.empty() ? "" : ", ") + one->get_name();
  }
  for (const std::string& word : verb.remaining()) {
    if (!word.starts_with('-')) {
      Complain(fmt::format("there is no verb '{}'", Printable(word)));
      break;
    }
  }
  Complain(fmt::format("behind '{}' a verb is wanted: {}", command, known));
}

// Of the verb that was being named when it went wrong.
int ComplainOfUsage(const CLI::App& app, const CLI::ParseError& error) {
  std::string command = app.get_name();
  const CLI::App* verb = &app;
  while (!verb->get_subcommands().empty()) {
    verb = verb->get_subcommands().front();
    command += " " + verb->get_name();
  }
  if (verb->get_require_subcommand_min() > 0 &&
      error.get_exit_code() == static_cast<int>(CLI::ExitCodes::RequiredError)) {
    ComplainOfVerb(*verb, command);
  } else {
    Complain(error.what());
  }
  Complain(fmt::format("try: {} --help", command));
  return kExitUsage;
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app{"backstay: the operator's command of the backup MX.", "backstay"};
  app.set_version_flag("--version", "backstay " BACKSTAY_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->label("REQUIRED", "");
  CLI::App* spool = app.add_subcommand("spool", "what lies in the directory of a spool");
  spool->footer("All of them only read; a daemon may be running.");
  spool->require_subcommand(1);
  AddVerify(*spool, flags.verify);
  AddList(*spool, flags.list);
  AddStat(*spool, flags.stat);
  AddCat(*spool, flags.cat);
  DaemonVerbs daemon(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool is_help = error.get_exit_code() == 0;
    return is_help ? app.exit(error) : ComplainOfUsage(app, error);
  }
  return Run(*spool, flags, daemon);
}

}  // namespace
}  // namespace backstay

int main(int argc, char** argv) {
  return backstay::Main(argc, argv);
}
