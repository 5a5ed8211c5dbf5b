// spool/replay.cc -- one entry after the other.
#include "spool/replay.h"

namespace backstay {

bool Replay::Apply(const OutcomeEntry& entry, Bytes detail) {
  const MessageRef message{entry.segment, entry.block};
  const auto code = static_cast<OutcomeCode>(entry.code);
  const bool is_live = index_.IsLive(message, entry.recipient);
  const bool is_pending = index_.IsPending(message, entry.recipient);
  // Neither: told twice, or of a segment that is gone. Of those some moved, and their records may
  // come later in the log than what was said of them: notes and marks wait for DropStale().
  const bool is_unknown = index_.Recipients(message) == 0;
  const auto note = [&] { notes_[{message, entry.recipient}] = std::string(AsText(detail)); };
  switch (code) {
    case OutcomeCode::kRule:
      return ApplyRule(message, detail);
    case OutcomeCode::kMark:
      return ApplyMark(message, detail);
    case OutcomeCode::kOwnRule:
      return ApplyOwnRule(message, detail);
    case OutcomeCode::kDeferred:
      if (!HasRoomForNote(notes_, {message, entry.recipient})) {
        return true;
      }
      if (is_live || is_unknown) {
        note();
      }
      return true;
    case OutcomeCode::kFailed:
      // Pending: of a message that was moved since, known as its record behind this says.
      if (is_unknown || is_pending) {
        note();
      }
      if (!is_live) {
        return true;
      }
      break;
    case OutcomeCode::kDelivered:
    case OutcomeCode::kDiscarded:
    case OutcomeCode::kQuarantined:
      if (!is_live && !is_pending) {
        notes_.erase({message, entry.recipient});
        return true;
      }
      break;
    default:
      return false;
  }
  index_.Settle(message, entry.recipient, EndingOf(static_cast<SettleKind>(code)), 0);
  if (code == OutcomeCode::kFailed) {
    note();
  } else {
    notes_.erase({message, entry.recipient});
  }
  return true;
}

bool Replay::ApplyRule(MessageRef cut, Bytes detail) {
  const std::optional<Rule> rule = DecodeRule(detail);
  if (!rule.has_value() || !IsOrder(rule->verb)) {
    return false;
  }
  rules_.Apply(*rule, cut, index_.Intern(rule->domains));
  return true;
}

bool Replay::ApplyMark(MessageRef message, Bytes detail) {
  const std::optional<Rule> rule = DecodeRule(detail);
  if (!rule.has_value() || (rule->verb >= RuleVerb::kDelete && rule->verb != RuleVerb::kPark)) {
    return false;
  }
  if (index_.IsOwed(message) || (index_.Recipients(message) == 0 && rules_.TakesMessages())) {
    rules_.ApplyToMessage(*rule, message);
  }
  return true;
}

bool Replay::ApplyOwnRule(MessageRef cut, Bytes detail) {
  const std::optional<Rule> rule = DecodeRule(detail);
  if (!rule.has_value() || IsOrder(rule->verb) || rule->domains.size() != 1) {
    return false;
  }
  rules_.ApplyOwn(*rule, cut, index_.Intern(rule->domains.front()));
  return true;
}

void Replay::Discard(MessageRef message, uint32_t recipient) {
  index_.Settle(message, recipient, Ending::kDiscarded, 0);
  notes_.erase({message, recipient});
}

void Replay::DropStale() {
  rules_.ForgetMessages([this](MessageRef message) { return !index_.IsOwed(message); });
  std::erase_if(notes_, [this](const auto& entry) {
    const auto& [message, recipient] = entry.first;
    return !index_.IsLive(message, recipient) && !index_.IsPending(message, recipient);
  });
}

}  // namespace backstay
