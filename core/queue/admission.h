// core/queue/admission.h -- how many connections, in all and from one client. Pure counting.
//
// Units: the limit in all is this shard's share; the one of a client is of all shards together.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/units.h"
#include "core/queue/client_census.h"
#include "core/queue/client_key.h"
#include "core/smtp/reply.h"

namespace backstay {

struct AdmissionLimits {
  size_t connections_max = 1;
  size_t connections_per_client_max = 1;
  // What a client's allowances of offences are in proportion to, on this shard (Conduct).
  size_t conduct_scale = 1;
};

class Admission {
 public:
  Admission(const AdmissionLimits& limits, ClientCensus& census)
      : limits_(limits), census_(census) {}
  void SetLimits(const AdmissionLimits& limits) { limits_ = limits; }

  // How long a message waits for the disk now: beyond kBusyDelay new transactions are put off and
  // clients have to be quick (Stress), beyond kFullDelay new connections are refused. Clients who
  // are inside keep what they began.
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
  size_t connections_max() const { return limits_.connections_max; }

 private:
  AdmissionLimits limits_;
  size_t connections_ = 0;
  ClientCensus& census_;
};

}  // namespace backstay
