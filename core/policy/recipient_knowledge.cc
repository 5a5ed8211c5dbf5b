// core/policy/recipient_knowledge.cc -- two decisions.
#include "core/policy/recipient_knowledge.h"

#include <algorithm>

#include "core/base/check.h"

namespace backstay {
namespace {

constexpr int kMinuteBits = 30;
constexpr uint32_t kMinuteMask = (uint32_t{1} << kMinuteBits) - 1;
constexpr int64_t kNanosecondsPerMinute = 60'000'000'000;

uint32_t BitsOf(Knowledge::Kind kind, WallTime at) {
  const int64_t minutes =
      std::clamp<int64_t>(at.nanoseconds() / kNanosecondsPerMinute, 0, int64_t{kMinuteMask});
  return static_cast<uint32_t>(kind) << kMinuteBits | static_cast<uint32_t>(minutes);
}

}  // namespace

Knowledge::Knowledge(Kind kind, WallTime at) : bits_(BitsOf(kind, at)) {}

std::optional<Knowledge> Knowledge::FromBits(uint32_t bits) {
  return bits >> kMinuteBits <= static_cast<uint32_t>(Kind::kDoubted)
             ? std::optional(Knowledge(bits))
             : std::nullopt;
}

WallTime Knowledge::at() const {
  return WallTime::FromNanoseconds(int64_t{bits_ & kMinuteMask} * kNanosecondsPerMinute);
}

// A negative from ahead would refuse for years. A positive does no harm, and it is asked again.
bool Knowledge::IsOver(WallTime now) const {
  return is_positive() ? now - at() >= kPositiveFor : now - at() >= kNegativeFor || IsAhead(now);
}

bool Knowledge::IsStale(WallTime now) const {
  const absl::Duration age = IsAhead(now) ? absl::InfiniteDuration() : now - at();
  switch (kind()) {
    case Kind::kPositive:
      return age >= kRefreshAfter;
    case Kind::kDoubted:
      return age >= kSecondNegativeAfter;
    case Kind::kNegative:
      return IsOver(now);
  }
  UNREACHABLE();
}

RecipientAction ActionFor(std::optional<Knowledge> known, bool takes_all, PrimaryHealth health,
                          WallTime now) {
  const bool is_known = known.has_value() && !known->IsOver(now);
  if (is_known && !known->is_positive()) {
    return RecipientAction::kRefuse;
  }
  if (takes_all) {
    return RecipientAction::kAccept;
  }
  if (!is_known) {
    switch (health) {
      case PrimaryHealth::kUp:
        return RecipientAction::kAsk;
      case PrimaryHealth::kUnsure:
      case PrimaryHealth::kAway:
        return RecipientAction::kLater;
    }
    UNREACHABLE();
  }
  return health == PrimaryHealth::kUp && known->IsStale(now) ? RecipientAction::kAcceptAndAsk
                                                             : RecipientAction::kAccept;
}

std::optional<Knowledge> Learn(std::optional<Knowledge> known, bool positive, PrimaryHealth health,
                               WallTime now) {
  if (positive) {
    return Knowledge(Knowledge::Kind::kPositive, now);
  }
  if (health != PrimaryHealth::kUp) {
    return std::nullopt;
  }
  if (!known.has_value() || known->IsOver(now) || !known->is_positive()) {
    return Knowledge(Knowledge::Kind::kNegative, now);
  }
  if (known->kind() == Knowledge::Kind::kPositive || known->IsAhead(now)) {
    return Knowledge(Knowledge::Kind::kDoubted, now);
  }
  if (now - known->at() < Knowledge::kSecondNegativeAfter) {
    return std::nullopt;
  }
  return Knowledge(Knowledge::Kind::kNegative, now);
}

}  // namespace backstay
