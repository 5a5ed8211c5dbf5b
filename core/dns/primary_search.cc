// core/dns/primary_search.cc -- what to ask next, and what follows from all of it.
#include "core/dns/primary_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/check.h"

namespace backstay {
namespace {

// RFC 5321 wants loops to be found; real chains have two or three links.
constexpr size_t kAliasesMax = 8;
constexpr uint16_t kSmtpPort = 25;

template <typename Value>
void Shuffle(std::vector<Value>& values, Random& random) {
  for (size_t count = values.size(); count > 1; --count) {
    std::swap(values[count - 1], values[static_cast<size_t>(random.Below(count))]);
  }
}

// One host's: IPv6 first, then in turns. A host that has no way to the one family says so at once.
std::vector<SocketAddress> TakeTurns(std::vector<SocketAddress> addresses, Random& random) {
  Shuffle(addresses, random);
  const auto v4 =
      std::stable_partition(addresses.begin(), addresses.end(),
                            [](const SocketAddress& address) { return address.is_v6(); });
  std::vector<SocketAddress> mixed;
  auto next_v6 = addresses.begin();
  auto next_v4 = v4;
  while (next_v6 != v4 || next_v4 != addresses.end()) {
    if (next_v6 != v4) {
      mixed.push_back(*next_v6++);
    }
    if (next_v4 != addresses.end()) {
      mixed.push_back(*next_v4++);
    }
  }
  return mixed;
}

}  // namespace

bool AsksNobody(const PrimaryList& list) {
  return list.mx_domain.empty() &&
         std::all_of(list.hosts.begin(), list.hosts.end(),
                     [](const HostPort& host) { return host.address.has_value(); });
}

std::string_view Describe(PrimaryStanding standing) {
  switch (standing) {
    case PrimaryStanding::kFound:
      return "";
    case PrimaryStanding::kNotAsked:
    case PrimaryStanding::kFailed:
      return "dns";
    case PrimaryStanding::kNoAddress:
      return "no-address";
    case PrimaryStanding::kNotAllowed:
      return "not-allowed";
    case PrimaryStanding::kBestMx:
      return "best-mx";
    case PrimaryStanding::kSelf:
      return "self";
  }
  UNREACHABLE();
}

std::vector<PrimaryHost> InOrder(const std::vector<PrimaryCandidate>& candidates, bool shuffles,
                                 Random& random) {
  struct Group {
    uint16_t preference;
    std::string name;
    uint64_t place;  // among equals
    std::vector<SocketAddress> addresses;
  };
  std::vector<Group> groups;
  for (const PrimaryCandidate& candidate : candidates) {  // sorted: those of a host are together
    if (groups.empty() || groups.back().preference != candidate.preference ||
        groups.back().name != candidate.name) {
      groups.push_back({candidate.preference, candidate.name, groups.size(), {}});
    }
    groups.back().addresses.push_back(candidate.address);
  }
  for (Group& group : groups) {
    group.place = shuffles ? random.Next() : group.place;
  }
  std::stable_sort(groups.begin(), groups.end(), [](const Group& left, const Group& right) {
    return std::pair(left.preference, left.place) < std::pair(right.preference, right.place);
  });
  std::vector<PrimaryHost> hosts;
  for (Group& group : groups) {
    for (const SocketAddress& address : TakeTurns(std::move(group.addresses), random)) {
      if (hosts.size() < PrimarySearch::kAddressesMax) {
        hosts.push_back({address, group.name, group.preference});
      }
    }
  }
  return hosts;
}

PrimarySearch::PrimarySearch(const PrimaryList& list, std::string_view our_hostname)
    : list_(list), our_hostname_(our_hostname) {
  if (!list_.mx_domain.empty()) {
    question_ = {list_.mx_domain, DnsType::kMx};
    return;
  }
  for (const HostPort& host : list_.hosts) {
    Host next{static_cast<uint16_t>(hosts_.size()), host.host, host.port, {}, false};
    if (host.address.has_value()) {
      next.addresses.push_back(*host.address);
    }
    hosts_.push_back(std::move(next));
  }
  AskNext();
}

const DnsQuestion* PrimarySearch::question() const {
  return question_.has_value() ? &*question_ : nullptr;
}

void PrimarySearch::OnReply(Bytes reply) {
  ASSERT(question_.has_value());
  DnsAnswer answer = ParseDnsAnswer(reply, question_->name, question_->type);
  if (answer.kind == DnsAnswer::Kind::kAlias) {
    ttl_ = std::min(ttl_, answer.ttl);
    if (++aliases_ <= kAliasesMax) {
      question_->name = answer.alias;
      return;
    }
    answer.kind = DnsAnswer::Kind::kFailed;
    answer.reason = "its aliases go on too long";
  }
  OnAnswer(answer);
}

void PrimarySearch::OnNoReply(std::string_view reason) {
  ASSERT(question_.has_value());
  DnsAnswer answer;
  answer.reason = reason;
  OnAnswer(answer);
}

// A name that has no address of one family is the rule; that it has none at all is found at the
// end.
void PrimarySearch::OnAnswer(const DnsAnswer& answer) {
  ttl_ = std::min(ttl_, answer.ttl);
  aliases_ = 0;
  if (answer.kind == DnsAnswer::Kind::kFailed) {
    reason_ = fmt::format("{}: {}", question_->name, answer.reason);
  }
  if (question_->type != DnsType::kMx) {
    Host& host = hosts_[host_];
    host.addresses.insert(host.addresses.end(), answer.addresses.begin(), answer.addresses.end());
    host.has_failed |= answer.kind == DnsAnswer::Kind::kFailed;
    // Also where there is no such name: RFC 4074 s4.2, some servers say so of a host that has an A.
    if (question_->type == DnsType::kAaaa) {
      question_ = {host.name, DnsType::kA};
      return;
    }
    ++host_;
    AskNext();
    return;
  }
  switch (answer.kind) {
    case DnsAnswer::Kind::kFound:
      return TakeExchanges(answer.exchanges);
    case DnsAnswer::Kind::kNoData:  // RFC 5321 s5.1: the domain itself is the host
      hosts_ = {{0, list_.mx_domain, kSmtpPort, {}, false}};
      return AskNext();
    case DnsAnswer::Kind::kNoName:
      return End(PrimaryStanding::kNoAddress,
                 fmt::format("there is no domain {} any more", list_.mx_domain));
    case DnsAnswer::Kind::kFailed:
      return End(PrimaryStanding::kFailed, std::move(reason_));
    case DnsAnswer::Kind::kAlias:
      break;
  }
  UNREACHABLE();
}

// Hosts as good as us, and worse ones, are no way to the primary: they send to us.
void PrimarySearch::TakeExchanges(std::vector<MailExchange> exchanges) {
  std::sort(exchanges.begin(), exchanges.end());
  for (const MailExchange& exchange : exchanges) {
    if (exchange.name == our_hostname_) {
      our_preference_ = std::min<uint32_t>(our_preference_, exchange.preference);
    }
  }
  for (MailExchange& exchange : exchanges) {
    const bool is_known = std::any_of(hosts_.begin(), hosts_.end(),
                                      [&](const Host& host) { return host.name == exchange.name; });
    if (!exchange.name.empty() && !is_known && exchange.preference < our_preference_ &&
        hosts_.size() < kHostsMax) {
      hosts_.push_back({exchange.preference, std::move(exchange.name), kSmtpPort, {}, false});
    }
  }
  if (!hosts_.empty()) {
    AskNext();
  } else if (our_preference_ != UINT32_MAX) {
    End(PrimaryStanding::kBestMx,
        fmt::format("no MX of {} is better than {}", list_.mx_domain, our_hostname_));
  } else {
    End(PrimaryStanding::kNoAddress,
        fmt::format("{} says that it takes no mail (null MX)", list_.mx_domain));
  }
}

void PrimarySearch::End(PrimaryStanding standing, std::string reason) {
  question_.reset();
  ended_with_ = standing;
  reason_ = std::move(reason);
}

void PrimarySearch::AskNext() {
  while (host_ < hosts_.size() && !hosts_[host_].addresses.empty()) {
    ++host_;  // a numeric one
  }
  if (host_ == hosts_.size()) {
    question_.reset();
  } else {
    question_ = {hosts_[host_].name, DnsType::kAaaa};
  }
}

// Returns how many addresses were not allowed; `our_preference`: of the best host that is us.
size_t PrimarySearch::CollectAllowed(JudgePlace judge, const FoundPrimaries& before,
                                     FoundPrimaries& found, uint32_t& our_preference) const {
  size_t refused = 0;
  for (const Host& host : hosts_) {
    std::vector<SocketAddress> addresses;
    for (const SocketAddress& address : host.addresses) {
      addresses.push_back(address.WithPort(host.port));
    }
    for (const PrimaryCandidate& stale : before.candidates) {
      if (host.is_unknown() && stale.name == host.name && stale.address.port() == host.port) {
        addresses.push_back(stale.address);
      }
    }
    for (const SocketAddress& address : addresses) {
      switch (judge(address)) {
        case PlaceVerdict::kGood:
          found.candidates.push_back({host.preference, host.name, address});
          break;
        case PlaceVerdict::kNotAllowed:
          ++refused;
          break;
        case PlaceVerdict::kOurs:
          our_preference = std::min<uint32_t>(our_preference, host.preference);
          break;
      }
    }
  }
  std::sort(found.candidates.begin(), found.candidates.end());
  found.candidates.erase(std::unique(found.candidates.begin(), found.candidates.end()),
                         found.candidates.end());
  return refused;
}

FoundPrimaries PrimarySearch::Result(JudgePlace judge, const FoundPrimaries& before,
                                     Random& random) const {
  ASSERT(!question_.has_value());
  FoundPrimaries found;
  found.ttl = ttl_;
  found.reason = reason_;
  if (ended_with_.has_value()) {
    found.standing = *ended_with_;
    return found;
  }
  uint32_t our_preference = our_preference_;
  const size_t refused = CollectAllowed(judge, before, found, our_preference);
  const bool by_mx = !list_.mx_domain.empty();
  const bool has_failed = std::any_of(hosts_.begin(), hosts_.end(), [&](const Host& host) {
    return host.is_unknown() && (!by_mx || host.preference < our_preference);
  });
  if (by_mx) {
    std::erase_if(found.candidates, [&](const PrimaryCandidate& candidate) {
      return candidate.preference >= our_preference;
    });
  }
  if (has_failed) {
    found.ttl = absl::ZeroDuration();  // ask again soon
  }
  if (!found.candidates.empty()) {
    found.standing = PrimaryStanding::kFound;
    found.hosts = found.candidates == before.candidates ? before.hosts
                                                        : InOrder(found.candidates, by_mx, random);
    found.reason.clear();
  } else if (has_failed) {
    found.standing = PrimaryStanding::kFailed;
  } else if (refused > 0) {
    found.standing = PrimaryStanding::kNotAllowed;
    found.reason = "every address lies outside of allowed_networks";
  } else if (our_preference != UINT32_MAX && by_mx) {
    found.standing = PrimaryStanding::kBestMx;
    found.reason = fmt::format("no MX of {} is better than ours", list_.mx_domain);
  } else if (our_preference != UINT32_MAX) {
    found.standing = PrimaryStanding::kSelf;
    found.reason = "its addresses are listeners of ours";
  } else {
    found.standing = PrimaryStanding::kNoAddress;
    found.reason = "no host of it has an address";
  }
  return found;
}

}  // namespace backstay
