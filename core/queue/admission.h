// core/queue/admission.h -- how many connections, in all and from one client. Pure counting.
//
// Units: limits are this shard's share; the caller divides.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "core/queue/client_key.h"
#include "core/smtp/reply.h"

namespace backstay {

struct AdmissionLimits {
  size_t connections_max = 1;
  size_t connections_per_client_max = 1;
};

class Admission {
 public:
  explicit Admission(const AdmissionLimits& limits) : limits_(limits) {}
  void SetLimits(const AdmissionLimits& limits) { limits_ = limits; }

  // How long a message waits for the disk now: beyond kBusyDelay new transactions are put off,
  // beyond kFullDelay new connections. Clients who are inside keep what they began.
  static constexpr absl::Duration kBusyDelay = absl::Seconds(5);
  static constexpr absl::Duration kFullDelay = absl::Seconds(15);

  // Two counts, because behind a proxy the client is known later than the connection. Positive:
  // counted, Leave or Forget is owed. Otherwise the 421 to send.
  Reply Enter(absl::Duration delay);
  static Reply MayBegin(absl::Duration delay);
  void Leave();
  Reply Identify(const ClientKey& client);
  void Forget(const ClientKey& client);
  size_t connections() const { return connections_; }
  size_t clients() const { return clients_.size(); }

 private:
  AdmissionLimits limits_;
  size_t connections_ = 0;
  absl::flat_hash_map<ClientKey, uint32_t> clients_;  // no zero entries
};

}  // namespace backstay
