// core/smtp/trace_fields.h -- the Received: field we add, and the count of those that are there.
//
// Owns: nothing; HopCounter has a few bytes of state and survives a cut at any place.
// See:  RFC 5321 s4.4 (form), s6.3 (loops); RFC 5322 s2.2.3 (folding), s3.3 (date).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/units.h"

namespace backstay {

// What a Received field says.
struct Trace {
  std::string_view helo;                    // as given; cleaned here
  std::string_view client_name;             // confirmed PTR; empty: unknown
  std::string_view client_address_literal;  // SocketAddress::AddressLiteral: "IPv6:2001:db8::1"
  std::string_view hostname;                // ours
  bool extended = false;                    // greeted with EHLO
  bool secure = false;                      // came over TLS
  bool smtputf8 = false;                    // asked for at MAIL
  std::string_view queue_id;
  std::string_view recipient;  // empty: more than one, which must not see each other
  WallTime time;
};

// The word behind "with": RFC 3848, RFC 6531 s4.3.
std::string_view ProtocolName(bool extended, bool secure, bool smtputf8);

// RFC 5322 s3.3, in UTC.
void AppendDate(WallTime time, std::string& output);

// Appends the field, folded, with its last CRLF. No line is longer than 998 bytes, and nothing in
// `trace` can end the field or a comment in it.
void AppendReceived(const Trace& trace, std::string& output);

// Received fields of the header section: how many, and how many of them were written by us.
class HopCounter {
 public:
  // RFC 5321 s6.3 asks for a limit of at least 100. Our own name once is a second visit in good
  // faith (a primary that sends a mailbox on); twice is a loop.
  static constexpr uint32_t kReceivedMax = 100;
  static constexpr uint32_t kOwnMax = 2;

  void Start();
  // Decoded content in order, in pieces of any size. Does not look behind the header section.
  void Consume(Bytes content, std::string_view hostname);

  uint32_t received() const { return received_; }
  uint32_t own() const { return own_; }
  bool looping() const { return received_ >= kReceivedMax || own_ >= kOwnMax; }

 private:
  enum class State : uint8_t {
    kLineStart,
    kName,   // of a field that may be Received
    kValue,  // of a Received field, up to its first by clause
    kSkip,   // the rest of a line that does not matter
    kBody    // behind the header section
  };
  // What the next word of a Received field is.
  enum class Value : uint8_t {
    kKeyword,   // or anything else
    kFromHost,  // what the client called itself, which may be "by"
    kByHost
  };

  size_t StartLine(uint8_t first);
  void StepName(uint8_t byte);
  size_t StepValue(Bytes bytes, std::string_view hostname);
  void StepValueByte(char c, std::string_view hostname);
  void EndWord(std::string_view hostname);

  uint32_t received_ = 0;
  uint32_t own_ = 0;
  State state_ = State::kBody;
  Value value_ = Value::kKeyword;
  bool in_value_ = false;      // a folded line continues the value
  uint8_t name_bytes_ = 0;     // matched of "received"
  uint8_t comment_depth_ = 0;  // saturates
  uint16_t host_bytes_ = 0;    // matched of the hostname; kNoMatch
  uint32_t word_ = 0;          // packed as far as seen; 0: between words
};

}  // namespace backstay
