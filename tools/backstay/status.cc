// tools/backstay/status.cc -- the daemon as a whole.
#include "tools/backstay/status.h"

#include <fmt/format.h>

#include "absl/time/clock.h"
#include "core/shard/snapshot.h"
#include "tools/backstay/daemon_client.h"
#include "tools/backstay/row.h"
#include "tools/backstay/table.h"
#include "tools/backstay/text.h"
#include "tools/backstay/verb.h"

namespace backstay {
namespace {

std::string OldestOf(const Row& row) {
  return row.Has("oldest") ? ReadableAge(row.Number("oldest")) : "-";
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

void PrintDaemon(const Row& row) {
  PrintLine(fmt::format("up {}, {} shards{}", ReadableAge(row.Number("uptime")),
                        row.Number("shards"),
                        row.Flag("ready") ? "" : "; the spool is still being read"));
  PrintLine(fmt::format("queued {} recipients in {} messages, {} dsn pending, {} quarantined",
                        GroupedNumber(row.Number("queued")), GroupedNumber(row.Number("messages")),
                        GroupedNumber(row.Number("dsn_pending")),
                        GroupedNumber(row.Number("quarantined"))));
  PrintLine(fmt::format(
      "since start {} accepted, {} refused; {} delivered, {} deferred, {} failed, {} discarded",
      GroupedNumber(row.Number("accepted")), GroupedNumber(row.Number("refused")),
      GroupedNumber(row.Number("delivered")), GroupedNumber(row.Number("deferred")),
      GroupedNumber(row.Number("failed")), GroupedNumber(row.Number("discarded"))));
  PrintLine(fmt::format("in the last {} {:.1f} accepted and {:.1f} delivered a second",
                        ReadableAge(row.Number("rate_seconds")), row.Rate("accepted_per_second"),
                        row.Rate("delivered_per_second")));
  PrintLine(fmt::format("ledger since {}: {}", row.Text("ledger_since"), LedgerOf(row)));
}

}  // namespace

int ShowStatus(const std::string& endpoint, bool is_json) {
  DaemonClient daemon(endpoint);
  Table table({"PRIMARY", "STATE", "DOMAINS", "QUEUED", "HELD", "OLDEST", "REASON"});
  const DaemonAnswer answer = daemon.Ask(R"({"verb":"status"})", [&](std::string_view line) {
    const Row row(line);
    if (is_json) {
      PrintLine(line);
    } else if (row.Text("kind") == "daemon") {
      PrintDaemon(row);
    } else {
      const std::string name = row.Text("primary");
      table.Add({name.empty() ? "(not configured)" : Printable(name), row.Text("state"),
                 GroupedNumber(row.Number("domains")), GroupedNumber(row.Number("queued")),
                 GroupedNumber(row.Number("held")), OldestOf(row), Printable(row.Text("reason"))});
    }
  });
  if (answer.exit_code == kExitOk && !is_json) {
    Print("\n" + table.Text());
  }
  return answer.exit_code;
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
               OldestOf(row), Printable(row.Text("primary")), Printable(row.Text("reason"))});
  });
  if (answer.exit_code == kExitOk && !is_json) {
    Print(table.Text());
  }
  return answer.exit_code;
}

int ShowPrimary(const std::string& endpoint, const std::string& domain, bool is_json) {
  DaemonClient daemon(endpoint);
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
    PrintLine(fmt::format("primary  {}", Printable(row.Text("primary"))));
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
  if ((*snapshot)->tls != nullptr) {
    const WallTime now = WallTime::FromNanoseconds(absl::GetCurrentTimeNanos());
    for (const std::string& warning : (*snapshot)->tls->Warnings(now)) {
      Complain("tls: " + warning);
    }
  }
  PrintLine(fmt::format("{} is valid", path));
  return kExitOk;
}

}  // namespace backstay
