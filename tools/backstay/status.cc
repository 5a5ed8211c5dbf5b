// tools/backstay/status.cc -- the daemon as a whole.
#include "tools/backstay/status.h"

#include <fmt/format.h>

#include <vector>

#include "absl/time/clock.h"
#include "core/shard/snapshot.h"
#include "tools/backstay/daemon_client.h"
#include "tools/backstay/row.h"
#include "tools/backstay/table.h"
#include "tools/backstay/text.h"
#include "tools/backstay/verb.h"

namespace backstay {
namespace {

std::string PrimaryOf(const Row& row) {
  const std::string list = row.Text("primary");
  return !list.empty()               ? Printable(list)
         : row.Text("domain") == "@" ? "(dsn.route)"
                                     : "(not configured)";
}

// In use now.
std::string AddressesOf(const Row& row) {
  std::string text;
  for (const std::string& address : row.Texts("addresses")) {
    text += (text.empty() ? "" : ", ") + Printable(address);
  }
  return text;
}

std::string OldestOf(const Row& row) {
  return row.Has("oldest") ? ReadableAge(row.Number("oldest")) : "-";
}

std::string NextOf(const Row& row) {
  return row.Has("next_in") ? row.Text("next") + " " + ReadableAge(row.Number("next_in")) : "-";
}

// Recipients, over restarts; both sides are equal.
std::string LedgerOf(const Row& row) {
  const Row ledger = row.Member("ledger");
  const auto number = [&](std::string_view name) { return GroupedNumber(ledger.Number(name)); };
  return fmt::format(
      "{} accepted + {} generated = {} delivered + {} bounced + {} discarded + {} quarantined + {} "
      "queued",
      number("accepted"), number("generated"), number("delivered"), number("bounced"),
      number("discarded"), number("quarantined"), number("queued"));
}

// What an operator need not read where there is none of it.
std::string Unless0(const Row& row, std::string_view name, std::string_view text) {
  const uint64_t number = row.Number(name);
  return number == 0 ? "" : fmt::format(fmt::runtime(text), GroupedNumber(number));
}

std::string TroubleText(const Row& row) {
  // Their mail waits, and is in no other number.
  return Unless0(row, "segments_unreadable",
                 "{} segments of the spool cannot be read: what is in them waits for a start that "
                 "can read them\n") +
         // What no checkpoint has counted yet is in no account when its record is broken.
         Unless0(row, "damaged_places",
                 "{} places of the spool were found damaged since the start: the log and `backstay "
                 "spool verify` say which\n") +
         Unless0(row, "shards_under_stress",
                 "clients have to be quick on {} shards: the log says why\n");
}

// A message is accepted as a whole, and each of its recipients has an end of its own.
std::string DaemonText(const Row& row) {
  const auto number = [&](std::string_view name) { return GroupedNumber(row.Number(name)); };
  return fmt::format("up {}, {} shards{}\n", ReadableAge(row.Number("uptime")),
                     row.Number("shards"),
                     row.Flag("ready") ? "" : "; the spool is still being read") +
         fmt::format("queued {} recipients, {} dsn pending, in {} messages; {} quarantined\n",
                     number("queued"), number("dsn_pending"), number("messages"),
                     number("quarantined")) +
         TroubleText(row) +
         fmt::format(
             "since start accepted {} messages, {} not stored; delivered {} recipients, "
             "{} deferred, {} failed, {} discarded\n",
             number("accepted"), number("refused"), number("delivered"), number("deferred"),
             number("failed"), number("discarded")) +
         fmt::format(
             "in the last {} accepted {:.1f} messages and delivered {:.1f} recipients a "
             "second\n",
             ReadableAge(row.Number("rate_seconds")), row.Rate("accepted_per_second"),
             row.Rate("delivered_per_second")) +
         fmt::format("ledger since {}: {}\n", row.Text("ledger_since"), LedgerOf(row));
}

}  // namespace

int StatusText(const std::string& endpoint, std::string& text) {
  DaemonClient daemon(endpoint);
  Table table({"PRIMARY", "STATE", "DOMAINS", "QUEUED", "HELD", "OLDEST", "NEXT", "REASON"});
  const DaemonAnswer answer = daemon.Ask(R"({"verb":"status"})", [&](std::string_view line) {
    const Row row(line);
    if (row.Text("kind") == "daemon") {
      text += DaemonText(row);
    } else {
      table.Add({PrimaryOf(row), row.Text("state"), GroupedNumber(row.Number("domains")),
                 GroupedNumber(row.Number("queued")), GroupedNumber(row.Number("held")),
                 OldestOf(row), NextOf(row), Printable(row.Text("reason"))});
    }
  });
  text += "\n" + table.Text();
  return answer.exit_code;
}

int ShowStatus(const std::string& endpoint, bool is_json) {
  if (is_json) {
    return DaemonClient(endpoint).Ask(R"({"verb":"status"})", &PrintLine).exit_code;
  }
  std::string text;
  const int exit_code = StatusText(endpoint, text);
  if (exit_code == kExitOk) {
    Print(text);
  }
  return exit_code;
}

int ListPrimaries(const std::string& endpoint, bool is_json) {
  DaemonClient daemon(endpoint);
  Table table({"DOMAIN", "STATE", "QUEUED", "HELD", "OLDEST", "PRIMARY", "REASON"});
  const DaemonAnswer answer = daemon.Ask(R"({"verb":"primaries"})", [&](std::string_view line) {
    if (is_json) {
      return PrintLine(line);
    }
    const Row row(line);
    table.Add({Printable(row.Text("domain")), row.Text("state"),
               GroupedNumber(row.Number("queued")), GroupedNumber(row.Number("held")),
               OldestOf(row), PrimaryOf(row), Printable(row.Text("reason"))});
  });
  if (answer.exit_code == kExitOk && !is_json) {
    Print(table.Text());
  }
  return answer.exit_code;
}

int ShowPrimary(const std::string& endpoint, const std::string& wanted, bool is_json) {
  DaemonClient daemon(endpoint);
  const std::string domain = CanonicalDomain(wanted);
  bool is_known = false;
  const DaemonAnswer answer = daemon.Ask(R"({"verb":"primaries"})", [&](std::string_view line) {
    const Row row(line);
    if (row.Text("domain") != domain) {
      return;
    }
    is_known = true;
    if (is_json) {
      return PrintLine(line);
    }
    const std::string reason = row.Text("reason");
    PrintLine(fmt::format("{}: {}{}", Printable(domain), row.Text("state"),
                          reason.empty() ? "" : ", " + Printable(reason)));
    PrintLine(fmt::format("primary  {}", PrimaryOf(row)));
    if (const std::string addresses = AddressesOf(row); !addresses.empty()) {
      PrintLine(fmt::format("address  {}", addresses));
    }
    PrintLine(fmt::format("queued   {} recipients, the oldest {}",
                          GroupedNumber(row.Number("queued")), OldestOf(row)));
    PrintLine(fmt::format("held     {}", GroupedNumber(row.Number("held"))));
    PrintLine(fmt::format("ledger   {}", LedgerOf(row)));
    if (row.Has("expires")) {
      PrintLine(fmt::format("expires  from {} on", row.Text("expires")));
    }
    for (const Row& outage : row.Rows("outages")) {
      PrintLine(fmt::format("down     {} - {}  {}", outage.Text("since"),
                            outage.Has("until") ? outage.Text("until") : "now",
                            Printable(outage.Text("reason"))));
    }
  });
  if (answer.exit_code == kExitOk && !is_known) {
    Complain(fmt::format("{} is no domain of the configuration, and no mail waits for it",
                         Printable(domain)));
    return kExitFound;
  }
  return answer.exit_code;
}

int Reload(const std::string& endpoint, bool is_forced) {
  DaemonClient daemon(endpoint);
  return daemon
      .Ask(is_forced ? R"({"verb":"reload","force":true})" : R"({"verb":"reload"})",
           [](std::string_view) {})
      .exit_code;
}

int CheckConfig(const std::string& path) {
  const auto snapshot = LoadSnapshot(path, Machine());
  if (!snapshot.ok()) {
    Complain(std::string(snapshot.status().message()));
    return kExitConfig;
  }
  for (const std::string& notice : (*snapshot)->config.notices) {
    Complain(notice);
  }
  const WallTime now = WallTime::FromNanoseconds(absl::GetCurrentTimeNanos());
  for (const TlsContext* shown : {(*snapshot)->tls.get(), (*snapshot)->client_tls.get()}) {
    for (const std::string& warning :
         shown != nullptr ? shown->Warnings(now) : std::vector<std::string>()) {
      Complain("tls: " + warning);
    }
  }
  PrintLine(fmt::format("{} is valid", path));
  return kExitOk;
}

}  // namespace backstay
