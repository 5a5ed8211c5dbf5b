// core/shard/primary_tls.cc -- the modes of delivery.tls, and a short memory of hosts.
#include "core/shard/primary_tls.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"

namespace backstay {
namespace {

using Mode = DeliveryConfig::Tls;

// Long enough that a broken host costs a connection now and then, short enough that a repaired one
// is not spoken to in clear text for long.
constexpr absl::Duration kClearFor = absl::Minutes(10);
// More hosts than a list of primaries has addresses; beyond it the oldest is tried again early.
constexpr size_t kTroublesMax = 64;

}  // namespace

void PrimaryTls::UsePlan(DeliveryConfig::Tls mode, const TlsContext* context, bool is_home) {
  ASSERT((context == nullptr) == (mode == Mode::kOff));
  mode_ = mode;
  context_ = context;
  is_home_ = is_home;
  troubles_.clear();
}

TlsLevel PrimaryTls::needed() const {
  switch (mode_) {
    case Mode::kOff:
    case Mode::kOpportunistic:
      return TlsLevel::kClear;
    case Mode::kRequire:
      return TlsLevel::kEncrypted;
    case Mode::kVerify:
      return TlsLevel::kVerified;
  }
  UNREACHABLE();
}

TlsLevel PrimaryTls::level() const {
  return std::max(needed(), TlsLevel::kEncrypted);
}

ClientSession::Tls PrimaryTls::Wanted(const SocketAddress& host) const {
  if (needed() != TlsLevel::kClear) {
    return ClientSession::Tls::kAlways;
  }
  const bool in_clear = std::any_of(
      troubles_.begin(), troubles_.end(),
      [&](const Trouble& trouble) { return trouble.host == host && io_.Now() < trouble.until; });
  return mode_ == Mode::kOff || in_clear ? ClientSession::Tls::kNever
                                         : ClientSession::Tls::kIfOffered;
}

std::unique_ptr<TlsSession> PrimaryTls::MakeSession(const std::string& name) const {
  if (context_ == nullptr) {
    return nullptr;
  }
  const TlsVerify verify = mode_ == Mode::kVerify ? TlsVerify::kHost : TlsVerify::kNothing;
  return std::make_unique<TlsSession>(*context_, TlsSession::Client{name, verify});
}

void PrimaryTls::OnFailed(const SocketAddress& host, ClientSession::Failure failure,
                          std::string_view reason) {
  const bool required = needed() != TlsLevel::kClear;
  const auto found = std::find_if(troubles_.begin(), troubles_.end(),
                                  [&](const Trouble& trouble) { return trouble.host == host; });
  const bool is_news = found == troubles_.end() || found->told != failure;
  if (found != troubles_.end()) {
    troubles_.erase(found);
  } else if (troubles_.size() == kTroublesMax) {
    troubles_.erase(troubles_.begin());
  }
  troubles_.push_back({host, failure, io_.Now() + kClearFor});
  if (required) {
    MARK("tls_required_and_not_had");
  } else {
    MARK("tls_given_up");
  }
  if (is_news && (is_home_ || !required)) {
    LogWarning("tls: {}: {}; {}", host.ToString(), reason,
               required ? "its mail waits" : "its mail goes in clear text meanwhile");
  }
}

void PrimaryTls::OnSecure(const SocketAddress& host) {
  Forget(host);
}

void PrimaryTls::Forget(const SocketAddress& host) {
  troubles_.erase(std::remove_if(troubles_.begin(), troubles_.end(),
                                 [&](const Trouble& trouble) { return trouble.host == host; }),
                  troubles_.end());
}

}  // namespace backstay
