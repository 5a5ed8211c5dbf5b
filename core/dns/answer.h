// core/dns/answer.h -- a resolver's reply as values: what it says of one name, or that it is none.
//
// Strict where it matters (the question, the lengths, what a name may hold), bounded everywhere;
// records that are not understood are as if they were not there. Pure.
// Errors: DnsAnswer::Kind; kFailed says nothing about the name.
// See:    RFC 1035 s4, RFC 2181 s8 (TTL), RFC 2308 (no data), RFC 7505 (null MX).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "core/base/bytes.h"
#include "io/dns_type.h"
#include "io/socket_address.h"

namespace backstay {

struct MailExchange {
  uint16_t preference = 0;
  std::string name;  // lower case; empty: the root, "no mail here"
  friend auto operator<=>(const MailExchange&, const MailExchange&) = default;
};

struct DnsAnswer {
  enum class Kind : uint8_t {
    kFound,
    kAlias,   // `alias` is to be asked for instead
    kNoData,  // the name exists, and has nothing of this kind
    kNoName,
    kFailed
  };
  Kind kind = Kind::kFailed;
  absl::Duration ttl = absl::InfiniteDuration();  // kFound, kAlias: the least of all that was used
  std::vector<SocketAddress> addresses;           // kA, kAaaa; port 0
  std::vector<MailExchange> exchanges;            // kMx
  std::vector<std::string> names;                 // kPtr
  std::vector<std::string> texts;  // kTxt; printable ASCII, the strings of a record joined
  std::string alias;
  std::string_view reason;  // kFailed; lives for ever
};

struct DnsQuestion {
  std::string name;
  DnsType type = DnsType::kA;
};

// `name`: as it was asked for, in lower case. Aliases in the reply are followed.
DnsAnswer ParseDnsAnswer(Bytes reply, std::string_view name, DnsType type);

}  // namespace backstay
