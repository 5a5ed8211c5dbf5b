// tools/backstay/queue.cc -- rows of the daemon, in three shapes.
#include "tools/backstay/queue.h"

#include <fmt/format.h>

#include "absl/time/time.h"
#include "tools/backstay/daemon_client.h"
#include "tools/backstay/row.h"
#include "tools/backstay/text.h"
#include "tools/backstay/verb.h"

namespace backstay {
namespace {

constexpr const char* kQueueColumns = "{:<16}  {:<20}  {:>11}  {:<9}  {:<28}  {}";

// 0: no limit. Programs get all of it, as from mailq.
uint64_t LimitOf(const QueueOptions& options) {
  return options.messages_max.value_or(options.is_json ? 0 : kListedMax);
}

std::string ListRequest(const QueueOptions& options) {
  std::string domains = "[";
  for (const std::string& domain : options.domains) {
    domains += domains.size() > 1 ? "," : "";
    domains += JsonString(domain);
  }
  JsonObject json;
  json.Text("verb", "list").Json("domains", domains + "]");
  if (options.older.has_value()) {
    json.Text("older", *options.older);
  }
  const uint64_t limit = LimitOf(options);
  if (limit > 0 && limit < UINT64_MAX) {
    json.Number("limit", limit + 1);  // whether there is one more
  }
  return std::move(json).Take();
}

std::string AsText(const Row& row) {
  std::string recipients;
  for (const Row& recipient : row.Rows("recipients")) {
    recipients += recipients.empty() ? "" : ", ";
    recipients += Printable(recipient.Text("address"));
  }
  return fmt::format(fmt::runtime(kQueueColumns), row.Text("queue_id"), row.Text("arrival"),
                     GroupedNumber(row.Number("bytes")), row.Text("state"),
                     fmt::format("<{}>", Printable(row.Text("sender"))), recipients);
}

// Of the schedule, whatever was tried.
std::string RetriesOf(const Row& recipient) {
  const std::string charged = GroupedNumber(recipient.Number("retries"));
  return recipient.Has("max_retries") ? fmt::format("{} of {} charged", charged,
                                                    GroupedNumber(recipient.Number("max_retries")))
                                      : fmt::format("{} charged", charged);
}

void PrintMessage(const Row& row) {
  const auto line = [](std::string_view name, const std::string& value) {
    PrintLine(fmt::format("{:<10}{}", name, value));
  };
  line("id", row.Text("queue_id"));
  line("arrival", row.Text("arrival"));
  line("bytes", GroupedNumber(row.Number("bytes")));
  line("sender", fmt::format("<{}>", Printable(row.Text("sender"))));
  for (const Row& recipient : row.Rows("recipients")) {
    PrintLine("");
    line("recipient", fmt::format("<{}>", Printable(recipient.Text("address"))));
    line("state", recipient.Text("state"));
    if (recipient.Has("reason") && !recipient.Text("reason").empty()) {
      line("reason", Printable(recipient.Text("reason")));
    }
    line("attempts", GroupedNumber(recipient.Number("attempts")));
    if (recipient.Text("state") == "dsn pending") {
      continue;  // it is not tried again
    }
    line("retries", RetriesOf(recipient));
    line("next try",
         recipient.Has("next_try") ? recipient.Text("next_try") : "when the reason is gone");
    line("expires", recipient.Has("expires") ? recipient.Text("expires") : "never as it stands");
  }
}

// The queues of Postfix that mean the same.
std::string_view PostfixQueueOf(std::string_view state) {
  return state == "active" ? "active" : state == "held" ? "hold" : "deferred";
}

std::string SenderOf(const Row& row) {
  const std::string sender = row.Text("sender");
  return sender.empty() ? "MAILER-DAEMON" : sender;
}

absl::Time ArrivalOf(const Row& row) {
  absl::Time time;
  std::string error;
  return absl::ParseTime(absl::RFC3339_sec, row.Text("arrival"), &time, &error) ? time
                                                                                : absl::UnixEpoch();
}

std::string AsPostqueueJson(const Row& row) {
  std::string recipients = "[";
  for (const Row& recipient : row.Rows("recipients")) {
    JsonObject json;
    json.Text("address", recipient.Text("address"));
    if (!recipient.Text("reason").empty()) {
      json.Text("delay_reason", recipient.Text("reason"));
    }
    recipients += recipients.size() > 1 ? "," : "";
    recipients += std::move(json).Take();
  }
  JsonObject json;
  json.Text("queue_name", PostfixQueueOf(row.Text("state")))
      .Text("queue_id", row.Text("queue_id"))
      .Number("arrival_time", static_cast<uint64_t>(absl::ToUnixSeconds(ArrivalOf(row))))
      .Number("message_size", row.Number("bytes"))
      .Flag("forced_expire", row.Text("state") == "expiring")
      .Text("sender", SenderOf(row))
      .Json("recipients", recipients + "]");
  return std::move(json).Take();
}

void PrintPostqueueText(const Row& row, bool is_first) {
  if (is_first) {
    PrintLine("-Queue ID-        --Size-- ----Arrival Time---- -Sender/Recipient-------");
  }
  const std::string_view queue = PostfixQueueOf(row.Text("state"));
  PrintLine(
      fmt::format("{}{:<1} {:>8} {} {}", row.Text("queue_id"),
                  queue == "active" ? "*"
                  : queue == "hold" ? "!"
                                    : "",
                  row.Number("bytes"),
                  absl::FormatTime("%a %b %e %H:%M:%S", ArrivalOf(row), absl::LocalTimeZone()),
                  Printable(SenderOf(row))));
  for (const Row& recipient : row.Rows("recipients")) {
    const std::string reason = Printable(recipient.Text("reason"));
    if (!reason.empty()) {
      PrintLine(fmt::format("{:>36}", fmt::format("({})", reason)));
    }
    PrintLine(fmt::format("{:>47}{}", "", Printable(recipient.Text("address"))));
  }
  PrintLine("");
}

}  // namespace

int ListQueue(const std::string& endpoint, const QueueOptions& options) {
  DaemonClient daemon(endpoint);
  const uint64_t limit = LimitOf(options);
  uint64_t messages = 0;
  bool has_more = false;
  const DaemonAnswer answer = daemon.Ask(ListRequest(options), [&](std::string_view line) {
    if (limit > 0 && messages == limit) {
      has_more = true;
      return;
    }
    if (messages++ == 0 && !options.is_json) {
      PrintLine(fmt::format(fmt::runtime(kQueueColumns), "QUEUE ID", "ARRIVAL", "BYTES", "STATE",
                            "SENDER", "RECIPIENTS"));
    }
    PrintLine(options.is_json ? std::string(line) : AsText(Row(line)));
  });
  if (answer.exit_code == kExitOk && messages == 0) {
    Complain("nothing waits");
  } else if (has_more) {
    Complain(fmt::format("only the first {} are told; --limit 0 tells all", messages));
  }
  return answer.exit_code;
}

int ShowQueued(const std::string& endpoint, const QueueOptions& options) {
  DaemonClient daemon(endpoint);
  JsonObject json;
  json.Text("verb", "show").Text("id", options.queue_id);
  return daemon
      .Ask(std::move(json).Take(),
           [&](std::string_view line) {
             options.is_json ? PrintLine(line) : PrintMessage(Row(line));
           })
      .exit_code;
}

int MailQueue(const std::string& endpoint, bool is_json) {
  DaemonClient daemon(endpoint);
  uint64_t messages = 0;
  uint64_t bytes = 0;
  const DaemonAnswer answer = daemon.Ask(R"({"verb":"list"})", [&](std::string_view line) {
    const Row row(line);
    if (is_json) {
      PrintLine(AsPostqueueJson(row));
    } else {
      PrintPostqueueText(row, messages == 0);
    }
    ++messages;
    bytes += row.Number("bytes");
  });
  if (answer.exit_code == kExitOk && !is_json) {
    PrintLine(messages == 0 ? "Mail queue is empty"
                            : fmt::format("-- {} Kbytes in {} Request{}.", (bytes + 1023) / 1024,
                                          messages, messages == 1 ? "" : "s"));
  }
  return answer.exit_code;
}

}  // namespace backstay
