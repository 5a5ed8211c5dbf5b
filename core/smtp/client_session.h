// core/smtp/client_session.h -- sender-SMTP: replies in, commands out. No socket, file or clock.
//
// Life:   Consume() replies until phase() is kReady; then any number of transactions
//         (StartTransaction ... kContent: WriteContent*, EndContent ... kReady with outcomes());
//         Quit(). Any failure of the connection or the peer's protocol ends in kFailed with
//         failure() set: the outcomes of a transaction that was open are then all deferred where
//         the peer had not said otherwise.
// Chains: in kFinal the next transaction may begin (Chain): its commands leave behind the end of
//         data, so that both cost one round trip. The phase stays kFinal until the end of data has
//         its reply; the transaction before is then over (outcomes_before()), and the next one is
//         where StartTransaction would have put it. If the connection ends first, the next one was
//         not tried: its outcomes say nothing.
//         What output() has must be taken (DropOutput) before the replies to it are consumed: a
//         reply to a command that has not left is out of place.
//         kHandshake, if TLS is wanted: the owner secures the connection and says so (Secured), or
//         gives it up (ConnectionLost).
// Owns:   commands and content not yet sent; the replies' texts of the current transaction.
// Errors: strict reply parsing with caps (4 KiB a line, 128 lines a reply); everything a primary
//         does wrong is kFailed or an outcome, never a crash (reliability rows 126-146).
// XCLIENT: where it is offered, a session is that of the client whose message it carries; it begins
//         anew when the next message has another client. Postfix offers it once only, as it asks
//         whether the client may that it was told of: then Takes() sends other clients' mail
//         elsewhere. What is said to such a client is said of the message: it is an own outcome,
//         even if the connection ends with it.
// TLS:    one that fails is not followed by clear text on the same connection. What is behind the
//         220 in clear text is nobody's reply: kProtocol.
// See:    RFC 5321 s4.2, s4.5.4.1, RFC 2920 (pipelining), RFC 1870, RFC 2034, RFC 3207.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/smtp/data_writer.h"
#include "core/smtp/envelope.h"
#include "core/smtp/outcome.h"
#include "core/smtp/output_queue.h"
#include "core/smtp/primary_extensions.h"
#include "core/smtp/recipient_ledger.h"
#include "core/smtp/reply_parser.h"

namespace backstay {

class ClientSession {
 public:
  enum class Phase : uint8_t {
    kGreeting,   // waiting for 220
    kEhlo,       // waiting for the reply to EHLO or HELO
    kStartTls,   // waiting for the reply to STARTTLS
    kHandshake,  // 220 is here: the owner's turn
    kReady,      // a transaction may start
    kEnvelope,   // MAIL/RCPT/DATA outstanding
    kContent,    // 354 is here: WriteContent and EndContent are wanted
    kFinal,      // end of data sent, waiting for the last reply
    kQuit,       // QUIT sent, its reply not yet here
    kFailed      // the connection is of no more use; close it
  };
  enum class Failure : uint8_t {
    kNone,                  // also after QUIT and AbortContent: nobody's fault
    kClosedBeforeGreeting,  // peer closed or reset before a complete 220
    kRefusedGreeting,       // 5xx at the banner
    kDeferredGreeting,      // 4xx at the banner
    kRefusedEhlo,           // 5xx at EHLO and HELO
    kDeferredEhlo,          // 4xx
    kConnectionLost,        // later
    kServiceClosing,        // 421
    kProtocol,              // replies that cannot be parsed or do not fit the commands
    kSelf,                  // the greeting names our own hostname: never talk to ourselves
    kTlsNotOffered,         // and it was wanted always
    kTlsRefused,            // 4xx or 5xx to STARTTLS
    kTlsFailed,             // it ended between STARTTLS and the reply to the EHLO inside TLS
    kNotAdmitted            // 530 or 538: TLS or a login is wanted before any mail
  };
  enum class Tls : uint8_t {
    kNever,
    kIfOffered,
    kAlways  // or there is no session
  };

  explicit ClientSession(std::string_view hostname);  // for EHLO and for kSelf; copied
  ClientSession(const ClientSession&) = delete;
  ClientSession& operator=(const ClientSession&) = delete;

  // Before anything is consumed; else it is kNever.
  void WantTls(Tls tls) { tls_ = tls; }
  // Phase kHandshake only. All that the primary said in clear text is forgotten (RFC 3207 s4.2).
  void Secured();
  // One message to recipients `indexes` of `envelope` (indexes into envelope.recipients, not
  // empty). The envelope must live until the transaction is over. `content_bytes` is for SIZE.
  // Phase kReady only. The transaction may be over at once, with phase() kReady and nothing sent:
  // the message is larger than the primary takes (5.3.4), it needs SMTPUTF8 (5.6.7), or an address
  // is no address.
  void StartTransaction(const Envelope& envelope, const std::vector<uint32_t>& indexes,
                        uint64_t content_bytes, bool has_dot_lines);
  // As StartTransaction, in phase kFinal. False: it has to wait for kReady, and nothing was done.
  // The primary does not pipeline or takes no more, the message is another client's, or what its
  // turn would bring needs no question to the primary.
  bool Chain(const Envelope& envelope, const std::vector<uint32_t>& indexes, uint64_t content_bytes,
             bool has_dot_lines);
  // As StartTransaction, without a message: the outcomes say who would be taken (kDelivered), and
  // the phase is kReady again behind the last reply to RCPT.
  void StartQuestion(const Envelope& envelope, const std::vector<uint32_t>& indexes);
  // Whether that message may come next; false: it needs another session, this one is another
  // client's for good.
  bool Takes(const Envelope& envelope) const;
  void Consume(Bytes bytes);
  void ConnectionLost();  // closed, reset or timed out
  // Content as stored (CRLF lines, dot-unstuffed), in order, in pieces of any size. Stuffed on the
  // way. Without effect in any other phase than kContent: the peer may have ended it meanwhile.
  void WriteContent(Bytes stored);
  void EndContent();
  // The content could not be read: the connection must be dropped before the end of data (kFailed,
  // every outcome deferred).
  void AbortContent();
  void Quit();  // phase kReady only

  Phase phase() const { return phase_; }
  Failure failure() const { return failure_; }
  // Whole ones that came so far.
  uint64_t replies() const { return replies_; }
  // The reply that caused failure(), or the last one at all; cleaned like Outcome::text.
  int last_code() const { return last_code_; }
  std::string_view last_text() const { return last_text_; }
  // Parallel to the `indexes` of the last transaction; complete when phase() is kReady or kFailed.
  const std::vector<Outcome>& outcomes() const { return ledger_.outcomes(); }
  // The same of the one that the last one was chained to; complete when phase() is not kFinal.
  const std::vector<Outcome>& outcomes_before() const { return ledger_before_.outcomes(); }
  // The end of data before the last transaction has no reply (yet).
  bool chained() const { return chained_; }
  // Nothing was said to what was chained last (yet).
  bool chain_unanswered() const { return chain_unanswered_; }
  const PrimaryExtensions& extensions() const { return extensions_; }
  bool secure() const { return secure_; }
  // The primary takes no more mail in this session (RFC 9422 MAILMAX).
  bool exhausted() const { return mails_ >= extensions_.mails_max.value_or(UINT64_MAX); }

  std::string_view output() const { return output_.view(); }  // commands and content not yet sent
  void DropOutput(size_t bytes) { output_.Drop(bytes); }

 private:
  // A command that a reply is owed for.
  enum class Step : uint8_t { kReset, kXclient, kHello, kXforward, kMail, kRcpt, kData };
  using Kind = Outcome::Kind;

  void OnReply();
  void OnGreeting(const PrimaryReply& reply);
  void OnEhloReply(const PrimaryReply& reply);
  void OnStartTlsReply(const PrimaryReply& reply);
  void OnEnvelopeReply(const PrimaryReply& reply);
  void OnMailReply(const PrimaryReply& reply);
  void OnRcptReply(const PrimaryReply& reply);
  void OnDataReply(const PrimaryReply& reply);
  void OnEarlyReply(const PrimaryReply& reply);
  void OnFinalReply(const PrimaryReply& reply);

  void OnXclientReply(const PrimaryReply& reply);
  void OnHelloReply(const PrimaryReply& reply);
  void RefusedAsClient();

  void SayHello();
  void Introduced();
  bool MayReceive() const;
  void Begin(const Envelope& envelope, const std::vector<uint32_t>& indexes);
  bool BecomesAnother() const;
  bool TellsOrigin() const;
  std::string OriginOf(const Envelope& envelope) const;
  void SetMessage(uint64_t content_bytes, bool has_dot_lines);
  void Prepare(const Envelope& envelope, const std::vector<uint32_t>& indexes);
  void SendEnvelope();
  bool RefuseUnsent();
  void RefuseAll(std::string_view enhanced, std::string_view text);
  void SendCommands();
  void SendMail();
  void SendRcpt();
  RecipientLedger& LedgerAtHand() { return chained_ ? ledger_before_ : ledger_; }
  void DecideRest(const Outcome& outcome);
  void EndTransaction();
  void Fail(Failure failure, bool by_reply);
  void Ended(Failure failure);

  bool NamesUs(const PrimaryReply& reply) const;
  bool AnswersUnsent() const;
  Outcome::Phase OutcomePhase() const;
  Outcome OutcomeOf(Kind kind, bool own) const;
  Outcome EnvelopeOutcomeOf(const PrimaryReply& reply) const;

  const std::string hostname_;
  Phase phase_ = Phase::kGreeting;
  Failure failure_ = Failure::kNone;
  ReplyParser parser_;
  DataWriter data_writer_;
  PrimaryExtensions extensions_;
  Tls tls_ = Tls::kNever;
  bool secure_ = false;
  bool said_helo_ = false;
  uint64_t replies_ = 0;
  uint64_t mails_ = 0;         // MAIL commands of this session
  bool reset_needed_ = false;  // the peer may still be in the transaction before
  int last_code_ = 0;
  std::string last_text_;
  std::string last_enhanced_;

  const Envelope* envelope_ = nullptr;  // of the current transaction
  std::vector<uint32_t> recipients_;    // indexes into envelope_->recipients
  RecipientLedger ledger_;              // parallel to recipients_
  RecipientLedger ledger_before_;       // of the transaction that it was chained to
  bool chained_ = false;                // commands of the current one stand behind an end of data
  bool chain_unanswered_ = false;
  uint64_t content_bytes_ = 0;
  bool has_dot_lines_ = false;
  bool asks_only_ = false;
  bool reply_was_begun_ = false;  // before the transaction began, or before its end of data
  std::string origin_;            // the XCLIENT command that the session is under; empty: none
  std::string wanted_origin_;     // of the current transaction
  bool xclient_again_ = true;     // offered by the last EHLO
  bool hello_owed_ = false;       // XCLIENT was taken: the session begins anew
  bool forward_sent_ = false;
  bool mail_sent_ = false;
  bool mail_taken_ = false;
  size_t recipients_sent_ = 0;      // recipients_ before it were sent, or decided without
  size_t recipients_answered_ = 0;  // as above, and their replies are here
  std::vector<Step> steps_;         // commands of the last group, a reply owed from next_step_ on
  size_t next_step_ = 0;

  OutputQueue output_;
};

}  // namespace backstay
