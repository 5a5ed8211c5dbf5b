// core/smtp/outcome.h -- how an attempt ended for one recipient, as a value.
#pragma once

#include <cstdint>
#include <string>

namespace backstay {

struct Outcome {
  enum class Kind : uint8_t { kDelivered, kDeferred, kFailed };
  enum class Phase : uint8_t { kConnect, kGreeting, kEhlo, kMail, kRcpt, kData, kEndOfData };
  Kind kind = Kind::kDeferred;
  Phase phase = Phase::kConnect;
  int code = 0;          // of the reply; 0 when there was none (connection lost)
  std::string enhanced;  // "5.1.1"; empty when the reply had none or it contradicts the code
  std::string text;      // cleaned: printable, one line, at most 400 bytes
  // The peer's verdict on this recipient or this message, not on the connection: it is to be tried
  // again by its schedule, not at once. Also set where the peer dislikes how we speak (504 at MAIL
  // or RCPT: kDeferred, and at once it would say the same), and where it answered the message's
  // DATA or end of data with nonsense: it may have stored it, and asking again at once would store
  // it again and again.
  bool own = false;
};

}  // namespace backstay
