// tests/support/dns_zone.h -- what a pretended resolver says: a table of names, replies as bytes.
//
// Owns: the table. Names are written in lower case without a dot at the end.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/dns_type.h"

namespace backstay {

class DnsZone {
 public:
  enum class Mood : uint8_t { kAnswers, kFails, kSilent };

  // "192.0.2.1" or "2001:db8::1"; each call adds a record.
  void AddAddress(const std::string& name, const std::string& address, uint32_t ttl = 300);
  void AddMx(const std::string& name, uint16_t preference, const std::string& exchange,
             uint32_t ttl = 300);
  void AddAlias(const std::string& name, const std::string& target, uint32_t ttl = 300);
  void AddPointer(const std::string& address, const std::string& name);
  void AddPointerNamed(const std::string& reverse_name, const std::string& name);
  // Of a block list; `text` empty: it has none.
  void AddListing(const std::string& address, const std::string& zone, const std::string& answer,
                  const std::string& text);
  void Remove(const std::string& name) { names_.erase(name); }
  void SetMood(Mood mood) { mood_ = mood; }
  // Of this name alone nobody says anything.
  void SetSilent(const std::string& name, bool is_silent);
  // Answered with an alias and nothing behind it, as some servers do.
  void SetFollowsAliases(bool follows) { follows_aliases_ = follows; }
  // Names that have no AAAA do not exist, who asks for one is told (RFC 4074 s4.2).
  void SetDeniesAaaa(bool denies) { denies_aaaa_ = denies; }
  uint64_t questions() const { return questions_; }

  // The whole reply, its number 0. Nothing: silence.
  std::optional<std::string> Answer(std::string_view name, DnsType type);

 private:
  struct Record {
    DnsType type;
    std::string data;
    uint32_t ttl;
    std::string target;  // kCname
  };

  std::map<std::string, std::vector<Record>, std::less<>> names_;
  std::set<std::string, std::less<>> silent_;
  Mood mood_ = Mood::kAnswers;
  bool follows_aliases_ = true;
  bool denies_aaaa_ = false;
  uint64_t questions_ = 0;
};

// Building blocks, for replies that no server would give.
std::string DnsName(std::string_view name);
std::string DnsNumber(uint16_t number);
std::string DnsHeader(uint16_t flags, uint16_t questions, uint16_t answers);
std::string DnsQuestionPart(std::string_view name, DnsType type);
std::string DnsRecord(std::string_view owner, DnsType type, uint32_t ttl, std::string_view data);

}  // namespace backstay
