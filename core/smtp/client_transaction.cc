// core/smtp/client_transaction.cc -- the transaction half of a ClientSession: MAIL to last reply.
#include <fmt/format.h>

#include <utility>

#include "core/base/check.h"
#include "core/base/mark.h"
#include "core/smtp/address.h"
#include "core/smtp/client_command.h"
#include "core/smtp/client_session.h"

namespace backstay {
namespace {

// RFC 2920 s3.1 sets no bound; this many commands and their replies fit the smallest buffers of
// both sides, so that neither can block on the other.
constexpr size_t kRcptsPerGroupMax = 100;

// A reply that no command of an envelope can have: its place is elsewhere, so that one of the sides
// has lost count.
bool Misplaced(const PrimaryReply& reply) {
  return reply.code == 220 || reply.code == 221 || (reply.code >= 300 && reply.code < 400);
}

// RFC 5321 s4.5.3.1.10: 452 is "too many recipients", and so is 552 of older servers. Where an
// enhanced code says more ("4.2.2 mailbox full"), it is this recipient that is meant.
bool TooManyRecipients(const PrimaryReply& reply) {
  if (reply.code != 452 && reply.code != 552) {
    return false;
  }
  return reply.enhanced.empty() || reply.enhanced.substr(1) == ".5.3";
}

Outcome::Kind KindOf(const PrimaryReply& reply) {
  if (reply.positive()) {
    return Outcome::Kind::kDelivered;
  }
  return reply.permanent() ? Outcome::Kind::kFailed : Outcome::Kind::kDeferred;
}

}  // namespace

// ---- envelope ----

void ClientSession::StartTransaction(const Envelope& envelope, const std::vector<uint32_t>& indexes,
                                     uint64_t content_bytes, bool has_dot_lines) {
  SetMessage(content_bytes, has_dot_lines);
  Begin(envelope, indexes);
}

void ClientSession::StartQuestion(const Envelope& envelope, const std::vector<uint32_t>& indexes) {
  SetMessage(0, /*has_dot_lines=*/false);
  asks_only_ = true;
  Begin(envelope, indexes);
}

// RFC 2920 s3.1: "The actual transfer of message content is explicitly allowed to be the first
// "command" in a group. That is, a RSET/MAIL FROM sequence used to initiate a new message
// transaction can be placed in the same group as the final transfer of the headers and body of the
// previous message."
bool ClientSession::Chain(const Envelope& envelope, const std::vector<uint32_t>& indexes,
                          uint64_t content_bytes, bool has_dot_lines) {
  ASSERT(phase_ == Phase::kFinal);
  if (!extensions_.pipelining || exhausted() || chained_ || ledger_.accepted() == 0 ||
      OriginOf(envelope) != origin_) {
    return false;
  }
  std::swap(ledger_, ledger_before_);
  SetMessage(content_bytes, has_dot_lines);
  Prepare(envelope, indexes);
  if (RefuseUnsent()) {
    MARK("nothing_to_chain");
    envelope_ = nullptr;
    std::swap(ledger_, ledger_before_);
    return false;
  }
  chained_ = true;
  chain_unanswered_ = true;
  SendCommands();
  return true;
}

void ClientSession::SetMessage(uint64_t content_bytes, bool has_dot_lines) {
  content_bytes_ = content_bytes;
  has_dot_lines_ = has_dot_lines;
  asks_only_ = false;
}

void ClientSession::Begin(const Envelope& envelope, const std::vector<uint32_t>& indexes) {
  ASSERT(phase_ == Phase::kReady);
  reply_was_begun_ = parser_.in_reply();
  Prepare(envelope, indexes);
  phase_ = Phase::kEnvelope;
  SendEnvelope();
}

void ClientSession::Prepare(const Envelope& envelope, const std::vector<uint32_t>& indexes) {
  ASSERT(!indexes.empty());
  envelope_ = &envelope;
  recipients_ = indexes;
  ledger_.Begin(indexes.size());
  mail_sent_ = false;
  mail_taken_ = false;
  recipients_sent_ = 0;
  recipients_answered_ = 0;
  wanted_origin_ = OriginOf(envelope);
  forward_sent_ = false;
}

void ClientSession::SendEnvelope() {
  if (RefuseUnsent()) {
    EndTransaction();
    return;
  }
  SendCommands();
}

// Decides what needs no question to the peer; true when nobody is left.
bool ClientSession::RefuseUnsent() {
  if (extensions_.size_max.has_value() && content_bytes_ > *extensions_.size_max) {
    MARK("larger_than_the_primary_takes");
    RefuseAll("5.3.4", fmt::format("The message has {} bytes, the primary takes {}", content_bytes_,
                                   *extensions_.size_max));
    return true;
  }
  const bool utf8 = envelope_->smtputf8;
  const PathFault sender = CheckReversePath(envelope_->reverse_path, utf8);
  if ((utf8 && !extensions_.smtputf8) || sender == PathFault::kNeedsUtf8) {
    RefuseAll("5.6.7", "The message needs SMTPUTF8");
    return true;
  }
  if (sender != PathFault::kNone) {
    MARK("reverse_path_is_no_address");
    RefuseAll("5.1.7", "The sender's address is not valid");
    return true;
  }
  for (size_t position = 0; position < recipients_.size(); ++position) {
    const PathFault fault =
        CheckForwardPath(envelope_->recipients[recipients_[position]].address, utf8);
    if (fault == PathFault::kNone || !ledger_.IsOpen(position)) {
      continue;
    }
    MARK("recipient_is_no_address");
    const bool needs_utf8 = fault == PathFault::kNeedsUtf8;
    ledger_.Decide(position,
                   {Kind::kFailed, Outcome::Phase::kRcpt, 0, needs_utf8 ? "5.6.7" : "5.1.3",
                    needs_utf8 ? "The address needs SMTPUTF8" : "The address is not valid", true});
  }
  return ledger_.complete();
}

void ClientSession::RefuseAll(std::string_view enhanced, std::string_view text) {
  const Outcome outcome{Kind::kFailed,         Outcome::Phase::kMail, 0,
                        std::string(enhanced), std::string(text),     true};
  ledger_.DecideOpen(outcome);
}

// The next group of commands, or the end when there is nothing to send. Without PIPELINING a group
// is one command. DATA ends a group: RFC 2920 s3.1.
void ClientSession::SendCommands() {
  steps_.clear();
  next_step_ = 0;
  output_.BeginGroup();
  const bool pipelining = extensions_.pipelining;
  if (reset_needed_) {
    steps_.push_back(Step::kReset);
    output_.Append("RSET\r\n");
    if (!pipelining) {
      return;
    }
  }
  if (hello_owed_) {
    // As the client said it: that is what the primary would have heard.
    const bool is_known = IsHostWord(envelope_->client_helo);
    steps_.push_back(Step::kHello);
    output_.Append(fmt::format("EHLO {}\r\n", is_known ? envelope_->client_helo : hostname_));
    return;
  }
  if (wanted_origin_ != origin_) {
    steps_.push_back(Step::kXclient);
    output_.Append(wanted_origin_);
    return;
  }
  if (TellsOrigin() && !std::exchange(forward_sent_, true)) {
    steps_.push_back(Step::kXforward);
    output_.Append(OriginCommand("XFORWARD", *envelope_, extensions_.xforward));
    if (!pipelining) {
      return;
    }
  }
  if (!mail_sent_) {
    SendMail();
    if (!pipelining) {
      return;
    }
  } else if (!mail_taken_) {
    EndTransaction();
    return;
  }
  const size_t rcpts_max = pipelining ? kRcptsPerGroupMax : 1;
  for (size_t rcpts = 0; rcpts < rcpts_max && recipients_sent_ < recipients_.size();) {
    if (ledger_.IsOpen(recipients_sent_)) {
      SendRcpt();
      ++rcpts;
    }
    ++recipients_sent_;
  }
  const bool rcpts_in_group = !steps_.empty() && steps_.back() == Step::kRcpt;
  if (recipients_sent_ < recipients_.size() || (rcpts_in_group && !pipelining)) {
    return;
  }
  if (asks_only_ && rcpts_in_group) {
    return;
  }
  if (!rcpts_in_group && ledger_.accepted() == 0) {
    EndTransaction();  // DATA would have nobody to go to
    return;
  }
  steps_.push_back(Step::kData);
  output_.Append("DATA\r\n");
}

void ClientSession::SendMail() {
  steps_.push_back(Step::kMail);
  mail_sent_ = true;
  ++mails_;
  PrimaryExtensions offered = extensions_;
  offered.size = offered.size && !asks_only_;
  output_.Append(MailCommand(*envelope_, content_bytes_, offered));
}

void ClientSession::SendRcpt() {
  steps_.push_back(Step::kRcpt);
  const Recipient& recipient = envelope_->recipients[recipients_[recipients_sent_]];
  output_.Append(RcptCommand(*envelope_, recipient, extensions_));
}

void ClientSession::OnEnvelopeReply(const PrimaryReply& reply) {
  chain_unanswered_ = false;
  // RFC 3207 s4, RFC 4954 s6: of the session, whatever the command; never of a message or mailbox.
  if (reply.code == 530 || reply.code == 538) {
    MARK("session_not_admitted");
    Fail(Failure::kNotAdmitted, /*by_reply=*/true);
    return;
  }
  const Step step = steps_[next_step_];
  if (step == Step::kData) {
    OnDataReply(reply);
    return;
  }
  if (step == Step::kXclient) {
    OnXclientReply(reply);
    return;
  }
  if (step == Step::kHello) {
    OnHelloReply(reply);
    return;
  }
  if (Misplaced(reply) || (step == Step::kReset && !reply.positive())) {
    MARK("misplaced_reply");
    Fail(Failure::kProtocol, /*by_reply=*/true);
    return;
  }
  switch (step) {
    case Step::kReset:
      reset_needed_ = false;
      break;
    case Step::kXforward:
      break;  // whatever the primary says: it was only told
    case Step::kMail:
      OnMailReply(reply);
      break;
    case Step::kRcpt:
      OnRcptReply(reply);
      break;
    case Step::kXclient:
    case Step::kHello:
    case Step::kData:
      UNREACHABLE();
  }
  ++next_step_;
  if (next_step_ == steps_.size()) {
    SendCommands();
  }
}

// ---- the session of another client ----

bool ClientSession::BecomesAnother() const {
  return phase_ == Phase::kEnvelope && next_step_ < steps_.size() &&
         (steps_[next_step_] == Step::kXclient || steps_[next_step_] == Step::kHello);
}

// XFORWARD; under XCLIENT there is nothing left to tell.
bool ClientSession::TellsOrigin() const {
  return extensions_.xforward.address && origin_.empty() && !envelope_->client_address.empty();
}

// The XCLIENT command for it. Our own mail needs none in a session that is nobody's yet.
std::string ClientSession::OriginOf(const Envelope& envelope) const {
  const bool ours = envelope.client_address.empty() && origin_.empty();
  return ours ? std::string() : OriginCommand("XCLIENT", envelope, extensions_.xclient);
}

bool ClientSession::Takes(const Envelope& envelope) const {
  return origin_.empty() || xclient_again_ || OriginOf(envelope) == origin_;
}

void ClientSession::OnXclientReply(const PrimaryReply& reply) {
  if (reply.code == 220) {
    origin_ = wanted_origin_;
    hello_owed_ = true;
    SendCommands();
    return;
  }
  if (reply.permanent() && origin_.empty()) {
    MARK("xclient_not_for_us");
    extensions_.xclient = {};
    wanted_origin_.clear();
    SendCommands();
    return;
  }
  if (reply.permanent()) {
    MARK("xclient_only_once");
    ledger_.DecideRest(OutcomeOf(Kind::kDeferred, /*own=*/false));
    Ended(Failure::kNone);
    return;
  }
  RefusedAsClient();
}

// The primary may offer other things to another client. How it can be told of one does not change.
void ClientSession::OnHelloReply(const PrimaryReply& reply) {
  if (reply.code != 250) {
    RefusedAsClient();
    return;
  }
  const OriginOffer xclient = extensions_.xclient;
  extensions_ = ParseEhloReply(reply.lines);
  xclient_again_ = extensions_.xclient.address;
  extensions_.xclient = xclient;
  hello_owed_ = false;
  SendEnvelope();
}

// A session that is neither the one nor the other's is of no more use; the primary itself is well.
void ClientSession::RefusedAsClient() {
  const PrimaryReply& reply = parser_.reply();
  const Kind kind = reply.permanent() ? Kind::kFailed : Kind::kDeferred;
  ledger_.DecideRest(OutcomeOf(kind, /*own=*/true));
  Ended(Failure::kNone);
}

// ---- MAIL and RCPT ----

void ClientSession::OnMailReply(const PrimaryReply& reply) {
  mail_taken_ = reply.positive();
  if (!mail_taken_) {
    ledger_.DecideOpen(EnvelopeOutcomeOf(reply));
  }
}

// RFC 5321 s4.2.2: 504 is "Command parameter not implemented", so it is said of how we speak, and
// servers that judge the HELO name at RCPT (Postfix: "504 5.5.2 <vm>: Helo command rejected: need
// fully-qualified hostname") say it of our own. All mail would be lost to a wrong name of ours. In
// the session of a client whose name it is, it is the message's refusal, as where Postfix says it
// of an address ("504 5.5.2 <root@vm>: Sender address rejected").
Outcome ClientSession::EnvelopeOutcomeOf(const PrimaryReply& reply) const {
  const bool is_our_name = origin_.empty() || !IsHostWord(envelope_->client_helo);
  const bool is_of_address = reply.lines.find("address rejected") != std::string::npos;
  if (reply.code == 504 && is_our_name && !is_of_address) {
    MARK("said_of_our_session");
    return OutcomeOf(Kind::kDeferred, /*own=*/true);
  }
  return OutcomeOf(KindOf(reply), /*own=*/true);
}

void ClientSession::OnRcptReply(const PrimaryReply& reply) {
  if (!mail_taken_) {
    return;  // 503 or the like: everybody was decided with the reply to MAIL
  }
  while (!ledger_.IsOpen(recipients_answered_)) {
    ++recipients_answered_;
  }
  const size_t position = recipients_answered_++;
  if (reply.positive() && asks_only_) {
    ledger_.Decide(position, OutcomeOf(Kind::kDelivered, /*own=*/true));
    return;
  }
  if (reply.positive()) {
    ledger_.Accept(position);
    return;
  }
  if (!TooManyRecipients(reply)) {
    ledger_.Decide(position, EnvelopeOutcomeOf(reply));
    return;
  }
  // The next transaction takes this one and those not yet sent. If it is the first already, it is
  // no matter of number: then it is this recipient's own, or it would be asked again at once for
  // ever.
  MARK("too_many_recipients");
  const bool own = ledger_.accepted() == 0;
  const Outcome outcome = OutcomeOf(Kind::kDeferred, own);
  ledger_.Decide(position, outcome);
  if (!own) {
    for (; recipients_sent_ < recipients_.size(); ++recipients_sent_) {
      if (ledger_.IsOpen(recipients_sent_)) {
        ledger_.Decide(recipients_sent_, outcome);
      }
    }
  }
}

// ---- data ----

void ClientSession::OnDataReply(const PrimaryReply& reply) {
  if (reply.code == 354) {
    if (ledger_.accepted() > 0) {
      phase_ = Phase::kContent;
      data_writer_.Start(has_dot_lines_);
      return;
    }
    // RFC 2920 s3.1: "If none of the RCPT TO commands were accepted and DATA was, the client SHOULD
    // send a single dot." Its reply means nothing.
    MARK("data_for_nobody");
    phase_ = Phase::kFinal;
    output_.BeginGroup();
    output_.Append(".\r\n");
    return;
  }
  if (!reply.transient() && !reply.permanent()) {
    MARK("data_answered_with_nonsense");  // row 145: 250 to everything
    Fail(Failure::kProtocol, /*by_reply=*/true);
    return;
  }
  ledger_.DecideAccepted(OutcomeOf(KindOf(reply), /*own=*/true));
  EndTransaction();
}

void ClientSession::WriteContent(Bytes stored) {
  if (phase_ != Phase::kContent) {
    return;
  }
  data_writer_.Write(stored, output_.tail());
}

void ClientSession::EndContent() {
  if (phase_ != Phase::kContent) {
    return;
  }
  phase_ = Phase::kFinal;
  reply_was_begun_ = parser_.in_reply();
  output_.BeginGroup();
  data_writer_.Finish(output_.tail());
}

void ClientSession::AbortContent() {
  if (phase_ != Phase::kContent) {
    return;
  }
  Outcome outcome;
  outcome.phase = OutcomePhase();
  outcome.text = "The message could not be read";
  ledger_.DecideAccepted(outcome);
  Ended(Failure::kNone);
}

// A refusal in the middle of the data counts, but the connection cannot go on: ending the data now
// would make a cut message of it, and what the peer reads next is not known (row 136).
void ClientSession::OnEarlyReply(const PrimaryReply& reply) {
  MARK("reply_before_end_of_data");
  if (reply.transient() || reply.permanent()) {
    LedgerAtHand().DecideAccepted(OutcomeOf(KindOf(reply), /*own=*/true));
  }
  Fail(Failure::kProtocol, /*by_reply=*/true);
}

void ClientSession::OnFinalReply(const PrimaryReply& reply) {
  RecipientLedger& ledger = LedgerAtHand();
  if (ledger.accepted() > 0 && Misplaced(reply)) {
    MARK("misplaced_reply");
    Fail(Failure::kProtocol, /*by_reply=*/true);
    return;
  }
  ledger.DecideAccepted(OutcomeOf(KindOf(reply), /*own=*/true));
  mail_taken_ = false;  // RFC 5321 s4.1.1.4: whatever the reply, the transaction is over
  if (!std::exchange(chained_, false)) {
    EndTransaction();
    return;
  }
  ASSERT(ledger.complete());
  phase_ = Phase::kEnvelope;
}

}  // namespace backstay
