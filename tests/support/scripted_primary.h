// tests/support/scripted_primary.h -- a primary that does what a test says; own SMTP code, on any
// Io.
//
// Independent of the product's session on purpose: a shared bug would hide on both sides.
// Owns:  its listener and connections. Turn: the world calls Turn().
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/io.h"
#include "io/stream.h"
#include "io/tls/context.h"
#include "io/tls/session.h"

namespace backstay {

struct ReceivedMail {
  std::string reverse_path;
  std::vector<std::string> recipients;
  std::string content;  // dots unstuffed
  bool secure = false;  // came by TLS
};

class ScriptedPrimary {
 public:
  ScriptedPrimary(Io& io, const SocketAddress& address);
  ~ScriptedPrimary();

  // Starts or stops listening; stopping cuts every connection.
  void Up();
  void Down();
  // "RCPT 550 5.1.1 text" for the recipient `only` (empty: all); command "MAIL", "RCPT", "DATA",
  // "EOD", "EHLO", "BANNER", "XCLIENT", "XFORWARD", "STARTTLS", and "EHLO-AGAIN" for the one behind
  // XCLIENT, "EHLO-SECURE" for the one inside TLS.
  // ClearReplies() removes every rule.
  void SetReply(const std::string& command, const std::string& reply, const std::string& only);
  void ClearReplies() { rules_.clear(); }
  // From now on STARTTLS is offered, with a server's context; null: not any more.
  void OfferTls(const TlsContext* context) { tls_ = context; }
  // To a handshake it says this; empty: it is silent. Nothing: its part.
  void BreakHandshakes(std::optional<std::string> saying) { broken_saying_ = std::move(saying); }
  // Each of its replies in clear text comes so late; zero: at once.
  void SetPace(absl::Duration pace) { pace_ = pace; }
  void Turn();

  const std::vector<ReceivedMail>& mails() const { return mails_; }
  // Command lines of all connections, in order.
  const std::vector<std::string>& heard() const { return heard_; }
  size_t connections_total() const { return connections_total_; }

 private:
  class Connection;
  struct Rule {
    std::string command;
    std::string reply;
    std::string only;
  };
  void Arm();
  void OnAccept(const IoResult& result);
  // The rule's reply, or `otherwise`.
  std::string ReplyTo(const std::string& command, const std::string& argument,
                      const std::string& otherwise) const;

  Io& io_;
  Outbox outbox_;
  const SocketAddress address_;
  Fd listener_;
  bool up_ = false;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Rule> rules_;
  const TlsContext* tls_ = nullptr;
  const TicketKeys ticket_keys_{NewTicketSecret(), Instant()};
  List<PendingHandshake> handshakes_;
  std::optional<std::string> broken_saying_;
  std::vector<ReceivedMail> mails_;
  std::vector<std::string> heard_;
  size_t connections_total_ = 0;
  absl::Duration pace_;
  Completion<&ScriptedPrimary::OnAccept> accept_{this};
};

}  // namespace backstay
