// tests/sim/message.h -- a mail message of a simulated client, and how it is drawn.
//
// A recipient address is used by one message only, so that what a primary gets can be traced. Its
// local part says what a primary answers, see Fate.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/random.h"

namespace backstay {

struct Message {
  std::string reverse_path;  // without brackets; empty: <>
  std::vector<std::string> recipients;
  std::string content;  // ends with CRLF, or is empty
};

// What every simulated primary decides by name, so that the ledger knows it too.
enum class Fate : uint8_t {
  kTaken,    // 250, sooner or later
  kUnknown,  // local part "gone...": 550 at RCPT, always
  kForeign,  // domain we do not back up: the daemon refuses it
};
Fate FateOf(std::string_view recipient);
// What its sender wants to be told, for NOTIFY; empty: he does not say. Local parts that hold
// "asks": successes and failures; "only": successes; "never": nothing.
std::string_view NotifyOf(std::string_view recipient);
bool WantsSuccess(std::string_view recipient);
bool WantsFailure(std::string_view recipient);
// Reverse-paths "spam...": 554 at the end of data, always.
bool IsRefusedSender(std::string_view reverse_path);

struct MessageShape {
  uint64_t content_bytes_max = 16 * 1024;
  size_t recipients_max = 3;
  std::vector<std::string> domains;
  std::vector<std::string> sender_domains = {"sender.example"};  // taken in turn
  bool hostile_bytes = true;  // control bytes and bytes above 127 (never CR, LF alone or NUL)
};

// `number` is the message's own; it stands in every recipient and in the content.
Message DrawMessage(Random& random, const MessageShape& shape, uint64_t number);

// As it goes over the wire after 354: dots stuffed, with the end of data.
std::string ToWire(std::string_view content);

}  // namespace backstay
