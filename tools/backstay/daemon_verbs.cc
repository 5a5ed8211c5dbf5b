// tools/backstay/daemon_verbs.cc -- flags to options, options to functions.
#include "tools/backstay/daemon_verbs.h"

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "tools/backstay/status.h"
#include "tools/backstay/text.h"

namespace backstay {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0; 1 nothing of that name, or refused; 64 usage; 69 no daemon answers;\n"
    "74 stdout; 75 not now: try again; 77 not permitted.";

struct OrderText {
  const char* verb;
  const char* promise;
  const char* footer;
};
constexpr OrderText kOrders[] = {
    {"reset", "schedule and age begin again, due now",
     "What waits begins anew as if it had just arrived. What is on hold stays so; what is held as "
     "its\ntime is over (on_expiry = \"hold\") goes on, but with --keep-age."},
    {"hold", "no attempts, and no expiry, until it is released",
     "Mail that arrives later is not held."},
    {"release", "what was held is reset", "It begins anew as if it had just arrived."},
    {"bounce", "given up now: the senders are told",
     "What is held is given up, too. A later hold or reset saves what has not had its turn yet. "
     "Until\nreports are made the mail stays in the spool as dsn pending."},
    {"delete", "gone, and nobody is told", "This cannot be undone."}};

constexpr const char* kDestinations =
    "in domains of this primary: its list, an address, or a domain";
constexpr const char* kOlder = "messages that wait longer: 5d, 36h, 90m";

// That it was said counts, empty or not: an optional<> of CLI11's own takes "" for nothing.
CLI::Option* AddText(CLI::App& verb, const char* name, std::optional<std::string>& target,
                     const char* promise) {
  return verb.add_option_function<std::string>(
      name, [&target](const std::string& text) { target = text; }, promise);
}

// CLI11 takes "-1" for the largest number there is, and says ranges in floating point.
std::string ComplaintAboutCount(const std::string& text) {
  return ParseCount(text).has_value()
             ? ""
             : fmt::format("'{}' is no whole number from 0 to {}", Printable(text), UINT64_MAX);
}

// `target` holds a number, or one if it was said.
template <typename Target>
CLI::Option* AddCount(CLI::App& verb, const char* name, Target& target,
                      const std::string& promise) {
  return verb
      .add_option_function<std::string>(
          name, [&target](const std::string& text) { target = *ParseCount(text); }, promise)
      ->check(ComplaintAboutCount)
      ->type_name("N");
}

std::string LimitPromise() {
  return fmt::format("at most so many; 0 for all [{}, with --json all]", kListedMax);
}

void AddConfirmation(CLI::App& verb, Confirmation& how) {
  verb.add_flag("--dry-run", how.is_dry_run, "only count");
  verb.add_flag("--yes", how.is_sure, "do not ask");
  verb.add_flag("--json", how.is_json, "one JSON object");
}

}  // namespace

DaemonVerbs::DaemonVerbs(CLI::App& app) {
  app.add_option("--endpoint", endpoint_, "the daemon's socket (admin.socket)")
      ->envname("BACKSTAY_ENDPOINT")
      ->type_name("SOCKET")
      ->capture_default_str();
  CLI::App* queue = app.add_subcommand("queue", "what waits in a running daemon");
  queue->require_subcommand(1);
  AddOrders(*queue);
  AddQueue(*queue);
  AddStatus(app);
  AddPrimaries(app);
  AddRecipients(app);
  mailq_ = app.add_subcommand("mailq", "the queue as Postfix tells it");
  mailq_->add_flag("--json", list_.is_json, "as postqueue -j");
  mailq_->footer(kExitCodes);
}

void DaemonVerbs::AddOrders(CLI::App& queue) {
  for (const OrderText& text : kOrders) {
    CLI::App* verb = queue.add_subcommand(text.verb, text.promise);
    verb->add_flag("--all", order_.is_all, "everything that waits");
    verb->add_option("--domain", order_.domains, "recipients in this domain (repeatable)")
        ->type_name("D")
        ->allow_extra_args(false);
    verb->add_option("--destination", order_.destinations, kDestinations)
        ->type_name("P")
        ->allow_extra_args(false);
    verb->add_option("QUEUE_ID", order_.ids, "these messages, with all their recipients")
        ->type_name("");
    AddText(*verb, "--sender", order_.sender, "messages from this address; <> for none")
        ->type_name("S");
    AddText(*verb, "--older", order_.older, kOlder)->type_name("T");
    AddText(*verb, "--state", order_.state, "messages in this state, as in `queue list`")
        ->type_name("X");
    if (std::string_view(text.verb) == "reset") {
      verb->add_flag("--keep-age", order_.keeps_age, "the age runs on: expiry is left alone");
    }
    AddConfirmation(*verb, order_.how);
    verb->footer(
        std::string(text.footer) +
        "\nIt is done when every shard has it on disk, however much waits. With --sender, --older\n"
        "or --state the queue is read first, and messages are meant with all recipients.\n" +
        kExitCodes);
    orders_.push_back(verb);
  }
}

void DaemonVerbs::AddQueue(CLI::App& queue) {
  queue_list_ =
      queue.add_subcommand("list", "one line a message, oldest first in each domain of a shard");
  queue_list_->add_option("--domain", list_.domains, "with a recipient there (repeatable)")
      ->type_name("D")
      ->allow_extra_args(false);
  AddText(*queue_list_, "--older", list_.older, kOlder)->type_name("T");
  AddCount(*queue_list_, "--limit", list_.messages_max, LimitPromise());
  queue_list_->add_flag("--json", list_.is_json, "one JSON object a message");
  queue_list_->footer(
      std::string("One shard is told after the other. Mail of which only a report to its sender\n"
                  "is owed is not in the list; `queue show` tells it.\n") +
      kExitCodes);
  queue_flush_ = queue.add_subcommand("flush", "what waits is tried now, what is down is probed");
  queue_flush_->add_flag("--all", order_.is_all, "everything");
  queue_flush_->add_option("--domain", order_.domains, "of this domain (repeatable)")
      ->type_name("D")
      ->allow_extra_args(false);
  queue_flush_->add_option("--destination", order_.destinations, kDestinations)
      ->type_name("P")
      ->allow_extra_args(false);
  queue_flush_->add_flag("--yes", order_.how.is_sure, "as the others; it asks nothing");
  queue_flush_->add_flag("--json", order_.how.is_json, "one JSON object");
  queue_flush_->footer(std::string("Charged to no schedule; what is held stays held.\n") +
                       kExitCodes);
  queue_show_ = queue.add_subcommand("show", "why a message waits, and until when");
  queue_show_->add_option("QUEUE_ID", list_.queue_id, "as in the reply to the client")
      ->required()
      ->type_name("");
  queue_show_->add_flag("--json", list_.is_json, "one JSON object");
  queue_show_->footer(kExitCodes);
}

void DaemonVerbs::AddStatus(CLI::App& app) {
  status_ = app.add_subcommand("status", "the daemon and its primaries");
  status_->add_flag("--json", list_.is_json, "one JSON object for the daemon, one a primary");
  status_->footer(
      std::string("A message is accepted; its recipients are queued, delivered, "
                  "deferred (each time), failed\n"
                  "and discarded (mail without a sender that a primary refused or "
                  "whose time was over; the\n"
                  "ledger has what else was). Not stored: what came whole and found no room, or no "
                  "disk that takes it.\n"
                  "NEXT: what can change soonest how a primary stands, and in how long.\n") +
      kExitCodes);
  top_ = app.add_subcommand("top", "the status again and again, until it is interrupted");
  top_->add_option("--interval", top_options_.interval, "between two: 2s, 1m")
      ->type_name("T")
      ->capture_default_str();
  AddCount(*top_, "--count", top_options_.rounds_max, "so many times; 0 for no end")
      ->default_str("0");
  top_->add_flag("--json", top_options_.is_json, "each time one line: the daemon's of the status");
  top_->footer(kExitCodes);
  reload_ = app.add_subcommand("reload", "read the configuration again; a bad one changes nothing");
  reload_->add_flag("--force", is_forced_,
                    "also if it gives up mail, or if a recipient list was cut");
  reload_->footer(kExitCodes);
  check_ = app.add_subcommand("check-config", "name every mistake of a configuration");
  check_->add_option("FILE", config_path_, "the configuration")
      ->type_name("")
      ->capture_default_str();
  check_->footer("Exit codes: 0; 64 usage; 78 a mistake in it.");
  doctor_ = app.add_subcommand("doctor", "can this machine run the daemon as it is configured?");
  doctor_->add_option("FILE", doctor_options_.config_path, "the configuration")
      ->type_name("")
      ->capture_default_str();
  doctor_->add_flag("--json", doctor_options_.is_json, "one JSON object a line");
  doctor_->footer(
      "Looks at the kernel, limits, disk, certificates, ports and primaries, and changes nothing.\n"
      "Exit codes: 0; 1 something would not work; 64 usage.");
}

void DaemonVerbs::AddPrimaries(CLI::App& app) {
  CLI::App* primary = app.add_subcommand("primary", "the domains and their primaries");
  primary->require_subcommand(1);
  primary_list_ = primary->add_subcommand("list", "one line a domain");
  primary_list_->add_flag("--json", list_.is_json, "one JSON object a domain; oldest in seconds");
  primary_list_->footer(kExitCodes);
  primary_show_ = primary->add_subcommand("show", "one domain");
  primary_show_->add_option("DOMAIN", domain_, "of the configuration")->required()->type_name("");
  primary_show_->add_flag("--json", list_.is_json, "one JSON object");
  primary_show_->footer(kExitCodes);
  primary_hold_ = AddPrimaryOrder(
      *primary, "hold", "nothing is handed on until it is released, what comes later included",
      "Mail is taken all the while, and nothing held expires.");
  primary_release_ = AddPrimaryOrder(
      *primary, "release", "ends a hold, also that of the breaker",
      "What waits begins anew as if it had just arrived; the breaker does not trip again while it\n"
      "is tried.");
  primary_release_->add_flag("--accept-refusals", order_.accepts_refusals,
                             "what the primary refuses now is bounced");
  for (CLI::App* verb : {primary_hold_, primary_release_}) {
    verb->add_flag("--dry-run", order_.how.is_dry_run, "only count");
  }
  primary_probe_ = AddPrimaryOrder(
      *primary, "probe", "looks at it now, and tries what waits",
      "Not again within ten seconds. What came of it: `backstay primary show DOMAIN`.");
}

CLI::App* DaemonVerbs::AddPrimaryOrder(CLI::App& primary, const char* name, const char* promise,
                                       const std::string& footer) {
  CLI::App* verb = primary.add_subcommand(name, promise);
  verb->add_option("DOMAIN", order_.domains, "of the configuration")->required()->type_name("");
  verb->add_flag("--yes", order_.how.is_sure,
                 std::string_view(name) == "release" ? "do not ask (with --accept-refusals)"
                                                     : "as the others; it asks nothing");
  verb->add_flag("--json", order_.how.is_json, "one JSON object");
  verb->footer(footer + "\n" + kExitCodes);
  return verb;
}

std::optional<int> DaemonVerbs::RunPrimaries() {
  if (primary_list_->parsed()) {
    return ListPrimaries(endpoint_, list_.is_json);
  }
  if (primary_show_->parsed()) {
    return ShowPrimary(endpoint_, domain_, list_.is_json);
  }
  struct Way {
    const CLI::App* verb;
    const char* request;
  };
  for (const Way& way : {Way{primary_hold_, "stop"}, Way{primary_release_, "start"},
                         Way{primary_probe_, "go"}, Way{queue_flush_, "go"}}) {
    if (way.verb->parsed()) {
      order_.verb = way.request;
      order_.how.told = way.verb->get_name();
      // Bounces cannot be undone.
      return order_.accepts_refusals ? Order(endpoint_, order_) : OrderAtOnce(endpoint_, order_);
    }
  }
  return std::nullopt;
}

void DaemonVerbs::AddRecipients(CLI::App& app) {
  CLI::App* group = app.add_subcommand(
      "recipients", "what is known of the recipients of domains with recipients = \"verify\"");
  group->require_subcommand(1);
  known_list_ = group->add_subcommand("list", "how many are known; of addresses: what");
  known_list_->add_option("ADDRESS", recipients_.addresses, "only these")->type_name("");
  known_list_->add_flag("--json", recipients_.is_json, "one JSON object a domain or address");
  known_list_->footer(std::string("Addresses themselves are not kept: none can be listed.\n") +
                      kExitCodes);
  known_import_ =
      group->add_subcommand("import", "addresses that the primary has, good for 31 days");
  known_import_->add_option("FILE", recipients_.path, "one address a line; - for stdin")
      ->required()
      ->type_name("");
  known_import_->footer(std::string(kExitCodes) + "\n66: FILE cannot be read.");
  known_forget_ = group->add_subcommand("forget", "the primary is asked again");
  known_forget_->add_option("ADDRESS", recipients_.addresses, "these")->type_name("");
  known_forget_->add_option("--domain", recipients_.domains, "all of this domain (repeatable)")
      ->type_name("D")
      ->allow_extra_args(false);
  AddConfirmation(*known_forget_, recipients_.how);
  known_forget_->footer(kExitCodes);
}

std::optional<int> DaemonVerbs::Run() {
  for (const CLI::App* verb : orders_) {
    if (verb->parsed()) {
      order_.verb = verb->get_name();
      order_.how.told = order_.verb;
      return Order(endpoint_, order_);
    }
  }
  if (queue_list_->parsed()) {
    return ListQueue(endpoint_, list_);
  }
  if (queue_show_->parsed()) {
    return ShowQueued(endpoint_, list_);
  }
  if (mailq_->parsed()) {
    return MailQueue(endpoint_, list_.is_json);
  }
  if (status_->parsed()) {
    return ShowStatus(endpoint_, list_.is_json);
  }
  if (top_->parsed()) {
    return Top(endpoint_, top_options_);
  }
  if (const std::optional<int> code = RunPrimaries(); code.has_value()) {
    return code;
  }
  if (known_list_->parsed()) {
    return ListRecipients(endpoint_, recipients_);
  }
  if (known_import_->parsed()) {
    return ImportRecipients(endpoint_, recipients_);
  }
  if (known_forget_->parsed()) {
    return ForgetRecipients(endpoint_, recipients_);
  }
  if (reload_->parsed()) {
    return Reload(endpoint_, is_forced_);
  }
  if (doctor_->parsed()) {
    return Doctor(doctor_options_);
  }
  return check_->parsed() ? std::optional(CheckConfig(config_path_)) : std::nullopt;
}

}  // namespace backstay
