// core/queue/admission.cc -- two limits.
#include "core/queue/admission.h"

#include "core/base/check.h"
#include "core/base/mark.h"

namespace backstay {

Reply Admission::Enter(absl::Duration delay) {
  if (connections_ >= limits_.connections_max) {
    return replies::kServerFull;
  }
  if (delay > kFullDelay) {
    MARK("disk_too_slow_to_connect");
    return replies::kServerBusy;
  }
  ++connections_;
  return replies::kOk;
}

Reply Admission::MayBegin(absl::Duration delay) {
  if (delay > kBusyDelay) {
    MARK("disk_too_slow_to_begin");
    return replies::kOverloaded;
  }
  return replies::kMailOk;
}

void Admission::Leave() {
  ASSERT(connections_ > 0);
  --connections_;
}

Reply Admission::Identify(const ClientKey& client) {
  const auto found = clients_.find(client);
  const size_t count = found == clients_.end() ? 0 : found->second;
  if (count >= limits_.connections_per_client_max) {
    return replies::kTooManyConnections;  // and a refused stranger leaves no entry
  }
  ++clients_[client];
  return replies::kOk;
}

void Admission::Forget(const ClientKey& client) {
  const auto found = clients_.find(client);
  ASSERT(found != clients_.end());
  if (--found->second == 0) {
    clients_.erase(found);
  }
}

}  // namespace backstay
