// core/control/message_row.h -- one queued message as the operator sees it: why it waits, and until
// when.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/shard/question.h"

namespace backstay {

struct RecipientRow {
  enum class State : uint8_t {
    kActive,    // being handed on
    kDue,       // has its turn as soon as a connection is free
    kDeferred,  // waits for the primary, or for its next try
    kHeld,      // by the operator, or its domain is not configured, or its primary is held
    kExpiring,  // given up; its report comes next
    kPending    // settled, but its sender is owed a report of it
  };
  std::string address;
  std::string domain;
  State state = State::kDue;
  std::string reason;     // why it waits; empty: nothing is in its way
  uint32_t attempts = 0;  // of its own, not those that the primary made impossible
  // Of its schedule, whatever was tried: while the primary is down they are charged all the same.
  uint32_t retries = 0;
  std::optional<uint32_t> max_retries;  // at the last of them it is given up; nothing: only by age
  std::optional<WallTime> next_try;     // nothing: when what `reason` says has changed
  std::optional<WallTime> expires;      // nothing: never
  bool is_elsewhere = false;            // of a list of some domains: it is in none of them
};

struct MessageRow {
  std::string queue_id;
  WallTime arrival;
  uint64_t bytes = 0;
  std::string sender;
  std::vector<RecipientRow> recipients;  // those that are still to be delivered
};

std::string_view NameOf(RecipientRow::State state);

// A recipient of it waits.
bool IsLiveAnywhere(const Spool& spool, MessageRef message);

// `with_pending`: also the recipients of whom only a report is owed.
MessageRow DescribeMessage(const ShardView& view, MessageRef message, const MessageHead& head,
                           bool with_pending);

}  // namespace backstay
