// core/smtp/reply.h -- an SMTP reply: code, enhanced status code, text. Every reply we send stands here.
//
// Owns:  nothing: the text is static, or lives until the call that got the reply returns.
// See:   RFC 5321 s4.2, RFC 3463, RFC 2034.
#pragma once

#include <string>
#include <string_view>

namespace backstay {

struct Reply {
  int code = 250;
  std::string_view enhanced;  // "2.1.0"; empty for greetings, EHLO, 354 and QUIT's kin
  std::string_view text;

  bool positive() const { return code < 400; }
  bool transient() const { return code >= 400 && code < 500; }
  bool permanent() const { return code >= 500; }
};

// Appends "250 2.1.0 text\r\n". The text has no CR, LF or NUL (ASSERT): foreign text does not go into
// our replies.
void AppendReply(const Reply& reply, std::string& output);

namespace replies {

inline constexpr Reply kMailOk{250, "2.1.0", "Ok"};
inline constexpr Reply kRcptOk{250, "2.1.5", "Ok"};
inline constexpr Reply kOk{250, "2.0.0", "Ok"};
inline constexpr Reply kRelayDenied{550, "5.7.1", "Relaying denied"};
inline constexpr Reply kUserUnknown{550, "5.1.1", "User unknown"};
inline constexpr Reply kTryPrimary{451, "4.3.0", "Try the primary mail server"};
inline constexpr Reply kCommitFailed{451, "4.3.0", "Could not store the message, try again later"};
inline constexpr Reply kNoSpace{452, "4.3.1", "Insufficient system storage"};
inline constexpr Reply kOverloaded{452, "4.3.2", "System busy, try again later"};
inline constexpr Reply kIntakeClosed{421, "4.3.2", "Storage is failing, try again later"};
inline constexpr Reply kTooManyConnections{421, "4.7.0", "Too many connections from your address"};
inline constexpr Reply kServerFull{421, "4.3.2", "Too many connections, try again later"};
inline constexpr Reply kShuttingDown{421, "4.3.2", "Service is shutting down"};
inline constexpr Reply kTimedOut{421, "4.4.2", "Timed out waiting for input"};

}  // namespace replies
}  // namespace backstay
