// core/event/json_line.cc -- members in the order in which a human asks for them.
#include "core/event/json_line.h"

#include "core/base/check.h"
#include "core/base/json_text.h"
#include "core/base/text.h"
#include "core/event/event_text.h"

namespace backstay {
namespace {

// Null: no line.
const char* NameOf(EventKind kind) {
  switch (kind) {
    case EventKind::kConnected:
    case EventKind::kDisconnected:
    case EventKind::kRemoved:
      return nullptr;
    case EventKind::kTurnedAway:
      return "turned_away";
    case EventKind::kRejected:
      return "rejected";
    case EventKind::kQueued:
      return "queued";
    case EventKind::kDelivered:
      return "delivered";
    case EventKind::kDeferred:
      return "deferred";
    case EventKind::kFailed:
      return "failed";
    case EventKind::kDiscarded:
      return "discarded";
    case EventKind::kExpired:
      return "expired";
    case EventKind::kQuarantined:
      return "quarantined";
    case EventKind::kLinesLost:
      return "lines_lost";
  }
  UNREACHABLE();
}

bool IsAttempt(EventKind kind) {
  return kind == EventKind::kDelivered || kind == EventKind::kDeferred ||
         kind == EventKind::kFailed || kind == EventKind::kDiscarded;
}

class Members {
 public:
  explicit Members(std::string& out) : out_(out) {}

  void Name(std::string_view name) { out_.append(",\"").append(name).append("\":"); }
  void Text(std::string_view name, std::string_view value) {
    Name(name);
    out_.push_back('"');
    AppendJsonText(value, out_);
    out_.push_back('"');
  }
  void TextIfAny(std::string_view name, std::string_view value) {
    if (!value.empty()) {
      Text(name, value);
    }
  }
  void Number(std::string_view name, uint64_t value) {
    Name(name);
    AppendNumber(out_, value);
  }

 private:
  std::string& out_;
};

void AppendRecipients(const Event& event, Members& members, std::string& out) {
  members.Name("to");
  const size_t begin = out.size();
  char before = '[';
  for (const Recipient& recipient : event.recipients) {
    if (out.size() - begin > kListedBytesMax) {
      break;
    }
    out.push_back(before);
    before = ',';
    out.push_back('"');
    AppendJsonText(recipient.address, out);
    out.push_back('"');
  }
  out.push_back(']');
  members.Number("recipients", event.recipients.size());
  members.Number("size", event.bytes);
  members.TextIfAny("message_id", event.message_id);
}

// "250 2.1.5 Ok", or the text alone.
void AppendReplyText(const Reply& reply, std::string& out) {
  if (reply.code != 0) {
    AppendNumber(out, static_cast<uint64_t>(reply.code));
    out.push_back(' ');
  }
  if (!reply.enhanced.empty()) {
    AppendJsonText(reply.enhanced, out);
    out.push_back(' ');
  }
  AppendJsonText(reply.text, out);
}

void AppendAttempt(const Event& event, Members& members, std::string& out) {
  if (!event.relay.empty()) {
    const bool is_v6 = event.relay.find(':') != std::string_view::npos;
    members.Name("relay");
    out.append(is_v6 ? "\"[" : "\"").append(event.relay).append(is_v6 ? "]:" : ":");
    AppendNumber(out, event.relay_port);
    out.push_back('"');
  }
  members.Name("delay");
  AppendSeconds(event.waited + event.connecting + event.transmitting, 3, out);
  members.Name("delays");
  char before = '[';
  for (const absl::Duration part : {event.waited, event.connecting, event.transmitting}) {
    out.push_back(before);
    AppendSeconds(part, 3, out);
    before = ',';
  }
  out.push_back(']');
}

}  // namespace

void AppendJsonLine(const Event& event, TimeText& time, std::string& out) {
  const char* const name = NameOf(event.kind);
  if (name == nullptr) {
    return;
  }
  Members members(out);
  out.append("{\"time\":\"");
  time.Append(event.time, out);
  out.push_back('"');
  members.Text("event", name);
  members.TextIfAny("id", event.id);
  members.TextIfAny("client", event.client);
  members.TextIfAny("helo", event.helo);
  members.TextIfAny("protocol", event.protocol);
  members.TextIfAny("tls", event.tls);
  members.TextIfAny("command", event.command);
  if (event.sender.has_value()) {
    members.Text("from", *event.sender);
  }
  if (event.kind == EventKind::kQueued) {
    AppendRecipients(event, members, out);
  } else {
    members.TextIfAny("to", event.recipient);
  }
  if (event.reply.code != 0 || !event.reply.text.empty()) {
    members.Name("reply");
    out.push_back('"');
    AppendReplyText(event.reply, out);
    out.push_back('"');
  }
  if (IsAttempt(event.kind)) {
    AppendAttempt(event, members, out);
  }
  if (event.kind == EventKind::kLinesLost) {
    members.Number("lines", event.lines);
  }
  out.append("}\n");
}

}  // namespace backstay
