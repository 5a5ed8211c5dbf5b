// core/event/event.h -- what happened to a client or to one message, as a value of views.
//
// Owns:  nothing: every view lives until the call that is given the event returns.
// See:   json_line.h, postfix_lines.h for what becomes of it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/base/units.h"
#include "core/smtp/envelope.h"
#include "core/smtp/reply.h"

namespace backstay {

enum class EventKind : uint8_t {
  kConnected,
  kDisconnected,
  kTurnedAway,   // at connect, with `reply`
  kRejected,     // `command`, with `reply`
  kQueued,       // 250 was given
  kDelivered,    // one recipient, as all below
  kDeferred,     // by the primary, for itself
  kFailed,       // a DSN is owed
  kDiscarded,    // failed, of a null reverse-path
  kExpired,      // its time was over
  kQuarantined,  // the message is damaged on disk
  kRemoved,      // the message: its last recipient is settled
  kLinesLost     // `lines` of this log
};

struct Event {
  EventKind kind = EventKind::kConnected;
  WallTime time;
  uint64_t connection = 0;  // its number in this run, the client's or ours to a primary
  std::string_view id;      // queue id

  std::string_view client;    // address
  std::string_view helo;      // empty: not said
  std::string_view protocol;  // "ESMTPS"
  std::string_view tls;       // "TLSv1.3", of the client or of the primary; empty: clear text
  std::string_view command;   // kRejected: "RCPT"; kTurnedAway: "CONNECT"

  std::optional<std::string_view> sender;  // without brackets; nothing: not known
  std::string_view recipient;
  std::span<const Recipient> recipients;  // kQueued
  std::string_view message_id;            // kQueued: with brackets; empty: it has none
  uint64_t bytes = 0;                     // kQueued: with our Received field

  std::string_view relay;  // address of the primary; empty: none was asked
  uint16_t relay_port = 0;
  Reply reply{0, {}, {}};       // code 0: there was none, `text` says why
  absl::Duration waited;        // in the queue
  absl::Duration connecting;    // to EHLO, if this message was the connection's first
  absl::Duration transmitting;  // from MAIL to the last reply

  uint64_t lines = 0;  // kLinesLost
};

}  // namespace backstay
