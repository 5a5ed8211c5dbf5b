// core/queue/relay_policy.cc -- domain first, then the recipient.
#include "core/queue/relay_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/hash/hash.h"
#include "core/base/check.h"
#include "core/smtp/address.h"

namespace backstay {
namespace {

constexpr std::string_view kPostmaster = "postmaster";
// RFC 5321 s4.5.3.1: a local part of 64, a domain of 255 bytes.
constexpr size_t kAddressBytesMax = 64 + 1 + 255;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";  // what some Windows editors write

char Lower(char character) {
  return character >= 'A' && character <= 'Z' ? static_cast<char>(character + ('a' - 'A'))
                                              : character;
}

// Lower case on the stack: no allocation per recipient. Longer text is cut, and then matches
// nothing.
class LowerText {
 public:
  explicit LowerText(std::string_view text) : size_(std::min(text.size(), bytes_.size())) {
    std::transform(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size_), bytes_.begin(),
                   Lower);
  }
  std::string_view view() const { return {bytes_.data(), size_}; }

 private:
  std::array<char, kAddressBytesMax + 1> bytes_;
  size_t size_;
};

std::string_view Trimmed(std::string_view line) {
  const size_t begin = line.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) {
    return {};
  }
  return line.substr(begin, line.find_last_not_of(" \t\r") - begin + 1);
}

// `address` with its domain as that is known here: without a trailing dot, and in ASCII if it is
// written in UTF-8, which is then kept in `memory`.
std::string_view WithKnownDomain(std::string_view address, std::string& memory) {
  const std::string_view domain = address.substr(address.rfind('@') + 1);
  if (std::any_of(domain.begin(), domain.end(),
                  [](char character) { return static_cast<unsigned char>(character) >= 0x80; })) {
    memory.assign(address.substr(0, address.size() - domain.size())).append(DomainOf(address));
    return memory;
  }
  return domain.ends_with('.') ? address.substr(0, address.size() - 1) : address;
}

// One whole address and nothing else. Such as are well-formed and never taken at RCPT ("a!b@c") do
// no harm in a list; a file in another encoding, or with other line ends, must not pass as one odd
// line.
bool IsListable(std::string_view line) {
  if (line.find('@') == std::string_view::npos || line.size() > kAddressBytesMax) {
    return false;
  }
  const std::string text = fmt::format("<{}>", line);
  const Path path = ParseForwardPath(text);
  switch (path.error) {
    case PathError::kNone:
      return path.rest.empty() && path.address == line;
    case PathError::kUtf8:
    case PathError::kRelayTrick:
      return true;
    case PathError::kSyntax:
    case PathError::kTooLong:
    case PathError::kEightBit:
      return false;
  }
  UNREACHABLE();
}

}  // namespace

size_t TextHash::operator()(std::string_view text) const {
  return absl::Hash<std::string_view>{}(text);
}

RelayPolicy::RelayPolicy(std::vector<DomainPolicy> domains, std::string postmaster)
    : domains_(std::move(domains)), postmaster_(std::move(postmaster)) {
  ASSERT(!domains_.empty());
  for (size_t index = 0; index < domains_.size(); ++index) {
    by_name_.emplace(domains_[index].name, index);
  }
  if (postmaster_.empty()) {
    postmaster_ = fmt::format("{}@{}", kPostmaster, domains_[0].name);
  }
}

bool IsPostmaster(std::string_view address) {
  return LowerText(address.substr(0, address.rfind('@'))).view() == kPostmaster;
}

RelayVerdict RelayPolicy::Judge(std::string_view address) const {
  const size_t at = address.rfind('@');
  if (at == std::string_view::npos) {
    if (LowerText(address).view() != kPostmaster) {
      return {replies::kUserUnknown, address, {}};
    }
    return {replies::kRcptOk, postmaster_,
            std::string_view(postmaster_).substr(postmaster_.rfind('@') + 1)};
  }
  std::string in_ascii;
  const std::string_view known = WithKnownDomain(address, in_ascii);
  const LowerText domain_name(known.substr(at + 1));
  const auto found = by_name_.find(domain_name.view());
  if (found == by_name_.end()) {
    return {replies::kRelayDenied, address, {}};
  }
  const DomainPolicy& domain = domains_[found->second];
  if (domain.recipients == DomainPolicy::Recipients::kAny) {
    return {replies::kRcptOk, address, domain.name};
  }
  const LowerText whole(known);
  if (whole.view().substr(0, at) == kPostmaster) {
    return {replies::kRcptOk, address, domain.name};
  }
  if (domain.recipients == DomainPolicy::Recipients::kVerify) {
    return {replies::kRcptOk, address, domain.name, /*is_asked=*/true};
  }
  if (domain.recipients == DomainPolicy::Recipients::kList && domain.list.contains(whole.view())) {
    return {replies::kRcptOk, address, domain.name};
  }
  return {replies::kUserUnknown, address, {}};
}

absl::StatusOr<std::vector<TextSet>> ParseRecipientFile(std::string_view text,
                                                        std::string_view file_name,
                                                        const std::vector<std::string>& domains) {
  std::vector<TextSet> addresses(domains.size());
  absl::flat_hash_map<std::string, size_t, TextHash, TextEqual> places;
  for (size_t i = 0; i < domains.size(); ++i) {
    places.emplace(domains[i], i);
  }
  size_t number = 0;
  std::string in_ascii;
  if (text.starts_with(kByteOrderMark)) {
    text.remove_prefix(kByteOrderMark.size());
  }
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = Trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.empty() || line[0] == '#') {
      continue;
    }
    if (!IsListable(line)) {
      return absl::InvalidArgumentError(
          fmt::format("{}:{}: not an address: one local-part@domain a line", file_name, number));
    }
    const LowerText address(WithKnownDomain(line, in_ascii));
    const auto place = places.find(address.view().substr(address.view().rfind('@') + 1));
    if (place != places.end()) {
      addresses[place->second].emplace(address.view());
    }
  }
  for (size_t i = 0; i < domains.size(); ++i) {
    if (addresses[i].empty()) {
      return absl::InvalidArgumentError(
          fmt::format("{}: no address of {} in it; a list that refuses everyone is written "
                      "recipients = \"none\"",
                      file_name, domains[i]));
    }
  }
  return addresses;
}

}  // namespace backstay
