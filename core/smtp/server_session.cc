// core/smtp/server_session.cc -- ExecuteVerb() is the table of contents; one member a command.
#include "core/smtp/server_session.h"

#include <algorithm>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "core/base/check.h"
#include "core/base/mark.h"
#include "core/smtp/address.h"
#include "core/smtp/ascii.h"
#include "core/smtp/refusal.h"

namespace backstay {
namespace {

// 421 says so (RFC 5321 s3.8), 521 is what a client gets that is not to go on.
bool EndsConnection(const Reply& reply) {
  return reply.code == 421 || reply.code == 521;
}

// Honest senders hear these, too. Of a group that is sent in one go, what stands behind a refusal
// is no mistake of its own: RCPT and DATA behind a MAIL that is put off, DATA behind recipients
// that are. And mail for many may have a stale address among them: it would never get through.
bool IsForgivable(const Reply& reply) {
  return reply.code == 503 || reply.text == replies::kNoRecipients.text ||
         reply.enhanced == replies::kUserUnknown.enhanced;
}

// Takes "FROM:" or "TO:" off the argument. A blank behind the colon is not in the grammar, but
// common and not ambiguous.
bool TakeKeyword(std::string_view keyword, std::string_view& argument) {
  if (!EqualsIgnoringCase(argument.substr(0, keyword.size()), keyword)) {
    return false;
  }
  argument = Trimmed(argument.substr(keyword.size()));
  return true;
}

// Behind the closing bracket comes nothing or a blank; "<a@b>c" names two things.
PathError ErrorOf(const Path& path, bool utf8) {
  const bool clean_end = path.rest.empty() || IsBlank(path.rest.front());
  const bool taken = path.error == PathError::kNone || (utf8 && path.error == PathError::kUtf8);
  if (!taken) {
    return path.error;
  }
  return clean_end ? PathError::kNone : PathError::kSyntax;
}

}  // namespace

ServerSession::ServerSession(const ServerParams& params, Intake& intake)
    : params_(params), intake_(&intake) {}

void ServerSession::Greet() {
  output_.append("220 ").append(params_.hostname).append(" ESMTP backstay\r\n");
}

void ServerSession::GreetWith(const Reply& reply) {
  EndWith(reply);
}

void ServerSession::TalkedTooEarly() {
  MARK("early talker");
  CloseWith(replies::kNotInSync);
}

void ServerSession::StartedTls() {
  ASSERT(wants_tls());
  ASSERT(output_.empty());  // it would leave encrypted, or too late
  secure_ = true;
  hello_ = Hello::kNone;
  helo_.clear();
  phase_ = Phase::kIdle;
}

void ServerSession::TimedOut() {
  CloseLater(replies::kTimedOut);
}
void ServerSession::ShutDown() {
  CloseLater(replies::kShuttingDown);
}

size_t ServerSession::Consume(Bytes bytes) {
  if (wants_tls() && !bytes.empty()) {
    MARK("text waiting for TLS");
    CloseWith(replies::kNotInSync);
  }
  size_t taken = 0;
  while (taken < bytes.size() && !wants_close() && !awaiting_finish() && !awaiting_rcpt() &&
         !paused_ && output_.size() < kOutputBytesMax) {
    const Bytes rest = bytes.subspan(taken);
    taken += in_data() ? ConsumeContent(rest) : ConsumeLine(rest);
  }
  return wants_close() ? bytes.size() : taken;
}

void ServerSession::DropOutput(size_t bytes) {
  ASSERT(bytes <= output_.size());
  output_.erase(0, bytes);
  if (output_.empty()) {
    Trim(output_);
  }
}

bool ServerSession::in_transaction() const {
  return phase_ != Phase::kIdle && phase_ != Phase::kStartingTls && phase_ != Phase::kClosing;
}

bool ServerSession::in_data() const {
  return phase_ == Phase::kContent || phase_ == Phase::kSwallowing;
}

// ---- commands ----

size_t ServerSession::ConsumeLine(Bytes bytes) {
  if (line_.empty() && IsTlsHello(static_cast<char>(bytes[0]))) {
    MARK("TLS hello in clear");
    CloseWith(replies::kNotSmtp);
    return bytes.size();
  }
  const size_t window = std::min(bytes.size(), kLineBytesMax - line_.size());
  const std::string_view text = AsText(bytes.first(window));
  const size_t newline = text.find('\n');
  if (newline == std::string_view::npos) {
    line_.append(text);
    if (line_.size() == kLineBytesMax) {
      MARK("endless command line");
      CloseWith(replies::kLineTooLong);
    }
    return window;
  }
  const size_t taken = newline + 1;
  const bool more = taken < bytes.size();
  if (line_.empty()) {
    Execute(text.substr(0, taken), more);
    return taken;
  }
  line_.append(text.substr(0, taken));
  Execute(line_, more);
  line_.clear();
  Trim(line_);
  return taken;
}

// `more`: other bytes arrived together with this line.
void ServerSession::Execute(std::string_view line, bool more) {
  const Command command = ParseCommand(line);
  command_ = &command;
  const auto executed = absl::MakeCleanup([this] { command_ = nullptr; });
  if (command.verb == Verb::kNotSmtp) {
    MARK("not SMTP");
    CloseWith(replies::kNotSmtp);
    return;
  }
  switch (command.fault) {
    case LineFault::kNone:
      ExecuteVerb(command, more);
      break;
    case LineFault::kBareNewline:
      MARK("bare newline ends a command");
      CloseWith(replies::kBareNewline);
      break;
    case LineFault::kTooLong:
      Answer(replies::kLineTooLong);
      break;
    case LineFault::kControlByte:
      Answer(replies::kControlByte);
      break;
  }
  if (more && hello_ == Hello::kPlain && !wants_close()) {
    MARK("pipelining without EHLO");
    if (awaiting_rcpt()) {
      last_word_ = &replies::kNotInSync;
    } else {
      CloseWith(replies::kNotInSync);
    }
  }
}

void ServerSession::ExecuteVerb(const Command& command, bool more) {
  switch (command.verb) {
    case Verb::kEhlo:
    case Verb::kHelo:
      SayHello(command);
      return;
    case Verb::kMail:
      Mail(command);
      return;
    case Verb::kRcpt:
      Rcpt(command);
      return;
    case Verb::kData:
      Data(command, more);
      return;
    case Verb::kStartTls:
      StartTls(command, more);
      return;
    case Verb::kEtrn:
      Etrn(command);
      return;
    case Verb::kXclient:
      Xclient(command, more);
      return;
    case Verb::kRset:
    case Verb::kNoop:
    case Verb::kVrfy:
    case Verb::kHelp:
      Junk(command);
      return;
    case Verb::kQuit:
      Quit(command);
      return;
    case Verb::kBdat:
      MARK("BDAT");
      CloseWith(replies::kNotImplemented);
      return;
    case Verb::kNotImplemented:
      Answer(replies::kNotImplemented);
      return;
    case Verb::kNotSmtp:
    case Verb::kUnknown:
      Answer(command.eight_bit ? replies::kEightBit : replies::kUnknownCommand);
      return;
  }
  UNREACHABLE();
}

void ServerSession::SayHello(const Command& command) {
  if (!CountJunk()) {
    return;
  }
  if (!IsHostWord(command.argument)) {
    Answer(command.eight_bit ? replies::kEightBit : replies::kHelloSyntax);
    return;
  }
  ResetTransaction();  // RFC 5321 s4.1.4: "as if a RSET command had been issued"
  helo_.assign(command.argument);
  if (command.verb == Verb::kEhlo) {
    hello_ = Hello::kExtended;
    const Intake::Rights rights = intake_->ClientRights();
    AppendEhloReply(params_.hostname,
                    {.message_bytes_max = params_.message_bytes_max,
                     .recipients_max = params_.recipients_max,
                     .starttls = params_.starttls && !secure_,
                     .etrn = rights.etrn,
                     .xclient = rights.xclient},
                    output_);
  } else {
    hello_ = Hello::kPlain;
    Answer(Reply{250, "", params_.hostname});
  }
}

void ServerSession::Mail(const Command& command) {
  if (hello_ == Hello::kNone) {
    Answer(replies::kSayHelloFirst);
    return;
  }
  if (phase_ == Phase::kEnvelope) {
    Answer(replies::kNestedMail);
    return;
  }
  std::string_view argument = command.argument;
  if (!TakeKeyword("FROM:", argument)) {
    Answer(command.eight_bit ? replies::kEightBit : replies::kMailSyntax);
    return;
  }
  // Whether it may be UTF-8 is said behind it.
  const Path path = ParseReversePath(argument);
  if (const PathError error = ErrorOf(path, /*utf8=*/true); error != PathError::kNone) {
    Answer(RefusalOf(error, replies::kBadSender));
    return;
  }
  MailParams params;
  const ParameterFault fault = ParseMailParams(path.rest, params_.message_bytes_max, params);
  if (fault != ParameterFault::kNone) {
    Answer(RefusalOf(fault));
    return;
  }
  if (const PathError error = ErrorOf(path, params.smtputf8); error != PathError::kNone) {
    Answer(RefusalOf(error, replies::kBadSender));
    return;
  }
  const Reply reply = intake_->OnMail(path.address, params);
  if (reply.positive()) {
    phase_ = Phase::kEnvelope;
    smtputf8_ = params.smtputf8;
    staged_ = true;
  }
  Answer(reply);
}

void ServerSession::Rcpt(const Command& command) {
  if (phase_ != Phase::kEnvelope) {
    Answer(replies::kMailFirst);
    return;
  }
  std::string_view argument = command.argument;
  if (!TakeKeyword("TO:", argument)) {
    Answer(command.eight_bit ? replies::kEightBit : replies::kRcptSyntax);
    return;
  }
  const Path path = ParseForwardPath(argument);
  if (const PathError error = ErrorOf(path, smtputf8_); error != PathError::kNone) {
    Answer(RefusalOf(error, replies::kBadRecipient));
    return;
  }
  RcptParams params;
  const ParameterFault fault = ParseRcptParams(path.rest, smtputf8_, params);
  if (fault != ParameterFault::kNone) {
    Answer(RefusalOf(fault));
    return;
  }
  if (recipients_ >= params_.recipients_max) {
    Answer(replies::kTooManyRecipients);
    if (++excess_recipients_ > kExcessRecipientsMax) {
      MARK("recipients far beyond the limit");
      CountError(kErrorsMax);
    }
    return;
  }
  const std::optional<Reply> reply = intake_->OnRcpt(path.address, params);
  if (reply.has_value()) {
    AnswerRcpt(*reply);
  } else {
    phase_ = Phase::kAwaitingRcpt;
  }
}

void ServerSession::Data(const Command& command, bool more) {
  if (more) {
    // RFC 2920 s3.1: DATA ends a group. What stands behind it was sent by somebody who does not
    // know whether it will be read as content or as commands, so it is read as neither.
    MARK("text waiting behind DATA");
    CloseWith(replies::kNotInSync);
    return;
  }
  if (!command.argument.empty()) {
    Answer(replies::kNoArgument);
    return;
  }
  if (phase_ != Phase::kEnvelope) {
    Answer(replies::kMailFirst);
    return;
  }
  if (recipients_ == 0) {
    Answer(replies::kNoRecipients);
    return;
  }
  const Reply reply = intake_->OnData();
  if (!reply.positive()) {
    Tell(reply);
    ResetTransaction();
    Say(reply);
    return;
  }
  phase_ = Phase::kContent;
  content_bytes_ = 0;
  hops_.Start();
  reader_.Start(params_.normalize_line_endings ? DataReader::Mode::kNormalize
                                               : DataReader::Mode::kReject);
  Answer(replies::kStartData);
}

void ServerSession::Quit(const Command& command) {
  if (!command.argument.empty()) {
    Answer(replies::kNoArgument);
    return;
  }
  CloseWith(replies::kBye);
}

// ---- ends ----

// The one way out of a transaction, whatever ended it.
void ServerSession::ResetTransaction() {
  DropStaged();
  phase_ = Phase::kIdle;
  recipients_ = 0;
  excess_recipients_ = 0;
}

void ServerSession::DropStaged() {
  if (staged_) {
    staged_ = false;
    intake_->OnReset();
  }
}

void ServerSession::Answer(const Reply& reply) {
  Tell(reply);
  Say(reply);
}

void ServerSession::Tell(const Reply& reply) {
  if (!reply.positive()) {
    intake_->OnRefused(command_, reply);
  }
}

void ServerSession::Say(const Reply& reply) {
  AppendReply(reply, output_);
  if (EndsConnection(reply)) {
    ResetTransaction();
    phase_ = Phase::kClosing;
  } else if (reply.permanent()) {
    const bool is_strict = params_.under_stress && !IsForgivable(reply);
    CountError(is_strict ? kErrorsMaxUnderStress : kErrorsMax);
  }
}

bool ServerSession::CountJunk() {
  if (++junk_ > (params_.under_stress ? kJunkMaxUnderStress : kJunkMax)) {
    MARK("too much junk");
    CloseWith(replies::kTooManyJunk);
    return false;
  }
  return true;
}

void ServerSession::CountError(uint32_t most) {
  if (++errors_ >= most) {
    MARK("too many errors");
    CloseWith(replies::kTooManyErrors);
  } else if (errors_ > kErrorsFree) {
    paused_ = true;
  }
}

void ServerSession::CloseWith(const Reply& reply) {
  Tell(reply);
  EndWith(reply);
}

void ServerSession::EndWith(const Reply& reply) {
  AppendReply(reply, output_);
  ResetTransaction();
  phase_ = Phase::kClosing;
}

void ServerSession::CloseLater(const Reply& reply) {
  if (awaiting_finish() || awaiting_rcpt()) {
    last_word_ = &reply;
  } else if (phase_ == Phase::kSwallowing && reader_.fault() != DataReader::Fault::kNone) {
    // With bare newlines alone its end never comes. Who is told 421 sends the same again for days.
    MARK("malformed data without an end");
    EndWith(*verdict_);
  } else if (!wants_close()) {
    EndWith(reply);  // nothing of the client's was refused
  }
}

}  // namespace backstay
