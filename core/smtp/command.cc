// core/smtp/command.cc -- splits a command line and names its verb.
#include "core/smtp/command.h"

#include <algorithm>
#include <array>

#include "core/base/check.h"
#include "core/smtp/ascii.h"

namespace backstay {
namespace {

// Four bytes as one number, letters in lower case.
constexpr uint32_t Packed(std::string_view word) {
  uint32_t packed = 0;
  for (size_t i = 0; i < 4; ++i) {
    packed = packed << 8 | static_cast<uint8_t>(ToLower(word[i]));
  }
  return packed;
}

Verb VerbOfFour(std::string_view word) {
  switch (Packed(word)) {
    case Packed("ehlo"):
      return Verb::kEhlo;
    case Packed("helo"):
      return Verb::kHelo;
    case Packed("mail"):
      return Verb::kMail;
    case Packed("rcpt"):
      return Verb::kRcpt;
    case Packed("data"):
      return Verb::kData;
    case Packed("rset"):
      return Verb::kRset;
    case Packed("noop"):
      return Verb::kNoop;
    case Packed("quit"):
      return Verb::kQuit;
    case Packed("vrfy"):
      return Verb::kVrfy;
    case Packed("help"):
      return Verb::kHelp;
    case Packed("bdat"):
      return Verb::kBdat;
    case Packed("etrn"):
      return Verb::kEtrn;
    case Packed("expn"):
    case Packed("auth"):
    case Packed("turn"):
    case Packed("atrn"):
    case Packed("send"):
    case Packed("soml"):
    case Packed("saml"):
      return Verb::kNotImplemented;
    case Packed("post"):
    case Packed("head"):
      return Verb::kNotSmtp;
    default:
      return Verb::kUnknown;
  }
}

Verb VerbOf(std::string_view word) {
  if (word.size() == 4) {
    return VerbOfFour(word);
  }
  // PRI opens HTTP/2.
  constexpr std::array<std::string_view, 8> kHttp = {"GET",    "PUT",   "CONNECT", "OPTIONS",
                                                     "DELETE", "PATCH", "TRACE",   "PRI"};
  if (EqualsIgnoringCase(word, "STARTTLS")) {
    return Verb::kStartTls;
  }
  if (EqualsIgnoringCase(word, "XCLIENT")) {
    return Verb::kXclient;
  }
  if (EqualsIgnoringCase(word, "XFORWARD")) {
    return Verb::kNotImplemented;
  }
  const bool is_http = std::any_of(kHttp.begin(), kHttp.end(), [word](std::string_view candidate) {
    return EqualsIgnoringCase(word, candidate);
  });
  return is_http ? Verb::kNotSmtp : Verb::kUnknown;
}

// "Subject: x" or "Host: x": a header, ours or a browser's, has come to the wrong place.
bool IsForeign(std::string_view line, std::string_view word) {
  return (word.size() > 1 && word.back() == ':') || EqualsIgnoringCase(line.substr(0, 4), "SSH-");
}

}  // namespace

std::string_view NameOf(Verb verb) {
  switch (verb) {
    case Verb::kEhlo:
      return "EHLO";
    case Verb::kHelo:
      return "HELO";
    case Verb::kMail:
      return "MAIL";
    case Verb::kRcpt:
      return "RCPT";
    case Verb::kData:
      return "DATA";
    case Verb::kRset:
      return "RSET";
    case Verb::kNoop:
      return "NOOP";
    case Verb::kQuit:
      return "QUIT";
    case Verb::kVrfy:
      return "VRFY";
    case Verb::kHelp:
      return "HELP";
    case Verb::kStartTls:
      return "STARTTLS";
    case Verb::kEtrn:
      return "ETRN";
    case Verb::kXclient:
      return "XCLIENT";
    case Verb::kBdat:
      return "BDAT";
    case Verb::kNotImplemented:
    case Verb::kNotSmtp:
    case Verb::kUnknown:
      return "?";
  }
  UNREACHABLE();
}

bool IsTlsHello(char first) {
  constexpr char kTlsHandshakeRecord = 0x16;  // RFC 8446 s5.1
  return first == kTlsHandshakeRecord;
}

Command ParseCommand(std::string_view line) {
  Command command;
  const size_t line_bytes = line.size();
  line.remove_suffix(1);
  const bool bare_newline = line.empty() || line.back() != '\r';
  if (!bare_newline) {
    line.remove_suffix(1);
  }
  bool control_byte = false;
  for (const char c : line) {
    control_byte |= c == '\r' || c == '\0';
    command.eight_bit |= static_cast<unsigned char>(c) >= 0x80;
  }
  const size_t verb_bytes = std::min(line.find_first_of(" \t"), line.size());
  const std::string_view word = line.substr(0, verb_bytes);
  command.verb = IsForeign(line, word) ? Verb::kNotSmtp : VerbOf(word);
  command.argument = Trimmed(line.substr(verb_bytes));
  if (bare_newline) {
    command.fault = LineFault::kBareNewline;
  } else if (line_bytes > kCommandBytesMax) {
    command.fault = LineFault::kTooLong;
  } else if (control_byte) {
    command.fault = LineFault::kControlByte;
  }
  return command;
}

}  // namespace backstay
