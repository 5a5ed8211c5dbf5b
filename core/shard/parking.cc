// core/shard/parking.cc -- from the oldest message on, up to the first whose time is not over.
#include "core/shard/parking.h"

#include "core/base/log.h"
#include "core/base/mark.h"

namespace backstay {
namespace {

// A few milliseconds of a turn; the rest of millions follows in later ones.
constexpr uint64_t kMessagesPerStepMax = 16'384;
// Of a domain, however much is parked meanwhile.
constexpr absl::Duration kTellEvery = absl::Hours(6);

}  // namespace

// For all its recipients there. A real failure at or after the end, as for giving up; what is under
// way is looked at later.
bool Parking::IsOver(DomainId domain, MessageRef message) const {
  for (uint32_t i = 0; i < spool_.Recipients(message); ++i) {
    if (spool_.IsLive(message, i) && spool_.DomainOf(message, i) == domain &&
        !routes_.IsOver(message, i, OnExpiry::kHold)) {
      return false;
    }
  }
  return true;
}

// What is said of one message is said of all its recipients.
bool Parking::IsOverForAll(MessageRef message) const {
  for (uint32_t i = 0; i < spool_.Recipients(message); ++i) {
    if (spool_.IsLive(message, i) && !routes_.IsOver(message, i, OnExpiry::kHold)) {
      return false;
    }
  }
  return true;
}

void Parking::ParkOne(MessageRef message) {
  MARK("message_parked_by_itself");
  Rule rule;
  rule.verb = RuleVerb::kPark;
  spool_.ApplyToMessage(rule, message);
}

bool Parking::Step(DomainId domain) {
  std::optional<MessageRef> last;
  uint64_t parked = 0;
  uint64_t seen = 0;
  const auto left = left_.find(domain);
  // Without what is held already.
  std::optional<MessageRef> next = spool_.NextDeliverable(
      domain, left == left_.end() ? std::nullopt : std::optional(left->second));
  std::optional<MessageRef> looked_at;
  for (; next.has_value() && seen < kMessagesPerStepMax; ++seen) {
    const MessageRef message = *next;
    looked_at = message;
    next = spool_.NextDeliverable(domain, message);
    if (spool_.HasOwnOrder(message)) {
      // Where it lies says nothing of its age.
      if (IsOverForAll(message)) {
        ParkOne(message);
        ++parked;
      }
    } else if (IsOver(domain, message)) {
      last = message;
      ++parked;
    } else {
      break;
    }
  }
  if (last.has_value()) {
    spool_.Park(domain, *last);
  }
  if (parked > 0) {
    Tell(domain, parked);
  }
  if (next.has_value() && seen == kMessagesPerStepMax) {
    left_[domain] = *looked_at;
    return true;
  }
  left_.erase(domain);
  return false;
}

void Parking::Tell(DomainId domain, uint64_t messages) {
  Instant& from = tell_from_[domain];
  if (io_.Now() < from) {
    return;
  }
  from = io_.Now() + kTellEvery;
  const std::string name(spool_.Name(domain));
  LogWarning(
      "held: {} messages for {} could not be delivered in their time, and on_expiry = \"hold\" "
      "keeps them; older ones and later ones like them as well, without another line for hours. "
      "They wait for: backstay queue release {}, queue bounce {} or queue delete {}",
      messages, Escaped(name), Escaped(name), Escaped(name), Escaped(name));
}

}  // namespace backstay
