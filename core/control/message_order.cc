// core/control/message_order.cc -- a piece of the list, then the wait for the disk.
#include "core/control/message_order.h"

#include <algorithm>

#include "core/control/message_row.h"
#include "core/shard/rule_clerk.h"

namespace backstay {
namespace {

uint64_t CountPending(const ShardView& view, MessageRef message) {
  uint64_t count = 0;
  for (uint32_t i = 0; i < view.spool.Recipients(message); ++i) {
    count += view.spool.IsPending(message, i) ? 1 : 0;
  }
  return count;
}

}  // namespace

std::optional<MessageRef> MessageOrder::Next(const ShardView& view) {
  if (!view.is_queue_ready) {
    return std::nullopt;
  }
  std::vector<MessageRef> changed;
  const size_t end = std::min(ids_.size(), at_ + kPiece);
  for (; at_ < end && !is_full_; ++at_) {
    Take(view, ids_[at_], changed);
  }
  if (is_full_) {
    at_ = ids_.size();
  }
  if (!changed.empty()) {
    view.rules.OnMessagesChanged(rule_, changed);
    outcome_ = view.spool.SettlesQueued();
  }
  is_on_disk_ = view.spool.OutcomesSynced() >= outcome_;
  takes_none_ = view.spool.SettlesDecided() >= outcome_;
  return std::nullopt;
}

void MessageOrder::Take(const ShardView& view, const QueueId& id,
                        std::vector<MessageRef>& changed) {
  const MessageRef message{id.segment, id.block};
  // An id of another node's spool may name a place of this one.
  const bool is_meant = rule_.verb == RuleVerb::kDelete ? view.spool.IsOwed(message)
                                                        : IsLiveAnywhere(view.spool, message);
  if (!is_meant || view.spool.Id(message) != id) {
    ++unknown_;
    return;
  }
  std::optional<uint64_t> count = view.spool.CountInMessage(rule_, message);
  const uint64_t reports = rule_.verb == RuleVerb::kDelete ? CountPending(view, message) : 0;
  if (!counts_only_) {
    count = view.spool.ApplyToMessage(rule_, message);
    if (!count.has_value()) {
      is_full_ = true;
      return;
    }
    changed.push_back(message);
  }
  ++messages_;
  if (named_.size() < kNamedMax) {
    named_.push_back(id);
  }
  recipients_ += *count - reports;
  reports_ += reports;
}

}  // namespace backstay
