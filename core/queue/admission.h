// core/queue/admission.h -- how many connections, in all and from one client. Pure counting.
//
// One client is an IPv4 address or an IPv6 /64 (DESIGN 3.2).
// Units: limits are this shard's share; the caller divides.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
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
  Reply Identify(const std::array<uint8_t, 16>& address, bool is_v6);
  void Forget(const std::array<uint8_t, 16>& address, bool is_v6);
  size_t connections() const { return connections_; }
  size_t clients() const { return clients_.size(); }

 private:
  struct Client {
    uint64_t prefix = 0;  // the address, or the first half of an IPv6 address
    bool is_v6 = false;
    friend bool operator==(const Client&, const Client&) = default;
    template <typename H>
    friend H AbslHashValue(H state, const Client& client) {
      return H::combine(std::move(state), client.prefix, client.is_v6);
    }
  };
  static Client ClientOf(const std::array<uint8_t, 16>& address, bool is_v6);

  AdmissionLimits limits_;
  size_t connections_ = 0;
  absl::flat_hash_map<Client, uint32_t> clients_;  // no zero entries
};

}  // namespace backstay
