// core/smtp/address.cc -- a scanner over RFC 5321 s4.1.2, one function a rule of the grammar.
#include "core/smtp/address.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "core/base/utf8.h"
#include "core/smtp/ascii.h"
#include "core/smtp/numeric_address.h"
#include "core/smtp/punycode.h"

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
    // What a U-label is in ASCII is not known here; the limit of the path must do for it.
    const std::string_view label = text_.substr(begin, at_ - begin);
    const bool ascii = std::none_of(label.begin(), label.end(), IsEightBit);
    too_long_ |= ascii && label.size() > kLabelBytesMax;
    return label.back() != '-';
  }

  // No tag but IPv6 was ever registered (RFC 5321 s8), so General-address-literal is refused.
  bool TakeLiteral() {
    Take('[');
    const bool is_v6 = TakeWord("IPv6:");
    const size_t close = text_.find(']', at_);
    if (close == std::string_view::npos) {
      return false;
    }
    const std::string_view address = text_.substr(at_, close - at_);
    at_ = close + 1;
    return ParseNumericAddress(address, is_v6).has_value();
  }

  const std::string_view text_;
  const Side side_;
  size_t at_ = 0;
  bool too_long_ = false;
};

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
  return error == PathError::kNone || error == PathError::kUtf8
             ? Path{error, address, text.substr(scanner.at())}
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
  if (IsRelayTrick(path.address)) {
    return Failed(PathError::kRelayTrick);
  }
  return path;
}

bool IsHostWord(std::string_view text) {
  constexpr size_t kBytesMax = 255;
  constexpr std::string_view kSpecials = " ()<>@,;\\\"";
  return !text.empty() && text.size() <= kBytesMax &&
         text.find_first_of(kSpecials) == std::string_view::npos &&
         std::all_of(text.begin(), text.end(), IsPrintable);
}

bool IsDomainName(std::string_view text) {
  PathScanner scanner(text, Side::kForward);
  return scanner.Peek() != '[' && scanner.TakeDomain() && scanner.at() == text.size() &&
         !scanner.too_long() && text.size() <= kPathBytesMax &&
         std::none_of(text.begin(), text.end(), IsEightBit);
}

void AssignDomainOf(std::string_view address, std::string& domain) {
  const size_t at_sign = address.rfind('@');
  if (at_sign == std::string_view::npos) {
    domain.clear();
    return;
  }
  std::string_view labels = address.substr(at_sign + 1);
  if (labels.ends_with('.')) {
    labels.remove_suffix(1);
  }
  if (std::none_of(labels.begin(), labels.end(), IsEightBit)) {
    domain.assign(labels);
    std::transform(domain.begin(), domain.end(), domain.begin(), ToLower);
    return;
  }
  domain.clear();
  while (!labels.empty()) {
    const std::string_view label = labels.substr(0, labels.find('.'));
    labels.remove_prefix(std::min(label.size() + 1, labels.size()));
    if (std::any_of(label.begin(), label.end(), IsEightBit) && IsUtf8(label)) {
      AppendAsciiLabel(label, domain);
    } else {
      std::transform(label.begin(), label.end(), std::back_inserter(domain), ToLower);
    }
    domain.append(labels.empty() ? "" : ".");
  }
}

std::string DomainOf(std::string_view address) {
  std::string domain;
  AssignDomainOf(address, domain);
  return domain;
}

}  // namespace backstay
