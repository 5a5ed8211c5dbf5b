// tools/backstay/list.cc -- shard by shard, oldest first, as the log has them.
#include "tools/backstay/list.h"

#include <fmt/format.h>

#include <vector>

#include "core/base/check.h"
#include "core/smtp/envelope.h"
#include "tools/backstay/message_walk.h"
#include "tools/backstay/text.h"
#include "tools/backstay/verb.h"

namespace backstay {
namespace {

enum class State : uint8_t { kLive, kPending, kSettled, kMixed };

std::string_view NameOf(State state) {
  switch (state) {
    case State::kLive:
      return "live";
    case State::kPending:
      return "dsn-pending";
    case State::kSettled:
      return "settled";
    case State::kMixed:
      return "mixed";
  }
  UNREACHABLE();
}

struct RecipientLine {
  std::string address;
  State state = State::kLive;
};

// What is printed of a message.
struct MessageLine {
  std::string id;
  WallTime arrival;
  uint64_t bytes = 0;
  State state = State::kLive;
  std::string sender;
  std::vector<RecipientLine> recipients;
};

State StateOf(const StoredMessage& message, uint32_t recipient) {
  if (message.IsLive(recipient)) {
    return State::kLive;
  }
  return message.IsPending(recipient) ? State::kPending : State::kSettled;
}

MessageLine Describe(const StoredMessage& message) {
  const DecodedMessage& record = message.record;
  const std::optional<Envelope> envelope = DecodeEnvelope(record.envelope);
  const bool has_addresses =
      envelope.has_value() && envelope->recipients.size() == record.recipient_domains.size();
  MessageLine line;
  const auto id = message.id.ToText();
  line.id.assign(id.data(), id.size());
  line.arrival = WallTime::FromNanoseconds(record.fixed.arrival_wall);
  line.bytes = record.AllContentBytes();
  line.sender = envelope.has_value() ? envelope->reverse_path : "?";
  for (uint32_t i = 0; i < record.recipient_domains.size(); ++i) {
    const State state = StateOf(message, i);
    line.state = i == 0 || line.state == state ? state : State::kMixed;
    const std::string_view domain = record.domains[record.recipient_domains[i]];
    line.recipients.push_back(
        {has_addresses ? envelope->recipients[i].address : fmt::format("?@{}", domain), state});
  }
  return line;
}

std::string AsJson(const MessageLine& line) {
  std::string recipients = "[";
  for (const RecipientLine& recipient : line.recipients) {
    JsonObject json;
    json.Text("address", recipient.address).Text("state", NameOf(recipient.state));
    recipients += recipients.size() > 1 ? "," : "";
    recipients += std::move(json).Take();
  }
  JsonObject json;
  json.Text("queue_id", line.id)
      .Text("arrival", IsoTime(line.arrival))
      .Number("bytes", line.bytes)
      .Text("state", NameOf(line.state))
      .Text("sender", line.sender)
      .Json("recipients", recipients + "]");
  return std::move(json).Take();
}

constexpr const char* kListColumns = "{:<16}  {:<20}  {:>11}  {:<11}  {:<28}  {}";

std::string AsText(const MessageLine& line) {
  std::string recipients;
  for (const RecipientLine& recipient : line.recipients) {
    recipients += recipients.empty() ? "" : ", ";
    recipients += Printable(recipient.address);
    if (line.state == State::kMixed) {
      recipients += fmt::format(" ({})", NameOf(recipient.state));
    }
  }
  return fmt::format(fmt::runtime(kListColumns), line.id, IsoTime(line.arrival),
                     GroupedNumber(line.bytes), NameOf(line.state),
                     fmt::format("<{}>", Printable(line.sender)), recipients);
}

// Of the domain: a recipient there is owed, or any will do.
bool IsWanted(const StoredMessage& message, const ListOptions& options) {
  const DecodedMessage& record = message.record;
  for (uint32_t i = 0; i < record.recipient_domains.size(); ++i) {
    const bool is_settled = StateOf(message, i) == State::kSettled;
    const std::string_view domain = record.domains[record.recipient_domains[i]];
    if ((options.domain.empty() || domain == options.domain) &&
        (options.with_settled || !is_settled)) {
      return true;
    }
  }
  return false;
}

}  // namespace

int ListMessages(Io& io, const ListOptions& given) {
  ListOptions options = given;
  options.domain = CanonicalDomain(given.domain);
  int exit_code = kExitOk;
  std::optional<SpoolView> view = OpenSpool(io, options.path, exit_code);
  if (!view.has_value()) {
    return exit_code;
  }
  FindingCount findings;
  bool has_heading = options.is_json;
  for (const uint16_t shard : view->Shards()) {
    ShardFiles files(io, view->ShardDirectory(shard), {view->node(), shard});
    const absl::Status opened = files.Open();
    if (!opened.ok()) {
      return ComplainOfSpool(fmt::format("{}: shard {:03}", options.path, shard), opened);
    }
    ShardWalk walk(files, view->IsInUse(), findings, nullptr);
    walk.Run();
    const Messages which = options.with_settled ? Messages::kAll : Messages::kOwed;
    ForEachMessage(files, walk, which, [&](const StoredMessage& message) {
      if (!IsWanted(message, options)) {
        return;
      }
      if (!has_heading) {
        PrintLine(fmt::format(fmt::runtime(kListColumns), "QUEUE ID", "ARRIVAL", "BYTES", "STATE",
                              "SENDER", "RECIPIENTS"));
        has_heading = true;
      }
      const MessageLine line = Describe(message);
      PrintLine(options.is_json ? AsJson(line) : AsText(line));
    });
  }
  if (!has_heading) {
    Complain(options.domain.empty() ? "no messages" : "no messages for " + options.domain);
  }
  findings.Complain(options.path);
  view->Close(io);
  return kExitOk;
}

}  // namespace backstay
