// core/smtp/command.h -- one line -> Command: verb and argument, or why the line is no command.
//
// Owns: nothing; views into the line.
// See:  RFC 5321 s2.3.8 (lines end in CRLF and nothing else does), s4.1.1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace backstay {

// With the CRLF. RFC 5321 s4.5.3.1.4 asks for 512 plus what extensions add; this leaves room for
// all of them and is what a page holds.
inline constexpr size_t kCommandBytesMax = 4096;

enum class Verb : uint8_t {
  kEhlo,
  kHelo,
  kMail,
  kRcpt,
  kData,
  kRset,
  kNoop,
  kQuit,
  kVrfy,
  kHelp,
  kStartTls,
  kEtrn,
  kXclient,
  kBdat,            // not offered; its payload would read as commands
  kNotImplemented,  // known to RFCs, not served
  kNotSmtp,         // HTTP, SSH or a header field: somebody else's payload is played to us
  kUnknown
};

enum class LineFault : uint8_t {
  kNone,
  kBareNewline,  // LF without CR
  kTooLong,
  kControlByte,  // CR or NUL inside
};

struct Command {
  LineFault fault = LineFault::kNone;
  Verb verb = Verb::kUnknown;
  bool eight_bit = false;     // somewhere in the line
  std::string_view argument;  // without blanks around it
};

// `line` is what came up to and with its LF.
Command ParseCommand(std::string_view line);

// As a client writes it; "?" for what is none.
std::string_view NameOf(Verb verb);

// The start of a line that is not SMTP and need not end in a newline ever: a TLS ClientHello.
bool IsTlsHello(char first);

}  // namespace backstay
