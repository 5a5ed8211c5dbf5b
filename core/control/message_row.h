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
    kHeld,      // by the operator, or its domain is not configured
    kExpiring   // given up; its report comes next
  };
  std::string address;
  State state = State::kDue;
  std::string reason;  // why it waits; empty: nothing is in its way
  uint32_t attempts = 0;
  std::optional<WallTime> next_try;  // nothing: when what `reason` says has changed
  std::optional<WallTime> expires;   // nothing: never
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

MessageRow DescribeMessage(const ShardView& view, MessageRef message, const MessageHead& head);

}  // namespace backstay
