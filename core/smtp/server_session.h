// core/smtp/server_session.h -- receiver-SMTP: bytes in, replies out. No socket, file or clock.
//
// The owner feeds Consume() with what arrives, sends output(), and obeys wants_close(). The session asks
// its Intake for every verdict. One function resets a transaction (DESIGN 7).
//
// Owns:     replies not yet sent, at most one partial command line.
// Outlives: nothing; `params` and `intake` must outlive it.
// Errors:   what a client does wrong is a reply, never a Status; nothing here allocates per message
//           in steady state.
// See:      RFC 5321 (s4.1.4 order of commands), RFC 2920 (pipelining), RFC 1870 (SIZE), RFC 6152,
//           RFC 2034; reliability rows 1-22 and 29-38.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "core/smtp/data_reader.h"
#include "core/smtp/envelope.h"
#include "core/smtp/reply.h"
#include "core/smtp/trace_fields.h"

namespace backstay {

struct MailParams {
  std::optional<uint64_t> size_bytes;
  BodyType body = BodyType::k7Bit;
};

// What a server session asks of its shard. Never calls back into the session.
class Intake {
 public:
  virtual Reply OnMail(std::string_view reverse_path, const MailParams& params) = 0;
  // `address` has no brackets and no source route; it is a syntactically valid Mailbox or "Postmaster".
  virtual Reply OnRcpt(std::string_view address) = 0;
  // Asked once per DATA before 354; anything but a positive reply is sent instead and ends the
  // transaction.
  virtual Reply OnData() = 0;
  virtual void OnContent(Bytes decoded) = 0;
  // The message is complete. Answered later, exactly once, by ServerSession::FinishData.
  virtual void OnEndOfData(bool has_dot_lines) = 0;
  // The transaction is over or abandoned: drop what was staged. Also called while its end of data is
  // already being swallowed (too large, malformed), so that memory is freed at once.
  virtual void OnReset() = 0;

 protected:
  ~Intake() = default;
};

struct ServerParams {
  std::string hostname;
  uint64_t message_bytes_max = 0;
  size_t recipients_max = 0;
  bool normalize_line_endings = false;  // smtp.line_endings
};

class ServerSession {
 public:
  ServerSession(const ServerParams& params, Intake& intake);
  ServerSession(const ServerSession&) = delete;
  ServerSession& operator=(const ServerSession&) = delete;

  void Greet();                      // queues "220 <hostname> ESMTP backstay"
  void GreetWith(const Reply& reply);  // a refusal at connect (421): then wants_close()
  // Returns the bytes taken; fewer than given while an end of data is unanswered or output() has
  // reached its bound (the caller offers the rest again after FinishData / DropOutput).
  size_t Consume(Bytes bytes);
  // Answers the end of data that Intake was told of.
  void FinishData(const Reply& reply);
  void TimedOut();                   // 421 4.4.2, then wants_close()
  void ShutDown();                   // 421 4.3.2, then wants_close()
  // Bytes that arrived before Greet() was sent: early talker (row 18): 554 5.5.0, wants_close().
  void TalkedTooEarly();

  std::string_view output() const;   // replies not yet sent, in order
  void DropOutput(size_t bytes);
  bool wants_close() const;          // send output(), then close
  bool in_transaction() const;       // MAIL accepted, not yet over
  bool in_data() const;              // between 354 and the end of data
  bool awaiting_finish() const;      // end of data told, FinishData owed
  bool extended() const;             // greeted with EHLO
  std::string_view helo() const;     // argument of EHLO/HELO; empty before
};

}  // namespace backstay
