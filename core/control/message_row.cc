// core/control/message_row.cc -- the operator's rules first, then the primary, then its own 4xx; of
// what is over, what was said.
#include "core/control/message_row.h"

#include <fmt/format.h>

#include "core/base/check.h"
#include "core/queue/deferral_table.h"
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

// Nothing held is charged: a release begins anew.
void DescribeSchedule(const ShardView& view, const RetryPolicy& policy, const RetryOrigin& origin,
                      RecipientRow& row) {
  const SpoolTime now = view.spool.Clock();
  row.retries = policy.RetriesCharged(origin.schedule, now);
  if (policy.max_retries > 0) {
    row.max_retries = policy.max_retries;
  }
  if (policy.on_expiry == OnExpiry::kBounce) {
    row.expires = view.io.WallNow() + (policy.End(origin) - now);
  }
}

// A failure that left no note is one all the same.
RecipientRow DescribeDebt(const ShardView& view, MessageRef message, uint32_t recipient) {
  const Deferral last =
      DecodeDeferralNote(view.spool.FailureOf(message, recipient)).value_or(Deferral());
  RecipientRow row;
  row.state = RowState::kPending;
  row.attempts = last.attempts;
  row.reason = last.is_relayed ? "handed on" : "failed";
  if (last.code != 0 || !last.text.empty()) {
    row.reason += last.code != 0 ? fmt::format(": {} {}", last.code, last.text) : ": " + last.text;
  }
  row.reason += view.snapshot.reports.has_value()
                    ? "; its sender will be told"
                    : "; its sender will be told when there is a route (dsn.route is \"off\")";
  return row;
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
    row.state = route->is_held() ? RowState::kHeld : RowState::kDeferred;
    row.reason =
        fmt::format("primary {}: {}", Describe(route->standing()), route->standing_reason());
  } else if (route != nullptr && route->is_held()) {
    row.state = RowState::kHeld;
    row.reason = fmt::format("primary held: {}", route->last_reason());
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
  if (lane->queue().in_flight(message)) {
    row.state = RowState::kActive;
  } else {
    DescribeWait(view, view.routes.RouteOf(domain), DeferralOf(*lane, message, recipient, standing),
                 row);
  }
  if (row.state != RowState::kHeld) {
    DescribeSchedule(view, view.routes.PolicyOf(domain), view.routes.CountsFrom(message, domain),
                     row);
  }
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
    case RowState::kPending:
      return "dsn pending";
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

MessageRow DescribeMessage(const ShardView& view, MessageRef message, const MessageHead& head,
                           bool with_pending) {
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
    const bool is_live = view.spool.IsLive(message, i);
    if (!is_live && !(with_pending && view.spool.IsPending(message, i))) {
      continue;
    }
    const std::string_view domain = head.domains[head.recipient_domains[i]];
    RecipientRow recipient = is_live
                                 ? DescribeRecipient(view, message, i, view.spool.Intern(domain))
                                 : DescribeDebt(view, message, i);
    recipient.address =
        has_addresses ? envelope->recipients[i].address : fmt::format("?@{}", domain);
    recipient.domain = domain;
    row.recipients.push_back(std::move(recipient));
  }
  return row;
}

}  // namespace backstay
