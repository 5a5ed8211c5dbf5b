// core/shard/attempt.h -- one try of one message to one destination, as a value.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "core/smtp/client_session.h"
#include "core/smtp/envelope.h"
#include "io/socket_address.h"
#include "spool/spool.h"

namespace backstay {

struct Attempt {
  MessageRef message;
  uint32_t from_recipient = 0;  // recipients before it had their turn in an earlier transaction
  // DESIGN 6: recovery overrides every due time; such an attempt is not on the schedule.
  bool recovery = false;
  uint32_t era = 0;     // of the ramp, when it was begun
  uint32_t breaks = 0;  // connections that ended with it, nothing being said of it
};

// How an attempt ended; views, for the length of the call that brings them. Vectors are parallel.
struct AttemptReport {
  const Envelope& envelope;
  const std::vector<uint32_t>& recipients;
  const std::vector<DomainId>& domains;
  const std::vector<Outcome>& outcomes;
  // Recipients from there on did not fit this transaction.
  std::optional<uint32_t> more_from = std::nullopt;
  bool is_chained = false;  // its commands left behind another's end of data
  bool offers_dsn = false;  // the primary, to this session: it tells senders of successes
  SpoolTime arrival;
  const SocketAddress& relay;
  std::string_view relay_name = {};  // as configured or found in the DNS
  std::string_view tls = {};         // "TLSv1.3"; empty: clear text
  uint64_t connection = 0;           // its number in the log
  absl::Duration connecting = {};    // to EHLO; zero but for the connection's first message
  absl::Duration transmitting = {};  // since MAIL
};

}  // namespace backstay
