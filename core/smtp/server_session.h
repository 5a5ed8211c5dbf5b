// core/smtp/server_session.h -- receiver-SMTP: bytes in, replies out. No socket, file or clock.
//
// The owner feeds Consume() with what arrives, sends output(), and obeys wants_close(). The session
// asks its Intake for every verdict. One function resets a transaction (DESIGN 7).
//
// XCLIENT: the owner's Intake takes the new client; what was said before is forgotten as well, but
// for TLS.
//
// Rest: between transactions a session has little to remember. Its owner may keep that alone, clear
// the session for another client, and wake one with it when this client speaks again.
//
// STARTTLS: with wants_tls() the owner sends output(), makes the connection secure and calls
// StartedTls(); what was said before is then forgotten.
//
// Owns:     replies not yet sent (at most kOutputBytesMax and one reply more), one partial command
//           line (at most kLineBytesMax).
// Outlives: nothing; `params` and `intake` must outlive it.
// Errors:   what a client does wrong is a reply, never a Status; nothing here allocates per message
//           in steady state.
// See:      RFC 5321 (s4.1.4 order of commands), RFC 2920 (pipelining), RFC 1870 (SIZE), RFC 6152,
//           RFC 2034, RFC 3207 (STARTTLS), RFC 3461, RFC 6531, RFC 1985 (ETRN),
//           XCLIENT_README of Postfix; reliability rows 1-22, 29-38 and 71-73.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/units.h"
#include "core/smtp/command.h"
#include "core/smtp/data_reader.h"
#include "core/smtp/extensions.h"
#include "core/smtp/reply.h"
#include "core/smtp/session_memory.h"
#include "core/smtp/trace_fields.h"
#include "core/smtp/xclient.h"

namespace backstay {

// What a server session asks of its shard. Never calls back into the session.
//
// The calls of one transaction are, in this order:
//   OnMail, answered positively: the transaction is open. (Otherwise nothing follows.)
//   OnRcpt, any number of times; OnData, once, if some OnRcpt was answered positively; OnContent,
//   any number of times;
//   then exactly one of
//     OnEndOfData  the message is complete, and FinishData() ends the transaction. No OnReset
//     follows; OnReset      it will never be complete: RSET, EHLO or HELO, OnData not answered
//     positively,
//                  content refused (too large, malformed, looping: at once, while the rest is still
//                  being read), QUIT, or the session has closed itself (limits, TimedOut,
//                  ShutDown).
// A connection that dies takes its session along without a call: the owner knows what is staged.
// A verdict of 421 or 521 makes the session close after sending it.
class Intake {
 public:
  // What only some clients may do, by their addresses; asked each time it matters.
  struct Rights {
    bool etrn = false;
    bool xclient = false;
  };
  virtual Rights ClientRights() const { return {}; }
  virtual Reply OnMail(std::string_view reverse_path, const MailParams& params) = 0;
  // `address` has no brackets and no source route; it is a syntactically valid Mailbox, or
  // "postmaster" in the case the client chose. The same address may come again and is passed on
  // each time: whoever stores the message delivers it once, and a repeated RCPT is answered like
  // the first.
  // Nothing: answered later, exactly once, by ServerSession::FinishRcpt, unless OnReset comes
  // first.
  virtual std::optional<Reply> OnRcpt(std::string_view address, const RcptParams& params) = 0;
  // Asked once per DATA before 354; anything but a positive reply is sent instead and ends the
  // transaction.
  virtual Reply OnData() = 0;
  virtual void OnContent(Bytes decoded) = 0;
  // The message is complete. Answered later, exactly once, by ServerSession::FinishData.
  virtual void OnEndOfData(bool has_dot_lines) = 0;
  // The transaction is over or abandoned: drop what was staged.
  virtual void OnReset() = 0;
  // Outside of transactions, from clients with the right to it. `domain` may be a parent of several
  // that are meant.
  virtual Reply OnEtrn(std::string_view /*domain*/, bool /*subdomains*/) {
    return replies::kNodeNotAllowed;
  }
  // Positive: the 220; otherwise a 421.
  virtual Reply OnStartTls() { return replies::kReadyForTls; }
  // Positive: from now on the client is the one told, and the session begins anew.
  virtual Reply OnXclient(const XclientAttributes& /*attributes*/) { return replies::kOk; }
  // For the log: `reply`, not positive, is the answer to `command`; null: to the content, or to
  // what came before the greeting. Said before OnReset.
  virtual void OnRefused(const Command* command, const Reply& reply) {
    static_cast<void>(command);
    static_cast<void>(reply);
  }

 protected:
  ~Intake() = default;
};

struct ServerParams {
  std::string hostname;
  uint64_t message_bytes_max = 0;  // 0: no limit
  size_t recipients_max = 0;
  bool normalize_line_endings = false;  // smtp.line_endings
  bool starttls = false;                // offered
  bool under_stress = false;  // others need the place: fewer errors, and less that comes to nothing
};

class ServerSession {
 public:
  // Replies beyond this wait for the peer to read: nothing more is consumed.
  static constexpr size_t kOutputBytesMax = 16_KiB;
  // A line without a newline for so long is not going to be a command.
  static constexpr size_t kLineBytesMax = 8_KiB;
  static_assert(kLineBytesMax > kCommandBytesMax);
  // 5xx replies without a message taken between them.
  static constexpr uint32_t kErrorsMax = 20;
  // Under stress the first one is the last.
  static constexpr uint32_t kErrorsMaxUnderStress = 1;
  // So many cost nothing; each of the next ones a pause.
  static constexpr uint32_t kErrorsFree = 10;
  // EHLO, HELO, NOOP, RSET, VRFY, HELP, ETRN and XCLIENT without a message taken between them.
  static constexpr uint32_t kJunkMax = 100;
  // Two greetings, and some that belong to messages which are put off.
  static constexpr uint32_t kJunkMaxUnderStress = 10;
  // Recipients beyond recipients_max before each further one is an error: a sender that overshoots
  // must get its first recipients_max through, or it would fail the same way for ever.
  static constexpr uint32_t kExcessRecipientsMax = 1000;
  // How much of a refused message is read on to its end, so that the client sees the one final
  // reply and does not come back: twenty times the usual limit.
  static constexpr uint64_t kSwallowedBytesMax = uint64_t{1} << 30;

  ServerSession(const ServerParams& params, Intake& intake);
  ServerSession(const ServerSession&) = delete;
  ServerSession& operator=(const ServerSession&) = delete;

  // Nothing is begun, awaited or unsent: Rest() may write down what is to be remembered.
  bool at_rest() const;
  void Rest(SessionMemory& memory) const;
  // As if just made; what Intake has staged is the owner's to drop. Large buffers are given back.
  void Clear();
  // A cleared session goes on where another one rested.
  void Wake(const SessionMemory& memory, Intake& intake);

  void Greet();                        // queues "220 <hostname> ESMTP backstay"
  void GreetWith(const Reply& reply);  // a refusal at connect (421): then wants_close()
  // Returns the bytes taken; fewer than given while a recipient or an end of data is unanswered or
  // output() has reached its bound (the caller offers the rest again after FinishRcpt / FinishData
  // / DropOutput).
  // Bytes behind DATA, or behind any command of a client that said HELO, in the same call were sent
  // before the reply: the caller should not join what arrived separately.
  size_t Consume(Bytes bytes);
  // Answers the end of data that Intake was told of.
  void FinishData(const Reply& reply);
  // Answers the recipient for which OnRcpt had no reply yet; `address` as it was given there.
  void FinishRcpt(std::string_view address, const Reply& reply);
  // 421 4.4.2 or 421 4.3.2, then wants_close(). While something is awaited that comes first; to
  // data whose framing is broken its refusal is said instead.
  void TimedOut();
  void ShutDown();
  // The connection is secure: as if it had just been greeted (RFC 3207 s4.2), but for the limits.
  void StartedTls();
  // Bytes that arrived before Greet() was sent: early talker (row 18): 554 5.5.0, wants_close().
  void TalkedTooEarly();

  std::string_view output() const { return output_; }  // replies not yet sent, in order
  void DropOutput(size_t bytes);
  bool wants_close() const { return phase_ == Phase::kClosing; }  // send output(), then close
  // 220 was said: the next byte of the client is TLS. Until then nothing may have been sent behind
  // STARTTLS, whoever sent it: 554, wants_close().
  bool wants_tls() const { return phase_ == Phase::kStartingTls; }
  bool secure() const { return secure_; }
  bool in_transaction() const;  // MAIL accepted, not yet over
  bool in_data() const;         // between 354 and the end of data
  // Too many errors: what is said now is to be said a moment later, and then EndPause().
  bool wants_pause() const { return paused_ && !wants_close(); }
  void EndPause() { paused_ = false; }
  bool awaiting_finish() const { return phase_ == Phase::kAwaitingFinish; }  // FinishData owed
  bool awaiting_rcpt() const { return phase_ == Phase::kAwaitingRcpt; }      // FinishRcpt owed
  bool has_partial_line() const { return !line_.empty(); }                   // a command began
  bool extended() const { return hello_ == Hello::kExtended; }               // greeted with EHLO
  std::string_view helo() const { return helo_; }  // argument of EHLO/HELO; empty before

 private:
  enum class Phase : uint8_t {
    kIdle,            // no transaction
    kEnvelope,        // MAIL was accepted
    kAwaitingRcpt,    // Intake asks somebody about a recipient
    kContent,         // behind 354
    kSwallowing,      // behind 354, the message is doomed: verdict_ is its reply
    kAwaitingFinish,  // Intake has it all
    kStartingTls,     // behind the 220 to STARTTLS
    kClosing
  };

  size_t ConsumeLine(Bytes bytes);
  size_t ConsumeContent(Bytes bytes);
  void Execute(std::string_view line, bool more);
  void ExecuteVerb(const Command& command, bool more);
  void SayHello(const Command& command);
  void Mail(const Command& command);
  void Rcpt(const Command& command);
  void Data(const Command& command, bool more);
  void StartTls(const Command& command, bool more);
  void Etrn(const Command& command);
  void Xclient(const Command& command, bool more);
  void Junk(const Command& command);
  bool CountJunk();
  void Quit(const Command& command);
  void AnswerRcpt(const Reply& reply);
  void SayLastWord();
  void OnContent(Bytes content);
  void Doom(const Reply& verdict);
  void EndSwallowing(bool more);

  static void Trim(std::string& text);
  void ResetTransaction();
  void DropStaged();
  void Answer(const Reply& reply);
  void Tell(const Reply& reply);
  void Say(const Reply& reply);
  void CountError(uint32_t most);
  void CloseWith(const Reply& reply);
  void EndWith(const Reply& reply);
  void CloseLater(const Reply& reply);

  const ServerParams& params_;
  Intake* intake_;
  const Command* command_ = nullptr;  // being executed
  const Reply* verdict_ = nullptr;    // of kSwallowing; from the table in reply.h, like the next
  const Reply* last_word_ = nullptr;  // said behind the reply that is awaited
  std::string output_;
  std::string line_;  // begun, its newline not yet seen
  std::string helo_;
  uint64_t content_bytes_ = 0;  // decoded; in kSwallowing: read since
  uint32_t recipients_ = 0;     // accepted
  uint32_t excess_recipients_ = 0;
  HopCounter hops_;
  DataReader reader_;
  Phase phase_ = Phase::kIdle;
  Hello hello_ = Hello::kNone;
  bool secure_ = false;
  bool smtputf8_ = false;  // of the transaction
  bool staged_ = false;    // Intake has something that only OnReset or OnEndOfData ends
  bool paused_ = false;
  uint8_t errors_ = 0;
  uint8_t junk_ = 0;
};

}  // namespace backstay
