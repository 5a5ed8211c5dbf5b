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
  return census_.Enter(client, limits_.connections_per_client_max) ? replies::kOk
                                                                   : replies::kTooManyConnections;
}

void Admission::Forget(const ClientKey& client) {
  census_.Leave(client);
}

}  // namespace backstay
