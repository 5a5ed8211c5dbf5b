// tools/backstay/order.cc -- which messages are meant, and the requests that say so.
#include "tools/backstay/order.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <utility>

#include "tools/backstay/daemon_client.h"
#include "tools/backstay/row.h"
#include "tools/backstay/text.h"
#include "tools/backstay/verb.h"

namespace backstay {
namespace {

// 19 bytes each: well within a request.
constexpr size_t kIdsInRequest = 8192;
// Of messages in `queue list`.
constexpr std::string_view kStates[] = {"active", "due",      "deferred",
                                        "held",   "expiring", "unreadable"};
constexpr uint64_t kTellEvery = 10'000;

std::string ArrayOf(const std::vector<std::string>& names) {
  std::string json = "[";
  for (const std::string& name : names) {
    json += json.size() > 1 ? "," : "";
    json += JsonString(name);
  }
  return json + "]";
}

// What was said instead of ids, as it was said.
std::string ChosenBy(const OrderOptions& options) {
  std::string text;
  const auto add = [&text](std::string_view flag, const std::string& value) {
    text += fmt::format("{}{} {}", text.empty() ? "" : " ", flag, value);
  };
  for (const auto& [flag, value] :
       {std::pair("--sender", options.sender), std::pair("--older", options.older),
        std::pair("--state", options.state)}) {
    if (value.has_value()) {
      add(flag, value->empty() ? "<>" : *value);
    }
  }
  if (!text.empty()) {
    for (const std::string& name : options.domains) {
      add("--domain", name);
    }
    for (const std::string& name : options.destinations) {
      add("--destination", name);
    }
  }
  return text;
}

std::string RequestOf(const OrderOptions& options, bool is_dry_run,
                      const std::vector<std::string>& ids) {
  JsonObject json;
  json.Text("verb", options.verb);
  if (!ids.empty()) {
    json.Json("ids", ArrayOf(ids));
    if (const std::string chosen = ChosenBy(options); !chosen.empty()) {
      json.Text("chosen", chosen);
    }
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
    sum.reports += answer.reports;
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

bool IsState(std::string_view text) {
  return std::find(std::begin(kStates), std::end(kStates), text) != std::end(kStates);
}

bool SelectsMessages(const OrderOptions& options) {
  return options.sender.has_value() || options.state.has_value() || options.older.has_value();
}

// Whom it is about is said in one way. The daemon says so, too, but of the members of a request.
bool IsWellChosen(const OrderOptions& options) {
  const bool has_names = !options.domains.empty() || !options.destinations.empty();
  const int ways = (options.is_all ? 1 : 0) + (has_names ? 1 : 0) + (options.ids.empty() ? 0 : 1);
  return ways == 1 || (ways == 0 && SelectsMessages(options));
}

// Of one message: the recipients that the order speaks for though they are in other domains than
// those that were named. A release speaks only for what is held.
uint64_t CountElsewhere(const Row& message, const OrderOptions& options) {
  uint64_t count = 0;
  for (const Row& recipient : message.Rows("recipients")) {
    const bool is_meant = options.verb != "release" || recipient.Text("state") == "held";
    count += is_meant && recipient.Flag("elsewhere") ? 1 : 0;
  }
  return count;
}

// Reads the queue, the whole of it, and keeps the ids of what is meant; says how far it is at a
// terminal. After a start the daemon answers when it knows what is in the spool. How old a
// message is the daemon knows: its clock stands while it is stopped, and ours may be another one.
int SelectMessages(DaemonClient& daemon, const OrderOptions& options, std::vector<std::string>& ids,
                   uint64_t& elsewhere) {
  const std::optional<std::string> sender = options.sender == "<>" ? "" : options.sender;
  const std::vector<std::string> named = std::exchange(ids, {});
  uint64_t read = 0;
  JsonObject json;
  json.Text("verb", "list")
      .Flag("whole", true)
      .Json("domains", ArrayOf(options.domains))
      .Json("destinations", ArrayOf(options.destinations));
  if (options.older.has_value()) {
    json.Text("older", *options.older);
  }
  const DaemonAnswer answer = daemon.Ask(std::move(json).Take(), [&](std::string_view line) {
    const Row row(line);
    if (++read % kTellEvery == 0 && isatty(STDERR_FILENO) == 1) {
      std::fprintf(stderr, "\r%s messages read, %s chosen ", GroupedNumber(read).c_str(),
                   GroupedNumber(ids.size()).c_str());
    }
    const bool is_named =
        named.empty() || std::find(named.begin(), named.end(), row.Text("queue_id")) != named.end();
    // Of one that cannot be read it is not known, which is not none.
    const bool has_sender = row.Text("state") != "unreadable";
    if (is_named && (!sender.has_value() || (has_sender && row.Text("sender") == *sender)) &&
        (!options.state.has_value() || row.Text("state") == *options.state)) {
      ids.push_back(row.Text("queue_id"));
      elsewhere += CountElsewhere(row, options);
    }
  });
  if (read >= kTellEvery && isatty(STDERR_FILENO) == 1) {
    std::fprintf(stderr, "\n");
  }
  return answer.exit_code;
}

}  // namespace

int Order(const std::string& endpoint, const OrderOptions& options) {
  if (!IsWellChosen(options)) {
    Complain(
        "either --all, or --domain and --destination, or queue ids are wanted; --sender, --older "
        "and --state choose among these, or among all");
    return kExitUsage;
  }
  if (options.state.has_value() && !IsState(*options.state)) {
    Complain(fmt::format("there is no state '{}': {}", Printable(*options.state),
                         fmt::join(std::begin(kStates), std::end(kStates), ", ")));
    return kExitUsage;
  }
  DaemonClient daemon(endpoint);
  std::vector<std::string> ids = options.ids;
  Confirmation how = options.how;
  if (SelectsMessages(options)) {
    uint64_t elsewhere = 0;
    const int exit_code = SelectMessages(daemon, options, ids, elsewhere);
    if (exit_code != kExitOk) {
      return exit_code;
    }
    if (ids.empty()) {
      Complain("no message is like that");
      return kExitFound;
    }
    if (!options.domains.empty() || !options.destinations.empty()) {
      how.elsewhere = elsewhere;
    }
  }
  return CountAskDo(how, [&](bool is_dry_run) { return Give(daemon, options, ids, is_dry_run); });
}

int OrderAtOnce(const std::string& endpoint, const OrderOptions& options) {
  if (!IsWellChosen(options)) {  // of `primary` verbs the parser wants a domain
    Complain("either --all, or --domain and --destination are wanted");
    return kExitUsage;
  }
  DaemonClient daemon(endpoint);
  return DoAtOnce(options.how,
                  [&](bool is_dry_run) { return Give(daemon, options, {}, is_dry_run); });
}

}  // namespace backstay
