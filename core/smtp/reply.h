// core/smtp/reply.h -- an SMTP reply: code, enhanced code, text. Every reply we send is here.
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

// Appends "250 2.1.0 text\r\n". The text has no CR, LF or NUL (ASSERT): foreign text does not go
// into our replies.
void AppendReply(const Reply& reply, std::string& output);

namespace replies {

inline constexpr Reply kMailOk{250, "2.1.0", "Ok"};
inline constexpr Reply kRcptOk{250, "2.1.5", "Ok"};
inline constexpr Reply kOk{250, "2.0.0", "Ok"};
inline constexpr Reply kRelayDenied{550, "5.7.1", "Relay access denied"};
inline constexpr Reply kUserUnknown{550, "5.1.1", "User unknown"};
inline constexpr Reply kRecipientUnsure{451, "4.1.1",
                                        "The recipient cannot be verified now, try again later"};
inline constexpr Reply kTryPrimary{451, "4.3.0", "Try the primary mail server"};
inline constexpr Reply kCommitFailed{451, "4.3.0", "Could not store the message, try again later"};
inline constexpr Reply kNoSpace{452, "4.3.1", "Insufficient system storage"};
inline constexpr Reply kDomainFull{452, "4.2.2",
                                   "Too much mail waits for this domain, try again later"};
inline constexpr Reply kIntakeClosed{421, "4.3.2", "Storage is failing, try again later"};
inline constexpr Reply kNotAuthorized{550, "5.7.0", "Not for this client"};
inline constexpr Reply kQueuingStarted{250, "2.0.0", "Queuing started"};
inline constexpr Reply kNothingQueued{251, "2.0.0", "No messages waiting"};
inline constexpr Reply kCannotQueue{458, "4.3.0", "Unable to queue messages for this node"};
inline constexpr Reply kNodeNotAllowed{459, "4.7.1", "Node not allowed: not one of our domains"};
inline constexpr Reply kNoProxyHeader{421, "4.5.2", "A PROXY header was expected"};
inline constexpr Reply kOverloaded{452, "4.3.2", "System busy, try again later"};
inline constexpr Reply kTooManyConnections{421, "4.7.0", "Too many connections from your address"};
inline constexpr Reply kTooManyUnknown{421, "4.7.0",
                                       "Too many unknown recipients from your address"};
inline constexpr Reply kTooManyBroken{421, "4.7.0",
                                      "Too many unfinished messages from your address"};
inline constexpr Reply kTooManyHandshakes{421, "4.7.0",
                                          "Too many TLS handshakes from your address"};
inline constexpr Reply kServerFull{421, "4.3.2", "Too many connections, try again later"};
inline constexpr Reply kServerBusy{421, "4.3.2", "System busy, try again later"};
inline constexpr Reply kShuttingDown{421, "4.3.2", "Service is shutting down"};
inline constexpr Reply kTimedOut{421, "4.4.2", "Timed out waiting for input"};

// What a server session says by itself.
inline constexpr Reply kStartData{354, "", "End data with <CR><LF>.<CR><LF>"};
inline constexpr Reply kReadyForTls{220, "2.0.0", "Ready to start TLS"};
inline constexpr Reply kBye{221, "2.0.0", "Bye"};
inline constexpr Reply kHelp{214, "2.0.0", "See RFC 5321"};
inline constexpr Reply kCannotVerify{252, "2.5.0", "Cannot verify, send some mail and see"};

inline constexpr Reply kUnknownCommand{500, "5.5.2", "Command not recognized"};
inline constexpr Reply kLineTooLong{500, "5.5.2", "Line too long"};
inline constexpr Reply kControlByte{500, "5.5.2", "CR or NUL inside a command"};
inline constexpr Reply kEightBit{501, "5.5.2", "8-bit data in a command"};
inline constexpr Reply kNotImplemented{502, "5.5.1", "Command not implemented"};
inline constexpr Reply kHelloSyntax{501, "5.5.4", "Syntax: EHLO hostname"};
inline constexpr Reply kMailSyntax{501, "5.5.4", "Syntax: MAIL FROM:<address>"};
inline constexpr Reply kRcptSyntax{501, "5.5.4", "Syntax: RCPT TO:<address>"};
inline constexpr Reply kEtrnSyntax{501, "5.5.4", "Syntax: ETRN domain"};
inline constexpr Reply kBadAttribute{501, "5.5.4", "Bad or repeated attribute"};
inline constexpr Reply kNoArgument{501, "5.5.4", "This command takes no argument"};
inline constexpr Reply kArgumentNeeded{501, "5.5.4", "This command needs an argument"};
inline constexpr Reply kBadParameter{501, "5.5.4", "Bad or repeated parameter"};
inline constexpr Reply kUnknownParameter{555, "5.5.4", "Parameter not recognized"};
inline constexpr Reply kSayHelloFirst{503, "5.5.1", "Send EHLO or HELO first"};
inline constexpr Reply kTlsIsActive{503, "5.5.1", "TLS is active already"};
inline constexpr Reply kSayEhloFirst{503, "5.5.1", "Send EHLO first"};
inline constexpr Reply kInTransaction{503, "5.5.1", "Not inside a mail transaction"};
inline constexpr Reply kNestedMail{503, "5.5.1", "Nested MAIL command"};
inline constexpr Reply kMailFirst{503, "5.5.1", "Need MAIL command"};
inline constexpr Reply kNoRecipients{554, "5.5.1", "No valid recipients"};
inline constexpr Reply kTooManyRecipients{452, "4.5.3", "Too many recipients"};
inline constexpr Reply kBadSender{501, "5.1.7", "Bad sender address syntax"};
inline constexpr Reply kBadRecipient{501, "5.1.3", "Bad recipient address syntax"};
inline constexpr Reply kAddressNotAscii{553, "5.6.7", "Address needs SMTPUTF8"};

inline constexpr Reply kMessageTooBig{552, "5.3.4", "Message exceeds the size limit"};
inline constexpr Reply kNulInData{550, "5.6.0", "NUL in message data"};
inline constexpr Reply kMailLoop{554, "5.4.6", "Mail loop: too many Received fields"};

// After these the connection is closed.
inline constexpr Reply kNotInSync{554, "5.5.0", "SMTP protocol synchronization"};
inline constexpr Reply kNotSmtp{554, "5.5.0", "This is an SMTP server"};
inline constexpr Reply kBareNewline{521, "5.5.2", "Bare CR or LF, see RFC 5321 section 2.3.8"};
inline constexpr Reply kTooManyErrors{421, "4.7.0", "Too many errors"};
inline constexpr Reply kTooManyJunk{421, "4.7.0", "Too many commands without a message"};

}  // namespace replies
}  // namespace backstay
