// core/smtp/client_session.h -- sender-SMTP: replies in, commands out. No socket, file or clock.
//
// Life:  Start() at connect; Consume() replies until phase() is kReady; then any number of
//        transactions (StartTransaction ... kContent: WriteContent*, EndContent ... kReady with
//        outcomes()); Quit(). Any failure of the connection or the peer's protocol ends in kFailed
//        with failure() set: the outcomes of a transaction that was open are then all deferred
//        where the peer had not said otherwise.
// Owns:  commands and content not yet sent; the replies' texts of the current transaction.
// Errors: strict reply parsing with caps (4 KiB a line, 128 lines a reply); everything a primary
//         does
//        wrong is kFailed or an outcome, never a crash (reliability rows 126-146).
// See:   RFC 5321 s4.2, s4.5.4.1, RFC 2920 (pipelining), RFC 1870, RFC 2034.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/smtp/data_writer.h"
#include "core/smtp/envelope.h"
#include "core/smtp/reply_parser.h"

namespace backstay {

// How an attempt ended for one recipient.
struct Outcome {
  enum class Kind : uint8_t { kDelivered, kDeferred, kFailed };
  enum class Phase : uint8_t { kConnect, kGreeting, kEhlo, kMail, kRcpt, kData, kEndOfData };
  Kind kind = Kind::kDeferred;
  Phase phase = Phase::kConnect;
  int code = 0;          // of the reply; 0 when there was none (connection lost)
  std::string enhanced;  // "5.1.1"; empty when the reply had none or it contradicts the code
  std::string text;      // cleaned: printable, one line, at most 400 bytes
  // the peer's verdict on this recipient or this message, not on the connection
  bool own = false;
};

class ClientSession {
 public:
  enum class Phase : uint8_t {
    kGreeting,  // waiting for 220
    kEhlo,      // waiting for the reply to EHLO or HELO
    kReady,     // a transaction may start
    kEnvelope,  // MAIL/RCPT/DATA outstanding
    kContent,   // 354 is here: WriteContent and EndContent are wanted
    kFinal,     // end of data sent, waiting for the last reply
    kQuit,      // QUIT sent
    kFailed     // the connection is of no more use; close it
  };
  enum class Failure : uint8_t {
    kNone,
    kClosedBeforeGreeting,  // peer closed or reset before a complete 220
    kRefusedGreeting,       // 5xx at the banner
    kDeferredGreeting,      // 4xx at the banner
    kRefusedEhlo,           // 5xx at EHLO and HELO
    kDeferredEhlo,          // 4xx
    kConnectionLost,        // later
    kServiceClosing,        // 421
    kProtocol,              // replies that cannot be parsed or do not fit the commands
    kSelf                   // the greeting names our own hostname: never talk to ourselves
  };

  explicit ClientSession(std::string_view hostname);  // for EHLO and for kSelf; copied
  ClientSession(const ClientSession&) = delete;
  ClientSession& operator=(const ClientSession&) = delete;

  // One message to recipients `indexes` of `envelope` (indexes into envelope.recipients). The
  // envelope must live until the transaction is over. `content_bytes` is for SIZE. Phase kReady
  // only.
  void StartTransaction(const Envelope& envelope, const std::vector<uint32_t>& indexes,
                        uint64_t content_bytes, bool has_dot_lines);
  void Consume(Bytes bytes);
  void ConnectionLost();  // closed, reset or timed out
  // Content as stored (CRLF lines, dot-unstuffed), in order, in pieces of any size. Stuffed on the
  // way.
  void WriteContent(Bytes stored);
  void EndContent();
  // The content could not be read: the connection must be dropped before the end of data (kFailed,
  // every outcome deferred).
  void AbortContent();
  void Quit();

  Phase phase() const;
  Failure failure() const;
  // The reply that caused failure(), or the last one at all; cleaned like Outcome::text.
  int last_code() const;
  std::string_view last_text() const;
  // Parallel to the `indexes` of the last transaction; complete when phase() is kReady or kFailed.
  const std::vector<Outcome>& outcomes() const;
  bool supports_pipelining() const;
  std::optional<uint64_t> size_max() const;

  std::string_view output() const;  // commands and content not yet sent
  void DropOutput(size_t bytes);
};

}  // namespace backstay
