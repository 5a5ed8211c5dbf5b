// core/smtp/envelope.h -- reverse-path, recipients with DSN parameters, and their byte encoding.
//
// The encoding is what the spool keeps beside the content (opaque to it). It is versioned by its
// first byte and decodes to exactly what was encoded, or not at all.
// Errors: Decode gives nothing for bytes that Encode cannot have made.
// See:    RFC 5321 s4.1.2 (paths), RFC 3461 (NOTIFY, RET, ENVID, ORCPT), RFC 6531 (SMTPUTF8).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"

namespace backstay {

enum class BodyType : uint8_t { k7Bit, k8BitMime };
enum class ReturnContent : uint8_t { kUnspecified, kFull, kHeaders };  // RET=

// NOTIFY= as bits; no bit set: not given.
struct Notify {
  static constexpr uint8_t kNever = 1;
  static constexpr uint8_t kSuccess = 2;
  static constexpr uint8_t kFailure = 4;
  static constexpr uint8_t kDelay = 8;
};

struct Recipient {
  std::string address;  // as given, without brackets and source route: re-emitted byte for byte
  std::string original_recipient;  // ORCPT value as given ("rfc822;..."), empty: none
  uint8_t notify = 0;

  // The part behind the last @ in lower case, without a trailing dot; empty for "Postmaster".
  std::string Domain() const;
};

// Filled for each message anew: AddRecipient() after Clear() takes the strings of earlier
// recipients, so that a connection in steady state does not allocate.
struct Envelope {
  std::string reverse_path;  // without brackets; empty: the null reverse-path <>
  std::vector<Recipient> recipients;
  BodyType body = BodyType::k7Bit;
  bool smtputf8 = false;
  ReturnContent return_content = ReturnContent::kUnspecified;
  std::string envelope_id;  // ENVID as given (xtext)
  // The client, for XCLIENT, XFORWARD and DSNs.
  std::string client_address;  // SocketAddress::AddressString
  std::string client_helo;
  std::string client_name;       // by DNS, if that is known
  uint16_t client_port = 0;      // 0: not known
  bool client_extended = false;  // greeted with EHLO
  int64_t arrival_wall_nanoseconds = 0;

  std::vector<Recipient> spare_recipients;  // empty ones with capacity; no part of the value

  // Keeps the capacity of strings and vectors.
  void Clear();
  // Appends an empty recipient. As recipients.emplace_back(), but with a used one's capacity.
  Recipient& AddRecipient();
};

// Appends the encoding to `output`. No string may be longer than 65,535 bytes (ASSERT): a command
// line is shorter.
void EncodeEnvelope(const Envelope& envelope, std::string& output);
std::optional<Envelope> DecodeEnvelope(Bytes bytes);

}  // namespace backstay
