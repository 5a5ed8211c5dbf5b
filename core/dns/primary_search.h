// core/dns/primary_search.h -- from a primary list, or a domain's MX records, to addresses in
// order. Pure: it says what to ask, and is told the replies.
//
// Life:  ask question() and tell OnReply until there is none, then Result(). One question at a
//        time; their number is bounded.
// Errors: a verdict. kFailed says nothing about the primary: what was found before still stands.
// See:   RFC 5321 s5.1, RFC 7505 (null MX), DESIGN 6.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "core/base/bytes.h"
#include "core/base/random.h"
#include "core/dns/answer.h"
#include "core/dns/host_port.h"
#include "core/dns/primary_host.h"
#include "io/dns_type.h"

namespace backstay {

// What is configured: hosts in order, or the domain whose MX records say it.
struct PrimaryList {
  std::string mx_domain;        // empty: `hosts`
  std::vector<HostPort> hosts;  // numeric ones and names
};

// Addresses alone.
bool AsksNobody(const PrimaryList& list);

enum class PrimaryStanding : uint8_t {
  kFound,
  kNotAsked,    // yet
  kFailed,      // the DNS says nothing
  kNoAddress,   // the names, or the domain, or its MX records are gone
  kNotAllowed,  // all of it lies outside of allowed_networks
  kBestMx,      // nobody's MX is better than ours
  kSelf         // all of it are listeners of ours
};
// As shown to the operator; empty for kFound.
std::string_view Describe(PrimaryStanding standing);

// One address of one host.
struct PrimaryCandidate {
  uint16_t preference = 0;  // of the MX record, or the place in the list: less is better
  std::string name;
  SocketAddress address;
  friend auto operator<=>(const PrimaryCandidate&, const PrimaryCandidate&) = default;
};

struct FoundPrimaries {
  PrimaryStanding standing = PrimaryStanding::kNotAsked;
  std::vector<PrimaryCandidate> candidates;  // sorted: equal finds are equal
  std::vector<PrimaryHost> hosts;            // the same, in the order of trying
  absl::Duration ttl = absl::InfiniteDuration();
  std::string reason;  // of what is not found, for the operator
};

enum class PlaceVerdict : uint8_t { kGood, kNotAllowed, kOurs };
// Of an address with its port.
using JudgePlace = absl::FunctionRef<PlaceVerdict(const SocketAddress&)>;

class PrimarySearch {
 public:
  // What is more than that is not tried.
  static constexpr size_t kHostsMax = 32;
  static constexpr size_t kAddressesMax = 64;

  PrimarySearch(const PrimaryList& list, std::string_view our_hostname);

  // Null: nothing is left to ask.
  const DnsQuestion* question() const;
  void OnReply(Bytes reply);
  // Nobody gave one. `reason` lives for ever.
  void OnNoReply(std::string_view reason);

  // `before`: addresses of hosts that the DNS now says nothing about are taken from it. Its order
  // stays if nothing has changed; otherwise equal hosts are shuffled.
  FoundPrimaries Result(JudgePlace judge, const FoundPrimaries& before, Random& random) const;

 private:
  struct Host {
    uint16_t preference = 0;
    std::string name;
    uint16_t port = 25;
    std::vector<SocketAddress> addresses;  // without the port
    bool has_failed = false;               // at one family at least
    bool is_unknown() const { return has_failed && addresses.empty(); }
  };
  void OnAnswer(const DnsAnswer& answer);
  void TakeExchanges(std::vector<MailExchange> exchanges);
  void End(PrimaryStanding standing, std::string reason);
  void AskNext();
  size_t CollectAllowed(JudgePlace judge, const FoundPrimaries& before, FoundPrimaries& found,
                        uint32_t& our_preference) const;

  const PrimaryList list_;
  const std::string our_hostname_;
  std::vector<Host> hosts_;
  size_t host_ = 0;  // being asked for
  std::optional<DnsQuestion> question_;
  size_t aliases_ = 0;                         // followed for this question
  uint32_t our_preference_ = UINT32_MAX;       // of the best MX that is us; Max: none is
  std::optional<PrimaryStanding> ended_with_;  // without any host
  absl::Duration ttl_ = absl::InfiniteDuration();
  std::string reason_;
};

// The order of trying: by preference, hosts of the same one shuffled if `shuffles`, addresses of
// one host shuffled with both families taking turns.
std::vector<PrimaryHost> InOrder(const std::vector<PrimaryCandidate>& candidates, bool shuffles,
                                 Random& random);

}  // namespace backstay
