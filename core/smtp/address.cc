// core/smtp/address.cc -- a scanner over RFC 5321 s4.1.2, one function a rule of the grammar.
#include "core/smtp/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "core/smtp/ascii.h"

namespace backstay {
namespace {

constexpr size_t kLocalPartBytesMax = 64;  // RFC 5321 s4.5.3.1.1
constexpr size_t kLabelBytesMax = 63;      // RFC 1035 s2.3.4
// RFC 5321 s4.5.3.1.3, "including the punctuation": the brackets count, the stripped route does
// not. It is tighter than the 255 bytes of a domain (s4.5.3.1.2), which needs no check of its own.
constexpr size_t kPathBytesMax = 256;
constexpr size_t kBracketBytes = 2;

bool IsEightBit(char c) {
  return static_cast<unsigned char>(c) >= 0x80;
}

// Bytes above 0x7f pass the scanner so that the refusal can say what is wrong (5.6.7).
bool IsAtext(char c) {
  return IsAlphanumeric(c) || IsEightBit(c) ||
         std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
}

// An underscore is no Let-dig, but hosts with one do send mail.
bool IsLabelByte(char c) {
  return IsAlphanumeric(c) || IsEightBit(c) || c == '_';
}

// A forward-path is held to the grammar: what it names must mean the same to everybody behind us. A
// reverse-path is only carried back and forth, and real senders overstep: bounce addresses longer
// than 64 bytes, "a..b@" and "a.@" of old phone mailboxes. Refusing those would lose mail that the
// primary takes.
enum class Side : uint8_t { kReverse, kForward };

class PathScanner {
 public:
  PathScanner(std::string_view text, Side side) : text_(text), side_(side) {}

  size_t at() const { return at_; }
  bool too_long() const { return too_long_; }
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool Take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) {
      return false;
    }
    ++at_;
    return true;
  }
  bool TakeWord(std::string_view word) {
    if (!EqualsIgnoringCase(text_.substr(at_, word.size()), word)) {
      return false;
    }
    at_ += word.size();
    return true;
  }

  // A-d-l ":" = At-domain *( "," At-domain ) ":"
  bool TakeRoute() {
    do {
      if (!Take('@') || !TakeDomain()) {
        return false;
      }
    } while (Take(','));
    return Take(':');
  }

  bool TakeLocalPart() {
    const size_t begin = at_;
    if (!(Peek() == '"' ? TakeQuotedString() : TakeDotString())) {
      return false;
    }
    too_long_ |= side_ == Side::kForward && at_ - begin > kLocalPartBytesMax;
    return true;
  }

  // Domain, with one trailing dot allowed, or an address literal.
  bool TakeDomain() {
    if (Peek() == '[') {
      return TakeLiteral();
    }
    if (!TakeLabel()) {
      return false;
    }
    while (Take('.')) {
      if (!IsLabelByte(Peek())) {
        return true;  // "our.example." names the same domain
      }
      if (!TakeLabel()) {
        return false;
      }
    }
    return true;
  }

 private:
  bool TakeDotString() {
    const size_t begin = at_;
    do {
      const size_t atom = at_;
      while (at_ < text_.size() && IsAtext(text_[at_])) {
        ++at_;
      }
      if (at_ == atom && side_ == Side::kForward) {
        return false;
      }
    } while (Take('.'));
    return at_ != begin;
  }

  // The grammar has no tab here, but it harms nobody and some mailboxes have one; other control
  // bytes do not pass, not even behind a backslash.
  bool TakeQuotedString() {
    Take('"');
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"') {
        return true;
      }
      if (!IsPrintable(c) && !IsEightBit(c) && c != '\t') {
        return false;
      }
      if (c == '\\') {
        if (at_ == text_.size() || !IsPrintable(text_[at_])) {
          return false;
        }
        ++at_;
      }
    }
    return false;
  }

  bool TakeLabel() {
    const size_t begin = at_;
    if (!IsLabelByte(Peek())) {
      return false;
    }
    while (at_ < text_.size() && (IsLabelByte(text_[at_]) || text_[at_] == '-')) {
      ++at_;
    }
    too_long_ |= at_ - begin > kLabelBytesMax;
    return text_[at_ - 1] != '-';
  }

  // No tag but IPv6 was ever registered (RFC 5321 s8), so General-address-literal is refused.
  bool TakeLiteral() {
    Take('[');
    const bool is_v6 = TakeWord("IPv6:");
    const size_t close = text_.find(']', at_);
    std::array<char, INET6_ADDRSTRLEN> address{};
    if (close == std::string_view::npos || close - at_ >= address.size()) {
      return false;
    }
    text_.copy(address.data(), close - at_, at_);
    // inet_pton ends at a NUL, the text may not.
    if (text_.substr(at_, close - at_).find('\0') != std::string_view::npos) {
      return false;
    }
    at_ = close + 1;
    std::array<unsigned char, sizeof(in6_addr)> parsed;
    return inet_pton(is_v6 ? AF_INET6 : AF_INET, address.data(), parsed.data()) == 1;
  }

  const std::string_view text_;
  const Side side_;
  size_t at_ = 0;
  bool too_long_ = false;
};

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const auto lead = static_cast<unsigned char>(text[at]);
    if (lead < 0x80) {
      ++at;
      continue;
    }
    const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || at + length > text.size()) {
      return false;
    }
    const auto second = static_cast<unsigned char>(text[at + 1]);
    const unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (second < low || second > high) {
      return false;
    }
    for (size_t i = 2; i < length; ++i) {
      if ((static_cast<unsigned char>(text[at + i]) & 0xc0) != 0x80) {
        return false;
      }
    }
    at += length;
  }
  return true;
}

Path Failed(PathError error) {
  return Path{error, {}, {}};
}

// The checks that look at a whole well-formed address.
PathError JudgeAddress(std::string_view address, bool too_long) {
  if (too_long || address.size() + kBracketBytes > kPathBytesMax) {
    return PathError::kTooLong;
  }
  if (std::any_of(address.begin(), address.end(), IsEightBit)) {
    return IsUtf8(address) ? PathError::kUtf8 : PathError::kEightBit;
  }
  return PathError::kNone;
}

// "<" [ A-d-l ":" ] Mailbox ">", from the opening bracket on, which was taken.
Path ParseMailbox(std::string_view text, PathScanner& scanner) {
  if (scanner.Peek() == '@' && !scanner.TakeRoute()) {
    return Failed(PathError::kSyntax);
  }
  const size_t begin = scanner.at();
  if (!scanner.TakeLocalPart() || !scanner.Take('@') || !scanner.TakeDomain()) {
    return Failed(PathError::kSyntax);
  }
  const std::string_view address = text.substr(begin, scanner.at() - begin);
  if (!scanner.Take('>')) {
    return Failed(PathError::kSyntax);
  }
  const PathError error = JudgeAddress(address, scanner.too_long());
  return error == PathError::kNone ? Path{error, address, text.substr(scanner.at())}
                                   : Failed(error);
}

// A primary that resolves "v%other@our" or "\"v@other\"@our" after dequoting would relay it: as its
// backup we would be the open relay.
bool IsRelayTrick(std::string_view address) {
  const std::string_view local_part = address.substr(0, address.rfind('@'));
  return local_part.find_first_of("%!@") != std::string_view::npos;
}

}  // namespace

Path ParseReversePath(std::string_view text) {
  PathScanner scanner(text, Side::kReverse);
  if (!scanner.Take('<')) {
    return Failed(PathError::kSyntax);
  }
  if (scanner.Take('>')) {
    return Path{PathError::kNone, {}, text.substr(scanner.at())};
  }
  return ParseMailbox(text, scanner);
}

Path ParseForwardPath(std::string_view text) {
  PathScanner scanner(text, Side::kForward);
  if (!scanner.Take('<')) {
    return Failed(PathError::kSyntax);
  }
  constexpr std::string_view kPostmaster = "Postmaster";
  if (scanner.TakeWord("Postmaster>")) {
    return Path{PathError::kNone, text.substr(1, kPostmaster.size()), text.substr(scanner.at())};
  }
  Path path = ParseMailbox(text, scanner);
  if (path.error == PathError::kNone && IsRelayTrick(path.address)) {
    return Failed(PathError::kRelayTrick);
  }
  return path;
}

void AssignDomainOf(std::string_view address, std::string& domain) {
  const size_t at_sign = address.rfind('@');
  if (at_sign == std::string_view::npos) {
    domain.clear();
    return;
  }
  domain.assign(address.substr(at_sign + 1));
  if (!domain.empty() && domain.back() == '.') {
    domain.pop_back();
  }
  for (char& c : domain) {
    c = ToLower(c);
  }
}

std::string DomainOf(std::string_view address) {
  std::string domain;
  AssignDomainOf(address, domain);
  return domain;
}

}  // namespace backstay
