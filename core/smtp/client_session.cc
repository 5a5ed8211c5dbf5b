// core/smtp/client_session.cc -- one reply at a time; each decides what is sent next.
#include "core/smtp/client_session.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/check.h"
#include "core/base/mark.h"
#include "core/smtp/ascii.h"

namespace backstay {
namespace {

constexpr int kServiceClosingCode = 421;

}  // namespace

ClientSession::ClientSession(std::string_view hostname) : hostname_(hostname) {
  ASSERT(!hostname_.empty());
  ASSERT(std::all_of(hostname_.begin(), hostname_.end(),
                     [](char c) { return IsPrintable(c) && c != ' '; }));
}

void ClientSession::Consume(Bytes bytes) {
  while (!bytes.empty() && phase_ != Phase::kFailed) {
    if (!MayReceive()) {
      MARK("clear_text_behind_starttls");
      Fail(Failure::kProtocol, /*by_reply=*/false);
      return;
    }
    switch (parser_.Consume(bytes)) {
      case ReplyParser::Result::kIncomplete:
        return;
      case ReplyParser::Result::kReply:
        OnReply();
        break;
      case ReplyParser::Result::kError:
        MARK("unparsable_reply");
        Fail(Failure::kProtocol, /*by_reply=*/false);
        return;
    }
  }
}

// A byte that came before STARTTLS left, or with its 220 or behind it, was put there by somebody
// who wants it taken for a reply inside TLS.
bool ClientSession::MayReceive() const {
  return phase_ != Phase::kHandshake && (phase_ != Phase::kStartTls || output_.group_left());
}

void ClientSession::OnReply() {
  const PrimaryReply& reply = parser_.reply();
  ++replies_;
  last_code_ = reply.code;
  last_enhanced_ = reply.enhanced;
  last_text_ = reply.Clean();
  if (phase_ == Phase::kQuit) {
    Ended(Failure::kNone);
    return;
  }
  if (phase_ == Phase::kStartTls) {
    OnStartTlsReply(reply);
    return;
  }
  if (reply.code == kServiceClosingCode && !BecomesAnother()) {
    Fail(Failure::kServiceClosing, /*by_reply=*/true);
    return;
  }
  if (phase_ == Phase::kContent ||
      (phase_ == Phase::kFinal && (reply_was_begun_ || AnswersUnsent()))) {
    OnEarlyReply(reply);
    return;
  }
  if (phase_ == Phase::kReady || reply_was_begun_ || AnswersUnsent()) {
    MARK("surplus_reply");
    Fail(Failure::kProtocol, /*by_reply=*/true);
    return;
  }
  switch (phase_) {
    case Phase::kGreeting:
      OnGreeting(reply);
      return;
    case Phase::kEhlo:
      OnEhloReply(reply);
      return;
    case Phase::kEnvelope:
      OnEnvelopeReply(reply);
      return;
    case Phase::kFinal:
      OnFinalReply(reply);
      return;
    case Phase::kStartTls:
    case Phase::kHandshake:
    case Phase::kReady:
    case Phase::kContent:
    case Phase::kQuit:
    case Phase::kFailed:
      break;
  }
  UNREACHABLE();
}

// No byte of what this reply would answer has left. The greeting answers the connection.
bool ClientSession::AnswersUnsent() const {
  const bool left = chained_ ? output_.group_before_left() : output_.group_left();
  return phase_ != Phase::kGreeting && !left;
}

// ---- greeting ----

void ClientSession::OnGreeting(const PrimaryReply& reply) {
  if (reply.code == 220) {
    if (NamesUs(reply)) {
      Fail(Failure::kSelf, /*by_reply=*/true);
      return;
    }
    SayHello();
    return;
  }
  if (reply.permanent()) {
    Fail(Failure::kRefusedGreeting, /*by_reply=*/true);
    return;
  }
  Fail(reply.transient() ? Failure::kDeferredGreeting : Failure::kProtocol, /*by_reply=*/true);
}

void ClientSession::SayHello() {
  phase_ = Phase::kEhlo;
  output_.BeginGroup();
  output_.Append(fmt::format("EHLO {}\r\n", hostname_));
}

void ClientSession::OnEhloReply(const PrimaryReply& reply) {
  if (reply.code == 250) {
    if (NamesUs(reply)) {
      Fail(Failure::kSelf, /*by_reply=*/true);
      return;
    }
    if (!said_helo_) {
      extensions_ = ParseEhloReply(reply.lines);
    }
    Introduced();
    return;
  }
  if (reply.permanent() && !said_helo_) {
    said_helo_ = true;  // RFC 5321 s3.2
    output_.BeginGroup();
    output_.Append(fmt::format("HELO {}\r\n", hostname_));
    return;
  }
  if (reply.permanent()) {
    Fail(Failure::kRefusedEhlo, /*by_reply=*/true);
    return;
  }
  Fail(reply.transient() ? Failure::kDeferredEhlo : Failure::kProtocol, /*by_reply=*/true);
}

void ClientSession::Introduced() {
  if (tls_ == Tls::kNever || secure_) {
    phase_ = Phase::kReady;
    return;
  }
  if (extensions_.starttls) {
    phase_ = Phase::kStartTls;
    output_.BeginGroup();
    output_.Append("STARTTLS\r\n");
    return;
  }
  if (tls_ == Tls::kAlways) {
    MARK("tls_not_offered");
    Fail(Failure::kTlsNotOffered, /*by_reply=*/true);
    return;
  }
  phase_ = Phase::kReady;
}

// 421 is a refusal like any other here: whoever closes indeed says so again next time, before TLS.
void ClientSession::OnStartTlsReply(const PrimaryReply& reply) {
  if (reply.code == 220) {
    phase_ = Phase::kHandshake;
    return;
  }
  const bool is_refused = reply.transient() || reply.permanent();
  Fail(is_refused ? Failure::kTlsRefused : Failure::kProtocol, /*by_reply=*/true);
}

void ClientSession::Secured() {
  ASSERT(phase_ == Phase::kHandshake);
  secure_ = true;
  extensions_ = PrimaryExtensions();
  said_helo_ = false;
  SayHello();
}

// RFC 5321 s4.2, s4.1.1.1: the first word of a greeting and of the reply to EHLO is the server's
// name.
bool ClientSession::NamesUs(const PrimaryReply& reply) const {
  std::string_view lines = reply.lines;
  std::string_view name;
  PrimaryReply::NextLine(lines, name);
  name = Trimmed(name);
  name = name.substr(0, name.find_first_of(" \t"));
  if (!name.empty() && name.back() == '.') {
    name.remove_suffix(1);
  }
  return EqualsIgnoringCase(name, hostname_);
}

// ---- ends ----

void ClientSession::EndTransaction() {
  ASSERT(ledger_.complete());
  reset_needed_ = reset_needed_ || mail_taken_;
  envelope_ = nullptr;
  phase_ = Phase::kReady;
}

void ClientSession::ConnectionLost() {
  if (phase_ == Phase::kFailed) {
    return;
  }
  if (phase_ == Phase::kGreeting) {
    Ended(Failure::kClosedBeforeGreeting);
    return;
  }
  // A server of TLS 1.3 may refuse our certificate only behind the handshake.
  if (phase_ == Phase::kStartTls || phase_ == Phase::kHandshake ||
      (phase_ == Phase::kEhlo && secure_)) {
    Ended(Failure::kTlsFailed);
    return;
  }
  Outcome outcome;
  outcome.phase = OutcomePhase();
  outcome.text = "The connection was lost";
  outcome.own = BecomesAnother();
  DecideRest(outcome);
  Ended(phase_ == Phase::kQuit ? Failure::kNone : Failure::kConnectionLost);
}

void ClientSession::Quit() {
  ASSERT(phase_ == Phase::kReady);
  phase_ = Phase::kQuit;
  output_.Append("QUIT\r\n");
}

// `by_reply`: the last reply says why; otherwise what came was none.
void ClientSession::Fail(Failure failure, bool by_reply) {
  if (phase_ == Phase::kQuit) {
    Ended(Failure::kNone);
    return;
  }
  const Outcome::Phase at = OutcomePhase();
  Outcome outcome;
  outcome.phase = at;
  outcome.text = "The reply was not understood";
  if (by_reply) {
    outcome = OutcomeOf(Kind::kDeferred, /*own=*/false);
  }
  outcome.own = failure == Failure::kProtocol &&
                (at == Outcome::Phase::kData || at == Outcome::Phase::kEndOfData);
  DecideRest(outcome);
  // Row 139. A reply to the content is in step with its 354, and what it says stays.
  if (failure == Failure::kProtocol && (phase_ == Phase::kEnvelope || phase_ == Phase::kReady)) {
    ledger_.Doubt();
  }
  Ended(failure);
}

// What is said of the transaction at hand says nothing of one that is chained to it.
void ClientSession::DecideRest(const Outcome& outcome) {
  LedgerAtHand().DecideRest(outcome);
  if (chained_) {
    ledger_.DecideRest(Outcome());
  }
}

void ClientSession::Ended(Failure failure) {
  failure_ = failure;
  phase_ = Phase::kFailed;
  envelope_ = nullptr;
  output_.Clear();  // above all no end of data behind content that is not whole
}

// ---- leaves ----

Outcome::Phase ClientSession::OutcomePhase() const {
  switch (phase_) {
    case Phase::kGreeting:
      return Outcome::Phase::kGreeting;
    case Phase::kEhlo:
    case Phase::kStartTls:
    case Phase::kHandshake:
      return Outcome::Phase::kEhlo;
    case Phase::kEnvelope:
      break;
    case Phase::kContent:
      return Outcome::Phase::kData;
    case Phase::kFinal:
      return Outcome::Phase::kEndOfData;
    case Phase::kReady:
    case Phase::kQuit:
    case Phase::kFailed:
      return Outcome::Phase::kMail;
  }
  switch (steps_[next_step_]) {
    case Step::kReset:
    case Step::kXclient:
    case Step::kHello:
    case Step::kXforward:
    case Step::kMail:
      return Outcome::Phase::kMail;
    case Step::kRcpt:
      return Outcome::Phase::kRcpt;
    case Step::kData:
      return Outcome::Phase::kData;
  }
  UNREACHABLE();
}

// An outcome made of the last reply.
Outcome ClientSession::OutcomeOf(Kind kind, bool own) const {
  return {kind, OutcomePhase(), last_code_, last_enhanced_, last_text_, own};
}

}  // namespace backstay
