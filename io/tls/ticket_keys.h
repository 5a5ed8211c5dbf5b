// io/tls/ticket_keys.h -- keys of session tickets: renewed by time, the same in every shard.
//
// A client that comes back may come to another shard. So that shards need not talk, each has a copy
// of its own, made from one secret and one start time, and each renews it by itself: the secret of
// a period is a hash of the one before, so all copies agree. What is over is wiped; nobody who
// reads our memory later can compute it, and with it the sessions of that time.
//
// Life:  a value. AdvanceTo(now) before a handshake.
// Units: kPeriod is how long new tickets get one key; it opens tickets for one period more.
// See:   RFC 5077 s4 (the form of a ticket), RFC 8446 s4.6.1.
#pragma once

#include <openssl/base.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/base/units.h"

namespace backstay {

using TicketSecret = std::array<uint8_t, 32>;

// From the system; never from core/base/random.h.
TicketSecret NewTicketSecret();

class TicketKeys {
 public:
  static constexpr absl::Duration kPeriod = absl::Hours(6);
  // A ticket is accepted for so long, so its key is there as long as it.
  static constexpr absl::Duration kTicketLife = kPeriod;

  TicketKeys(const TicketSecret& secret, Instant start);
  TicketKeys(const TicketKeys&) = default;
  TicketKeys& operator=(const TicketKeys&) = default;
  ~TicketKeys();

  void AdvanceTo(Instant now);

  // The two halves of SSL_CTX_set_tlsext_ticket_key_cb. `name` has 16 bytes, `iv` has 16.
  // True: the contexts are ready to make a ticket.
  bool Seal(uint8_t* name, uint8_t* iv, EVP_CIPHER_CTX* cipher, HMAC_CTX* hmac) const;
  enum class Opened : uint8_t { kUnknown, kCurrent, kPrevious };
  Opened Open(const uint8_t* name, const uint8_t* iv, EVP_CIPHER_CTX* cipher, HMAC_CTX* hmac) const;

 private:
  struct Key {
    std::array<uint8_t, 16> name;
    std::array<uint8_t, 32> cipher;
    std::array<uint8_t, 32> hmac;
  };
  void Renew();

  TicketSecret secret_;  // of the next period
  Key current_;
  Key previous_;
  bool has_previous_ = false;
  Instant renewal_;
};

}  // namespace backstay
