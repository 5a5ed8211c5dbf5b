// core/queue/conduct.cc -- allowances that are used and come back.
#include "core/queue/conduct.h"

#include <algorithm>

#include "core/base/mark.h"

namespace backstay {
namespace {

// For each connection that a client may have.
struct Allowance {
  double in_all;
  double a_second;
};
constexpr Allowance kAllowances[Conduct::kOffences] = {{2, 0.002}, {0.5, 0.002}, {4, 1}};

constexpr absl::Duration kSweepEvery = absl::Seconds(1);

size_t IndexOf(Offence offence) {
  return static_cast<size_t>(offence);
}

double CapacityOf(Offence offence, double scale) {
  return std::max(kAllowances[IndexOf(offence)].in_all * scale, 1.0);
}

bool IsClear(const std::array<double, Conduct::kOffences>& used) {
  return std::all_of(used.begin(), used.end(), [](double part) { return part <= 0; });
}

}  // namespace

void Conduct::Settle(Account& account, Instant now) const {
  const double seconds = absl::ToDoubleSeconds(now - account.at);
  account.at = now;
  for (size_t index = 0; index < kOffences; ++index) {
    const double back = kAllowances[index].a_second * scale_ * seconds;
    account.used[index] = std::max(account.used[index] - back, 0.0);
  }
}

// All are looked at now and then only: an attack with many addresses may not pay with our time.
void Conduct::MakeRoomFor(const ClientKey& client, Instant now) {
  if (accounts_.size() < kClientsMax) {
    return;
  }
  if (now - swept_ >= kSweepEvery) {
    swept_ = now;
    absl::erase_if(accounts_, [this, now](auto& entry) {
      Settle(entry.second, now);
      return IsClear(entry.second.used);
    });
  }
  if (accounts_.size() >= kClientsMax) {
    MARK("client_forgiven");
    const auto next = accounts_.lower_bound(client);
    accounts_.erase(next == accounts_.end() ? accounts_.begin() : next);
  }
}

void Conduct::Charge(const ClientKey& client, Offence offence, Instant now) {
  auto found = accounts_.find(client);
  if (found == accounts_.end()) {
    MakeRoomFor(client, now);
    found = accounts_.emplace(client, Account{now, {}}).first;
  }
  Settle(found->second, now);
  // More than is there cannot be used: it comes back in a bounded time.
  double& used = found->second.used[IndexOf(offence)];
  used = std::min(used + 1, CapacityOf(offence, scale_));
}

void Conduct::Reward(const ClientKey& client, size_t recipients, Instant now) {
  const auto found = accounts_.find(client);
  if (found == accounts_.end()) {
    return;
  }
  Account& account = found->second;
  Settle(account, now);
  account.used[IndexOf(Offence::kUnknownRecipient)] -= static_cast<double>(recipients);
  account.used[IndexOf(Offence::kBrokenMessage)] -= 1;
  if (IsClear(account.used)) {
    accounts_.erase(found);
  }
}

bool Conduct::IsUsedUp(const ClientKey& client, Offence offence, Instant now) {
  const auto found = accounts_.find(client);
  if (found == accounts_.end()) {
    return false;
  }
  Settle(found->second, now);
  return found->second.used[IndexOf(offence)] > CapacityOf(offence, scale_) - 1;
}

Reply Conduct::MayHandshake(const ClientKey& client, Instant now) {
  if (IsUsedUp(client, Offence::kHandshake, now)) {
    MARK("too_many_handshakes");
    return replies::kTooManyHandshakes;
  }
  return replies::kReadyForTls;
}

Reply Conduct::MayConnect(const ClientKey& client, Instant now) {
  if (IsUsedUp(client, Offence::kUnknownRecipient, now)) {
    MARK("too_many_unknown_recipients");
    return replies::kTooManyUnknown;
  }
  if (IsUsedUp(client, Offence::kBrokenMessage, now)) {
    MARK("too_many_broken_messages");
    return replies::kTooManyBroken;
  }
  return replies::kOk;
}

}  // namespace backstay
