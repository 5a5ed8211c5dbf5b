// core/event/postfix_lines.cc -- the wordings of smtpd, cleanup, qmgr and smtp.
#include "core/event/postfix_lines.h"

#include "core/base/check.h"
#include "core/base/text.h"
#include "core/event/event_text.h"

namespace backstay {
namespace {

class Lines {
 public:
  Lines(const Event& event, std::string_view host, TimeText& time, std::string& out)
      : event_(event), host_(host), time_(time), out_(out) {}

  void Write();

 private:
  // "Nov 26 09:00:00 host postfix/smtpd[42]: "
  void Begin(std::string_view program) {
    time_.Append(event_.time, out_);
    out_.append(" ").append(host_).append(" postfix/").append(program).append("[");
    AppendNumber(out_, event_.connection);
    out_.append("]: ");
  }
  void BeginOfMessage(std::string_view program) {
    Begin(program);
    out_.append(event_.id).append(": ");
  }
  void End() { out_.push_back('\n'); }
  void Path(std::string_view name, std::string_view address) {
    out_.append(name).append("<");
    AppendPrintable(address, out_);
    out_.append(">");
  }
  // No name of a client is looked up.
  void Client() { out_.append("unknown[").append(event_.client).append("]"); }
  void ReplyText();

  void Session(std::string_view what);
  void Rejected();
  void Subject();
  void Queued();
  void Attempt(std::string_view status);
  void Delays();
  void Expired();
  void Warning();

  const Event& event_;
  const std::string_view host_;
  TimeText& time_;
  std::string& out_;
};

void Lines::Write() {
  switch (event_.kind) {
    case EventKind::kConnected:
      Session("connect from ");
      return;
    case EventKind::kDisconnected:
      Session("disconnect from ");
      return;
    case EventKind::kTurnedAway:
    case EventKind::kRejected:
      Rejected();
      return;
    case EventKind::kQueued:
      Queued();
      return;
    case EventKind::kDelivered:
      Attempt("sent");
      return;
    case EventKind::kDeferred:
      Attempt("deferred");
      return;
    case EventKind::kFailed:
    case EventKind::kDiscarded:
      Attempt("bounced");
      return;
    case EventKind::kExpired:
      Expired();
      return;
    case EventKind::kRemoved:
      BeginOfMessage("qmgr");
      out_.append("removed");
      End();
      return;
    case EventKind::kQuarantined:
    case EventKind::kLinesLost:
      Warning();
      return;
  }
  UNREACHABLE();
}

void Lines::Session(std::string_view what) {
  Begin("smtpd");
  out_.append(what);
  Client();
  End();
}

void Lines::ReplyText() {
  if (event_.reply.code != 0) {
    AppendNumber(out_, static_cast<uint64_t>(event_.reply.code));
    out_.push_back(' ');
  }
  if (!event_.reply.enhanced.empty()) {
    AppendPrintable(event_.reply.enhanced, out_);
    out_.push_back(' ');
  }
  AppendPrintable(event_.reply.text, out_);
}

// Two refusals have a line of their own in Postfix, which fail2ban looks for.
void Lines::Rejected() {
  Begin("smtpd");
  const bool too_many = event_.reply.text == replies::kTooManyErrors.text;
  if (too_many || event_.reply.text == replies::kNotInSync.text) {
    out_.append(too_many ? "too many errors after " : "improper command pipelining after ")
        .append(event_.command)
        .append(" from ");
    Client();
    End();
    return;
  }
  out_.append("NOQUEUE: reject: ").append(event_.command).append(" from ");
  Client();
  out_.append(": ");
  AppendNumber(out_, static_cast<uint64_t>(event_.reply.code));
  out_.append(" ");
  AppendPrintable(event_.reply.enhanced, out_);
  out_.append(" ");
  Subject();
  AppendPrintable(event_.reply.text, out_);
  out_.append(";");
  if (event_.sender.has_value()) {
    Path(" from=", *event_.sender);
  }
  if (!event_.recipient.empty()) {
    Path(" to=", event_.recipient);
  }
  out_.append(" proto=").append(event_.protocol);
  if (!event_.helo.empty()) {
    Path(" helo=", event_.helo);
  }
  End();
}

// Whose fault it is, when it is an address's: X.1.Y is about addresses, X.2.Y about mailboxes (RFC
// 3463 s3), and a recipient that is not ours has words of its own.
void Lines::Subject() {
  const bool about_address = event_.reply.enhanced.size() > 3 &&
                             (event_.reply.enhanced[2] == '1' || event_.reply.enhanced[2] == '2');
  const bool not_ours = event_.reply.text == replies::kRelayDenied.text;
  if (!event_.recipient.empty() && (about_address || not_ours)) {
    Path("", event_.recipient);
    out_.append(not_ours ? ": " : ": Recipient address rejected: ");
  } else if (event_.command == "MAIL" && about_address && event_.sender.has_value()) {
    Path("", *event_.sender);
    out_.append(": Sender address rejected: ");
  }
}

void Lines::Queued() {
  BeginOfMessage("smtpd");
  out_.append("client=");
  Client();
  End();
  BeginOfMessage("cleanup");
  out_.append("message-id=");
  AppendPrintable(event_.message_id.empty() ? std::string_view("<>") : event_.message_id, out_);
  End();
  BeginOfMessage("qmgr");
  Path("from=", event_.sender.value_or(std::string_view()));
  out_.append(", size=");
  AppendNumber(out_, event_.bytes);
  out_.append(", nrcpt=");
  AppendNumber(out_, event_.recipients.size());
  out_.append(" (queue active)");
  End();
}

// a/b/c/d of Postfix: before the queue manager, in it, connecting, transmitting.
void Lines::Delays() {
  out_.append(", delay=");
  AppendSeconds(event_.waited + event_.connecting + event_.transmitting, 2, out_);
  out_.append(", delays=0");
  for (const absl::Duration part : {event_.waited, event_.connecting, event_.transmitting}) {
    out_.push_back('/');
    AppendSeconds(part, 2, out_);
  }
}

std::string_view StatusCode(const Event& event) {
  if (!event.reply.enhanced.empty()) {
    return event.reply.enhanced;
  }
  if (event.reply.code == 0) {
    return "4.4.2";  // the connection went away
  }
  return event.reply.positive() ? "2.0.0" : event.reply.transient() ? "4.0.0" : "5.0.0";
}

void Lines::Attempt(std::string_view status) {
  BeginOfMessage("smtp");
  Path("to=", event_.recipient);
  out_.append(", relay=");
  if (event_.relay.empty()) {
    out_.append("none");
  } else {
    out_.append(event_.relay).append("[").append(event_.relay).append("]:");
    AppendNumber(out_, event_.relay_port);
  }
  Delays();
  out_.append(", dsn=");
  AppendPrintable(StatusCode(event_), out_);
  out_.append(", status=").append(status).append(" (");
  if (status != "sent" && event_.reply.code != 0) {
    out_.append("host ").append(event_.relay).append("[").append(event_.relay).append("] said: ");
  }
  ReplyText();
  out_.append(")");
  End();
}

void Lines::Expired() {
  BeginOfMessage("qmgr");
  Path("from=", event_.sender.value_or(std::string_view()));
  out_.append(", status=expired, returned to sender");
  End();
}

void Lines::Warning() {
  Begin("qmgr");
  out_.append("warning: ");
  if (event_.kind == EventKind::kQuarantined) {
    out_.append(event_.id).append(": damaged on disk, quarantined");
  } else {
    AppendNumber(out_, event_.lines);
    out_.append(" lines of this log were lost");
  }
  End();
}

}  // namespace

void AppendPostfixLines(const Event& event, std::string_view host, TimeText& time,
                        std::string& out) {
  Lines(event, host, time, out).Write();
}

}  // namespace backstay
