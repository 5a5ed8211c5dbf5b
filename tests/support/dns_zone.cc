// tests/support/dns_zone.cc -- a table, and RFC 1035 s4 the other way round.
#include "tests/support/dns_zone.h"

#include "core/base/check.h"
#include "core/dns/reverse_name.h"
#include "io/socket_address.h"

namespace backstay {
namespace {

constexpr uint16_t kReply = 0x8180;  // reply, recursion desired and available
constexpr uint16_t kServerFailure = 2;
constexpr uint16_t kNameError = 3;

}  // namespace

std::string DnsNumber(uint16_t number) {
  return {static_cast<char>(number >> 8), static_cast<char>(number & 0xff)};
}

std::string DnsName(std::string_view name) {
  std::string encoded;
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    encoded += static_cast<char>(label.size());
    encoded += label;
    name.remove_prefix(std::min(name.size(), label.size() + 1));
  }
  return encoded + '\0';
}

std::string DnsHeader(uint16_t flags, uint16_t questions, uint16_t answers) {
  return DnsNumber(0) + DnsNumber(flags) + DnsNumber(questions) + DnsNumber(answers) +
         DnsNumber(0) + DnsNumber(0);
}

std::string DnsQuestionPart(std::string_view name, DnsType type) {
  return DnsName(name) + DnsNumber(static_cast<uint16_t>(type)) + DnsNumber(1);
}

std::string DnsRecord(std::string_view owner, DnsType type, uint32_t ttl, std::string_view data) {
  return DnsQuestionPart(owner, type) + DnsNumber(static_cast<uint16_t>(ttl >> 16)) +
         DnsNumber(static_cast<uint16_t>(ttl)) + DnsNumber(static_cast<uint16_t>(data.size())) +
         std::string(data);
}

void DnsZone::AddAddress(const std::string& name, const std::string& address, uint32_t ttl) {
  const std::optional<SocketAddress> parsed = SocketAddress::Parse(address, 0);
  ASSERT(parsed.has_value());
  const auto* bytes = reinterpret_cast<const char*>(parsed->bytes().data());
  names_[name].push_back(parsed->is_v6() ? Record{DnsType::kAaaa, std::string(bytes, 16), ttl, ""}
                                         : Record{DnsType::kA, std::string(bytes, 4), ttl, ""});
}

void DnsZone::AddMx(const std::string& name, uint16_t preference, const std::string& exchange,
                    uint32_t ttl) {
  names_[name].push_back({DnsType::kMx, DnsNumber(preference) + DnsName(exchange), ttl, ""});
}

void DnsZone::AddAlias(const std::string& name, const std::string& target, uint32_t ttl) {
  names_[name].push_back({DnsType::kCname, DnsName(target), ttl, target});
}

void DnsZone::AddPointer(const std::string& address, const std::string& name) {
  AddPointerNamed(ReverseName(*SocketAddress::Parse(address, 0)), name);
}

void DnsZone::AddPointerNamed(const std::string& reverse_name, const std::string& name) {
  names_[reverse_name].push_back({DnsType::kPtr, DnsName(name), 300, ""});
}

void DnsZone::AddListing(const std::string& address, const std::string& zone,
                         const std::string& answer, const std::string& text) {
  const std::string name = ReversedBelow(*SocketAddress::Parse(address, 0), zone);
  AddAddress(name, answer);
  if (!text.empty()) {
    names_[name].push_back({DnsType::kTxt, static_cast<char>(text.size()) + text, 300, ""});
  }
}

void DnsZone::SetSilent(const std::string& name, bool is_silent) {
  if (is_silent) {
    silent_.insert(name);
  } else {
    silent_.erase(name);
  }
}

std::optional<std::string> DnsZone::Answer(std::string_view name, DnsType type) {
  ++questions_;
  if (mood_ == Mood::kSilent || silent_.contains(name)) {
    return std::nullopt;
  }
  const std::string question = DnsQuestionPart(name, type);
  if (mood_ == Mood::kFails) {
    return DnsHeader(kReply | kServerFailure, 1, 0) + question;
  }
  std::string records;
  uint16_t count = 0;
  uint16_t code = kNameError;
  std::string owner(name);
  constexpr int kLinksMax = 20;
  for (int links = 0; links < kLinksMax && !owner.empty(); ++links) {
    const auto found = names_.find(owner);
    std::string next;
    if (found != names_.end()) {
      code = 0;
      for (const Record& record : found->second) {
        if (record.type == type || record.type == DnsType::kCname) {
          records += DnsRecord(owner, record.type, record.ttl, record.data);
          ++count;
          next = record.target;
        }
      }
    } else {
      code = kNameError;
    }
    owner = follows_aliases_ ? next : "";
  }
  if (denies_aaaa_ && type == DnsType::kAaaa && count == 0) {
    code = kNameError;
  }
  return DnsHeader(kReply | code, 1, count) + question + records;
}

}  // namespace backstay
