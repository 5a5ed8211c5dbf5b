// core/queue/conduct.h -- clients that cost more than they bring, over all of their connections.
//
// Each client has an allowance of every offence, which comes back with time; for recipients and
// broken messages also with mail that is taken. Whoever has used one up is turned away until it has
// some again. A large sender with a stale address in a hundred never notices.
//
// Units:  allowances are in proportion to the connections that one client may have (50 by default:
//         100 unknown recipients, 25 broken messages, 200 handshakes and 50 more each second).
// Owns:   kClientsMax accounts, of clients that owe something; beyond that one of them is forgiven.
// See:    reliability rows 69, 75, 96.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/container/btree_map.h"
#include "core/base/units.h"
#include "core/queue/client_key.h"
#include "core/smtp/reply.h"

namespace backstay {

enum class Offence : uint8_t { kUnknownRecipient, kBrokenMessage, kHandshake };

class Conduct {
 public:
  static constexpr size_t kClientsMax = 16'384;
  static constexpr size_t kOffences = 3;

  explicit Conduct(size_t connections_per_client) { SetLimit(connections_per_client); }
  void SetLimit(size_t connections_per_client) {
    scale_ = static_cast<double>(connections_per_client);
  }

  void Charge(const ClientKey& client, Offence offence, Instant now);
  // So many recipients of a message that was stored.
  void Reward(const ClientKey& client, size_t recipients, Instant now);
  // Positive, or why the client is turned away: for a handshake, or for what is asked at connect.
  Reply MayHandshake(const ClientKey& client, Instant now);
  Reply MayConnect(const ClientKey& client, Instant now);
  size_t clients() const { return accounts_.size(); }

 private:
  struct Account {
    Instant at;
    std::array<double, kOffences> used = {};
  };

  // What has come back until now is taken off.
  void Settle(Account& account, Instant now) const;
  void MakeRoomFor(const ClientKey& client, Instant now);
  bool IsUsedUp(const ClientKey& client, Offence offence, Instant now);

  double scale_ = 1;
  Instant swept_;
  absl::btree_map<ClientKey, Account> accounts_;
};

}  // namespace backstay
