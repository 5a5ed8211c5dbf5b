// core/control/message_row.cc -- the operator's rules first, then the primary, then its own 4xx.
#include "core/control/message_row.h"

#include <fmt/format.h>

#include "core/base/check.h"
#include "core/shard/retry_origin.h"
#include "core/smtp/envelope.h"

namespace backstay {
namespace {

using RowState = RecipientRow::State;

// The deferral of its own that still counts. Null: none.
const Deferral* DeferralOf(const Lane& lane, MessageRef message, uint32_t recipient,
                           const Standing& standing) {
  const Deferral* deferral =
      lane.queue().deferrals().Find({message.segment, message.block, recipient});
  const bool counts = deferral != nullptr && deferral->last_try >= standing.schedule_from;
  return counts ? deferral : nullptr;
}

std::string_view HeldBy(const Standing& standing, DomainStop stop) {
  if (standing.is_parked) {
    return "held: its time is over, on_expiry = \"hold\" (backstay queue release, bounce, delete)";
  }
  return stop == DomainStop::kByBreaker
             ? "held by the breaker: the primary refuses everybody (backstay primary release)"
             : "held by the operator";
}

// `route`: null for a report that has a way of its own.
void DescribeWait(const ShardView& view, const Route* route, const Deferral* deferral,
                  RecipientRow& row) {
  const WallTime now = view.io.WallNow();
  if (deferral != nullptr) {
    row.attempts = deferral->attempts;
    row.reason = fmt::format("{} {}", deferral->code, deferral->text);
  }
  if (route != nullptr && route->hosts().empty()) {
    row.state = RowState::kHeld;
    row.reason =
        fmt::format("primary {}: {}", Describe(route->standing()), route->standing_reason());
  } else if (route != nullptr && !route->destination().may_deliver()) {
    row.state = RowState::kDeferred;
    row.reason =
        fmt::format("primary {}: {}", Describe(route->destination().state()), route->last_reason());
  } else if (deferral != nullptr && deferral->next_try > view.spool.Clock()) {
    row.state = RowState::kDeferred;
    row.next_try = now + (deferral->next_try - view.spool.Clock());
  } else {
    row.next_try = now;
  }
}

RecipientRow DescribeRecipient(const ShardView& view, MessageRef message, uint32_t recipient,
                               DomainId domain) {
  RecipientRow row;
  const Lane* lane = view.routes.LaneOf(domain);
  const Standing standing = view.spool.StandingOf(message, domain);
  if (standing.is_held) {
    row.state = RowState::kHeld;
    row.reason = HeldBy(standing, view.spool.StopOf(domain));
    return row;
  }
  if (standing.is_expired) {
    row.state = RowState::kExpiring;
    row.reason = "given up by the operator";
    return row;
  }
  if (lane == nullptr) {
    row.state = RowState::kHeld;
    row.reason = "its domain is not configured";
    return row;
  }
  const RetryPolicy& policy = view.routes.PolicyOf(domain);
  if (policy.on_expiry == OnExpiry::kBounce) {
    const SpoolTime end = policy.End(OriginOf(view.spool.Arrival(message), standing));
    row.expires = view.io.WallNow() + (end - view.spool.Clock());
  }
  if (lane->queue().in_flight(message)) {
    row.state = RowState::kActive;
    return row;
  }
  DescribeWait(view, view.routes.RouteOf(domain), DeferralOf(*lane, message, recipient, standing),
               row);
  return row;
}

}  // namespace

std::string_view NameOf(RecipientRow::State state) {
  switch (state) {
    case RowState::kActive:
      return "active";
    case RowState::kDue:
      return "due";
    case RowState::kDeferred:
      return "deferred";
    case RowState::kHeld:
      return "held";
    case RowState::kExpiring:
      return "expiring";
  }
  UNREACHABLE();
}

bool IsLiveAnywhere(const Spool& spool, MessageRef message) {
  for (uint32_t recipient = 0; recipient < spool.Recipients(message); ++recipient) {
    if (spool.IsLive(message, recipient)) {
      return true;
    }
  }
  return false;
}

MessageRow DescribeMessage(const ShardView& view, MessageRef message, const MessageHead& head) {
  MessageRow row;
  const auto id = view.spool.Id(message).ToText();
  row.queue_id.assign(id.data(), id.size());
  row.arrival = head.arrival_wall;
  row.bytes = head.content_bytes;
  const std::optional<Envelope> envelope = DecodeEnvelope(head.envelope);
  const bool has_addresses =
      envelope.has_value() && envelope->recipients.size() == head.recipient_domains.size();
  row.sender = envelope.has_value() ? envelope->reverse_path : "?";
  for (uint32_t i = 0; i < head.recipient_domains.size(); ++i) {
    if (!view.spool.IsLive(message, i)) {
      continue;
    }
    const std::string_view domain = head.domains[head.recipient_domains[i]];
    RecipientRow recipient = DescribeRecipient(view, message, i, view.spool.Intern(domain));
    recipient.address =
        has_addresses ? envelope->recipients[i].address : fmt::format("?@{}", domain);
    row.recipients.push_back(std::move(recipient));
  }
  return row;
}

}  // namespace backstay
