// spool/sweep.cc -- segment by segment, from message to message that is still owed.
#include "spool/sweep.h"

#include <algorithm>

#include "core/base/mark.h"

namespace backstay {
namespace {

bool MayHave(const SegmentIndex& index, const Deletion& deletion) {
  return deletion.domains.empty() ||
         std::any_of(deletion.domains.begin(), deletion.domains.end(), [&](DomainId domain) {
           return index.LiveRecipients(domain) > 0 || index.PendingRecipients(domain) > 0;
         });
}

}  // namespace

void Sweep::Step(RuleBook& rules, uint32_t messages_max, std::optional<MessageRef> in_flight,
                 uint64_t outcomes_queued, Gone gone) {
  uint32_t budget = messages_max;
  waits_ = false;
  while (!rules.deletions().empty() && budget > 0) {
    const Deletion& deletion = rules.deletions().front();
    Segment* segment = segments_.FindFrom(segment_);
    if (segment == nullptr || segment->number() > deletion.cut.segment) {
      rules.deletions().erase(rules.deletions().begin());
      segment_ = 0;
      block_ = 0;
      continue;
    }
    block_ = segment->number() == segment_ ? block_ : 0;
    segment_ = segment->number();
    if (MayHave(segment->index, deletion) &&
        StepSegment(*segment, deletion, budget, outcomes_queued, gone)) {
      continue;
    }
    budget -= std::min(budget, static_cast<uint32_t>(deletion.domains.size()));
    waits_ = in_flight.has_value() && in_flight->segment == segment_ && *in_flight < deletion.cut;
    if (waits_) {
      MARK("deletion waits for the batch in flight");
      return;
    }
    ++segment_;
    block_ = 0;
  }
}

bool Sweep::StepSegment(Segment& segment, const Deletion& deletion, uint32_t& budget,
                        uint64_t outcomes_queued, Gone gone) {
  SegmentIndex& index = segment.index;
  const uint64_t filter =
      deletion.domains.empty() ? ~uint64_t{0} : index.FilterOf(deletion.domains);
  uint32_t from = index.FirstBehind(block_);
  for (; budget > 0; --budget) {
    const std::optional<uint32_t> next = index.NextOwed(from, filter);
    if (!next.has_value()) {
      return false;
    }
    const MessageRef message{segment.number(), index.Block(*next)};
    if (message >= deletion.cut) {
      return false;
    }
    const uint32_t recipients = index.Recipients(*next);
    for (uint32_t recipient = 0; recipient < recipients; ++recipient) {
      const bool is_owed = index.IsLive(*next, recipient) || index.IsPending(*next, recipient);
      if (is_owed && deletion.IsFor(index.Domain(*next, recipient))) {
        index_.Settle(message, recipient, Ending::kDiscarded, outcomes_queued);
        gone(message, recipient);
      }
    }
    from = *next + 1;
    block_ = message.block;
  }
  return true;
}

}  // namespace backstay
