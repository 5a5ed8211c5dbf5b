// core/smtp/server_session_side.cc -- commands beside the transaction: TLS, the client, the queue.
#include <optional>

#include "core/base/mark.h"
#include "core/base/utf8.h"
#include "core/smtp/address.h"
#include "core/smtp/ascii.h"
#include "core/smtp/server_session.h"

namespace backstay {
namespace {

// The same whoever is asked for (row 51). RFC 6531 s3.7.4.2: what is not ASCII is announced behind
// it.
const Reply& VerdictOnVrfy(const Command& command) {
  if (command.argument.empty()) {
    return replies::kArgumentNeeded;
  }
  if (!command.eight_bit) {
    return replies::kCannotVerify;
  }
  if (!IsUtf8(command.argument)) {
    return replies::kEightBit;
  }
  const std::string_view last = command.argument.substr(command.argument.find_last_of(" \t") + 1);
  return EqualsIgnoringCase(last, "SMTPUTF8") ? replies::kCannotVerify : replies::kAddressNotAscii;
}

}  // namespace

void ServerSession::StartTls(const Command& command, bool more) {
  if (!params_.starttls) {
    Answer(replies::kNotImplemented);
    return;
  }
  if (more) {
    // Commands that whoever sits between us and the client puts there would be read as said inside
    // TLS, and behind an authentication of the client as the client's own (CVE-2011-0411).
    MARK("text waiting behind STARTTLS");
    CloseWith(replies::kNotInSync);
    return;
  }
  if (!command.argument.empty()) {
    Answer(replies::kNoArgument);
  } else if (secure_) {
    Answer(replies::kTlsIsActive);
  } else if (hello_ != Hello::kExtended) {
    Answer(replies::kSayEhloFirst);
  } else if (phase_ != Phase::kIdle) {
    Answer(replies::kInTransaction);
  } else if (const Reply verdict = intake_->OnStartTls(); !verdict.positive()) {
    CloseWith(verdict);
  } else {
    Answer(verdict);
    phase_ = Phase::kStartingTls;
  }
}

// Whoever may not use it does not learn that it is there.
void ServerSession::Etrn(const Command& command) {
  if (!intake_->ClientRights().etrn) {
    Answer(replies::kNotImplemented);
    return;
  }
  if (!CountJunk()) {
    return;
  }
  // RFC 1985 s5.3: '@' asks for the subdomains too, '#' for a queue by another name.
  const bool subdomains = command.argument.starts_with('@');
  const std::string_view domain = command.argument.substr(subdomains ? 1 : 0);
  if (hello_ == Hello::kNone) {
    Answer(replies::kSayHelloFirst);
  } else if (phase_ != Phase::kIdle) {
    Answer(replies::kInTransaction);
  } else if (domain.starts_with('#')) {
    Answer(replies::kCannotQueue);
  } else if (!IsDomainName(domain)) {
    Answer(command.eight_bit ? replies::kEightBit : replies::kEtrnSyntax);
  } else {
    Answer(intake_->OnEtrn(domain, subdomains));
  }
}

void ServerSession::Xclient(const Command& command, bool more) {
  if (!intake_->ClientRights().xclient) {
    Answer(replies::kNotAuthorized);
    return;
  }
  if (!CountJunk()) {
    return;
  }
  if (more) {
    // Its answer is a greeting, and before that nobody talks.
    MARK("text waiting behind XCLIENT");
    CloseWith(replies::kNotInSync);
    return;
  }
  if (phase_ != Phase::kIdle) {
    Answer(replies::kInTransaction);
    return;
  }
  const std::optional<XclientAttributes> attributes = ParseXclient(command.argument);
  if (!attributes.has_value()) {
    Answer(command.eight_bit ? replies::kEightBit : replies::kBadAttribute);
    return;
  }
  const Reply reply = intake_->OnXclient(*attributes);
  if (!reply.positive()) {
    Answer(reply);
    return;
  }
  hello_ = Hello::kNone;
  helo_.clear();
  Greet();
}

void ServerSession::Junk(const Command& command) {
  if (!CountJunk()) {
    return;
  }
  switch (command.verb) {
    case Verb::kRset:
      if (!command.argument.empty()) {
        Answer(replies::kNoArgument);
        return;
      }
      ResetTransaction();
      Answer(replies::kOk);
      return;
    case Verb::kVrfy:
      Answer(VerdictOnVrfy(command));
      return;
    case Verb::kHelp:
      Answer(replies::kHelp);
      return;
    default:
      Answer(replies::kOk);
      return;
  }
}

}  // namespace backstay
