// core/shard/inbound_log.cc -- what a connection says to the log of messages.
#include <string>

#include "core/shard/inbound.h"

namespace backstay {
namespace {

constexpr std::string_view kUnknownRecipient = "5.1.1";

// Of "TO:<a@b> NOTIFY=NEVER": a@b. What is no path is shown as it is.
std::string_view AddressOf(std::string_view argument) {
  const size_t begin = argument.find('<');
  const size_t end = argument.rfind('>');
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) {
    return argument;
  }
  return argument.substr(begin + 1, end - begin - 1);
}

}  // namespace

std::string_view InboundConnection::TlsProtocol() const {
  return stream_.tls() != nullptr ? stream_.tls()->protocol() : std::string_view();
}

void InboundConnection::OnRefused(const Command* command, const Reply& reply) {
  if (command != nullptr && command->verb == Verb::kRcpt && reply.enhanced == kUnknownRecipient) {
    Charge(Offence::kUnknownRecipient);
  }
  Log(EventKind::kRejected,
      command != nullptr ? NameOf(command->verb)
      : greeting_sent_   ? "END-OF-MESSAGE"
                         : "CONNECT",
      reply, command);
}

// `command`: the one that `reply` refuses.
void InboundConnection::Log(EventKind kind, std::string_view name, const Reply& reply,
                            const Command* command) {
  EventLog& log = parts_.home.Log();
  if (!log.is_on()) {
    return;
  }
  Event event;
  const std::string address = client_.AddressString();
  event.kind = kind;
  event.connection = number_;
  event.client = address;
  if (kind == EventKind::kTurnedAway || kind == EventKind::kRejected) {
    event.helo = conversation_->session.helo();
    event.protocol = ProtocolName(conversation_->session.extended(),
                                  conversation_->session.secure(), /*smtputf8=*/false);
    event.tls = TlsProtocol();
    event.command = name;
    event.reply = reply;
  }
  if (conversation_ != nullptr && conversation_->transaction != nullptr) {
    event.sender = conversation_->transaction->reverse_path();
  }
  if (command != nullptr && command->verb == Verb::kMail) {
    event.sender = AddressOf(command->argument);
  } else if (command != nullptr && command->verb == Verb::kRcpt) {
    event.recipient = AddressOf(command->argument);
  }
  log.Add(event);
}

}  // namespace backstay
