// spool/rule_book.cc -- the newest mark of each kind, for all and for each domain.
#include "spool/rule_book.h"

#include <algorithm>
#include <map>

#include "core/base/check.h"
#include "spool/format.h"
#include "spool/items.h"

namespace backstay {
namespace {

constexpr uint8_t kDeletionKind = 255;  // on disk, beside the kinds of marks

}  // namespace

RuleBook::Voices RuleBook::VoicesOf(DomainId domain, MessageRef message) const {
  const auto of_domain = of_domain_.find(domain);
  const auto of_message = of_message_.find(message);
  return {&all_, of_domain == of_domain_.end() ? nullptr : &of_domain->second,
          of_message == of_message_.end() ? nullptr : &of_message->second};
}

// In one scope the newest of a kind has the latest cut: what it does not speak for, no older one
// does.
const RuleBook::Mark& RuleBook::Latest(Kind kind, const Voices& voices, MessageRef message) {
  static constexpr Mark kNone;
  const Mark* latest = &kNone;
  for (const Marks* marks : {voices.all, voices.of_domain, voices.of_message}) {
    if (marks != nullptr && message < At(*marks, kind).cut &&
        At(*marks, kind).order() > latest->order()) {
      latest = &At(*marks, kind);
    }
  }
  return *latest;
}

bool RuleBook::IsParked(const Voices& voices, MessageRef message) {
  Voices parks = voices;
  if (voices.of_message != nullptr &&
      std::max(At(*voices.of_message, Kind::kAgeReset).order(),
               At(*voices.of_message, Kind::kRelease).order()) > Mark().order()) {
    parks.of_domain = nullptr;
  }
  return Latest(Kind::kPark, parks, message).order() >
         std::max({Latest(Kind::kAgeReset, voices, message).order(),
                   Latest(Kind::kRelease, voices, message).order(),
                   Latest(Kind::kUnpark, voices, message).order(),
                   Latest(Kind::kExpire, voices, message).order()});
}

bool RuleBook::IsHeldByPlace(const Voices& voices, MessageRef message) {
  return Latest(Kind::kHold, voices, message).order() >
         std::max(Latest(Kind::kRelease, voices, message).order(),
                  Latest(Kind::kExpire, voices, message).order());
}

std::pair<RuleBook::Kind, const RuleBook::Mark*> RuleBook::NewestStop(const Voices& voices) {
  static constexpr MessageRef kAny;
  std::pair<Kind, const Mark*> newest{Kind::kStart, &Latest(Kind::kStart, voices, kAny)};
  for (const Kind kind : {Kind::kStop, Kind::kTrip}) {
    const Mark& mark = Latest(kind, voices, kAny);
    if (mark.order() > newest.second->order()) {
      newest = {kind, &mark};
    }
  }
  return newest;
}

Standing RuleBook::StandingOf(DomainId domain, MessageRef message) const {
  const Voices voices = VoicesOf(domain, message);
  const Mark& schedule = Latest(Kind::kScheduleReset, voices, message);
  const Mark& age = Latest(Kind::kAgeReset, voices, message);
  const Mark& hold = Latest(Kind::kHold, voices, message);
  const Mark& release = Latest(Kind::kRelease, voices, message);
  const Mark& unpark = Latest(Kind::kUnpark, voices, message);
  const Mark& expire = Latest(Kind::kExpire, voices, message);
  const auto [stop_kind, stop] = NewestStop(voices);
  const bool is_stopped = stop_kind != Kind::kStart;
  Standing standing;
  // Whatever came later saves what was not given up yet.
  standing.is_expired = expire.order() > std::max({schedule.order(), age.order(), hold.order(),
                                                   release.order(), unpark.order()}) &&
                        (!is_stopped || expire.order() > stop->order());
  standing.is_parked = !standing.is_expired && IsParked(voices, message);
  standing.is_held = standing.is_parked ||
                     (!standing.is_expired && (is_stopped || IsHeldByPlace(voices, message)));
  standing.schedule_from = std::max({schedule.at, release.at, unpark.at});
  standing.age_from = std::max({age.at, release.at, unpark.at});
  return standing;
}

// Messages do not stop a domain.
DomainStop RuleBook::StopOf(DomainId domain) const {
  switch (NewestStop(VoicesOf(domain, kEverything)).first) {
    case Kind::kStop:
      return DomainStop::kByOperator;
    case Kind::kTrip:
      return DomainStop::kByBreaker;
    default:
      return DomainStop::kNone;
  }
}

// What is ordered for one domain counts when it is newer than what is ordered for all.
std::vector<Rule> RuleBook::Stops(NameOf name_of) const {
  std::map<uint64_t, Rule> stops;
  const auto add = [&stops](Kind kind, const Mark& mark) -> Rule& {
    Rule& rule = stops[mark.epoch];
    rule.verb = kind == Kind::kStart  ? RuleVerb::kStart
                : kind == Kind::kStop ? RuleVerb::kStop
                                      : RuleVerb::kTrip;
    rule.epoch = mark.epoch;
    rule.at = mark.at;
    return rule;
  };
  const auto [all_kind, all] = NewestStop({&all_, nullptr, nullptr});
  if (all_kind != Kind::kStart) {
    add(all_kind, *all);
  }
  for (const auto& [domain, marks] : of_domain_) {
    const auto [kind, mark] = NewestStop({nullptr, &marks, nullptr});
    if (mark->order() > all->order()) {
      add(kind, *mark).domains.emplace_back(name_of(domain));
    }
  }
  std::vector<Rule> rules;
  for (auto& [epoch, rule] : stops) {
    rules.push_back(std::move(rule));
  }
  return rules;
}

// The latest cut of a kind before which the newest word is that kind's.
MessageRef RuleBook::InForceBefore(Kind kind, DomainId domain) const {
  MessageRef before;
  const auto found = of_domain_.find(domain);
  for (const Marks* marks : {&all_, found == of_domain_.end() ? nullptr : &found->second}) {
    if (marks == nullptr || At(*marks, kind).cut <= before) {
      continue;
    }
    const MessageRef last = JustBefore(At(*marks, kind).cut);
    Voices voices = VoicesOf(domain, last);
    voices.of_message = nullptr;  // the last one parked lies just there
    const bool is_in_force = kind == Kind::kHold   ? IsHeldByPlace(voices, last)
                             : kind == Kind::kPark ? IsParked(voices, last)
                                                   : StandingOf(domain, last).is_expired;
    if (is_in_force) {
      before = At(*marks, kind).cut;
    }
  }
  return before;
}

MessageRef RuleBook::HeldBefore(DomainId domain) const {
  return StopOf(domain) != DomainStop::kNone ? kEverything : HoldCut(domain);
}

MessageRef RuleBook::ToldBefore(DomainId domain) const {
  const auto found = of_domain_.find(domain);
  return found == of_domain_.end() ? MessageRef() : At(found->second, Kind::kTold).cut;
}

bool RuleBook::IsDeleted(DomainId domain, MessageRef message) const {
  return std::any_of(deletions_.begin(), deletions_.end(), [&](const Deletion& deletion) {
    return message < deletion.cut && deletion.IsFor(domain);
  });
}

MessageRef RuleBook::DeliverableFrom(DomainId domain) const {
  MessageRef from = std::max(HeldBefore(domain), InForceBefore(Kind::kExpire, domain));
  for (const Deletion& deletion : deletions_) {
    if (deletion.IsFor(domain)) {
      from = std::max(from, deletion.cut);
    }
  }
  return from;
}

void RuleBook::Apply(const Rule& rule, MessageRef cut, std::span<const DomainId> domains) {
  last_ = rule;
  const Mark mark{rule.epoch, 0, cut, rule.at};
  if (rule.verb == RuleVerb::kDelete) {
    Deletion deletion{{domains.begin(), domains.end()}, cut};
    std::sort(deletion.domains.begin(), deletion.domains.end());
    deletions_.push_back(std::move(deletion));
    return;
  }
  if (domains.empty()) {
    return rule.verb == RuleVerb::kRelease ? ReleaseAll(mark) : Set(all_, rule, mark);
  }
  for (const DomainId domain : domains) {
    if (rule.verb == RuleVerb::kRelease) {
      Release(domain, mark);
    } else {
      Set(of_domain_[domain], rule, mark);
    }
  }
}

// What is not held is not reset.
void RuleBook::Release(DomainId domain, const Mark& mark) {
  for (const auto& [ended, by] :
       {std::pair(Kind::kHold, Kind::kRelease), std::pair(Kind::kPark, Kind::kUnpark)}) {
    if (const MessageRef cut = InForceBefore(ended, domain); cut > MessageRef()) {
      At(of_domain_[domain], by) = {mark.epoch, 0, cut, mark.at};
    }
  }
}

void RuleBook::ApplyOwn(const Rule& rule, MessageRef cut, DomainId domain) {
  Set(of_domain_[domain], rule, {LastBefore(rule), ++serial_, cut, rule.at});
}

void RuleBook::ApplyToMessage(const Rule& rule, MessageRef message) {
  const MessageRef behind{message.segment, message.block + 1};
  Set(OfMessage(message), rule, {LastBefore(rule), ++serial_, behind, rule.at});
}

RuleBook::Marks& RuleBook::OfMessage(MessageRef message) {
  const auto [at, is_new] = of_message_.try_emplace(message);
  if (is_new) {
    of_nobody_.push_back(message);
  }
  return at->second;
}

void RuleBook::Set(Marks& marks, const Rule& rule, const Mark& mark) {
  switch (rule.verb) {
    case RuleVerb::kReset:
      At(marks, Kind::kScheduleReset) = mark;
      if (!rule.keeps_age) {
        At(marks, Kind::kAgeReset) = mark;
      }
      return;
    case RuleVerb::kHold:
      At(marks, Kind::kHold) = mark;
      return;
    case RuleVerb::kRelease:
      At(marks, Kind::kRelease) = mark;
      return;
    case RuleVerb::kExpire:
      At(marks, Kind::kExpire) = mark;
      return;
    case RuleVerb::kStop:
    case RuleVerb::kTrip:
      At(marks, rule.verb == RuleVerb::kStop ? Kind::kStop : Kind::kTrip) = mark;
      At(marks, rule.verb == RuleVerb::kStop ? Kind::kStop : Kind::kTrip).cut = kEverything;
      return;
    case RuleVerb::kStart:
      At(marks, Kind::kScheduleReset) = mark;
      At(marks, Kind::kAgeReset) = mark;
      At(marks, Kind::kStart) = mark;
      At(marks, Kind::kStart).cut = kEverything;
      return;
    case RuleVerb::kPark:
      At(marks, Kind::kPark) = mark;
      return;
    case RuleVerb::kTold:
      At(marks, Kind::kTold) = mark;
      return;
    case RuleVerb::kDelete:
      break;
  }
  UNREACHABLE();
}

void RuleBook::ReleaseAll(const Mark& mark) {
  for (const auto& [domain, marks] : of_domain_) {
    Release(domain, mark);
  }
  const Mark& hold = At(all_, Kind::kHold);
  if (hold.order() > std::max(At(all_, Kind::kRelease).order(), At(all_, Kind::kExpire).order())) {
    At(all_, Kind::kRelease) = {mark.epoch, 0, hold.cut, mark.at};
  }
}

// ---- in a checkpoint ----

std::vector<uint8_t> RuleBook::Encode(NameOf name_of) const {
  std::vector<uint8_t> out;
  const std::vector<uint8_t> last = EncodeRule(last_);
  PutItem(out, static_cast<uint32_t>(last.size()));
  PutItems(out, std::span(last));
  const auto put = [&](uint8_t kind, const Mark& mark, RuleScope scope, std::string_view name) {
    RuleMarkFixed fixed;
    fixed.epoch = mark.epoch;
    fixed.at = mark.at.nanoseconds();
    fixed.segment = mark.cut.segment;
    fixed.block = mark.cut.block;
    fixed.serial = mark.serial;
    fixed.kind = kind;
    fixed.scope = static_cast<uint8_t>(scope);
    PutItem(out, fixed);
    PutText(out, name);
  };
  const auto put_marks = [&](const Marks& marks, RuleScope scope, std::string_view name) {
    for (uint8_t kind = 0; kind < kKinds; ++kind) {
      if (marks[kind].order() > Mark().order()) {
        put(kind, marks[kind], scope, name);
      }
    }
  };
  put_marks(all_, RuleScope::kAll, "");
  for (const auto& [domain, marks] : of_domain_) {
    put_marks(marks, RuleScope::kDomain, name_of(domain));
  }
  for (const auto& [message, marks] : of_message_) {
    put_marks(marks, RuleScope::kMessage, "");
  }
  for (const Deletion& deletion : deletions_) {
    const Mark mark{0, 0, deletion.cut, SpoolTime()};
    if (deletion.domains.empty()) {
      put(kDeletionKind, mark, RuleScope::kAll, "");
    }
    for (const DomainId domain : deletion.domains) {
      put(kDeletionKind, mark, RuleScope::kDomain, name_of(domain));
    }
  }
  return out;
}

// Each domain of an order comes by itself, one behind the other. Two orders with the same cut are
// as good as one.
void RuleBook::AddDeletion(std::optional<DomainId> domain, MessageRef cut) {
  const bool is_more = domain.has_value() && !deletions_.empty() && deletions_.back().cut == cut &&
                       !deletions_.back().domains.empty();
  if (!is_more) {
    deletions_.push_back({{}, cut});
  }
  if (domain.has_value()) {
    std::vector<DomainId>& domains = deletions_.back().domains;
    const auto at = std::lower_bound(domains.begin(), domains.end(), *domain);
    if (at == domains.end() || *at != *domain) {
      domains.insert(at, *domain);
    }
  }
}

bool RuleBook::DecodeMark(Bytes& left, Intern intern) {
  const auto fixed = TakeItem<RuleMarkFixed>(left);
  const auto name = TakeText(left);
  if (!fixed.has_value() || !name.has_value()) {
    return false;
  }
  const MessageRef cut{fixed->segment, fixed->block};
  const auto scope = static_cast<RuleScope>(fixed->scope);
  const std::optional<DomainId> domain =
      scope == RuleScope::kDomain ? std::optional(intern(*name)) : std::nullopt;
  if (fixed->kind == kDeletionKind) {
    AddDeletion(domain, cut);
    return true;
  }
  if (fixed->kind >= kKinds || scope > RuleScope::kMessage) {
    return false;
  }
  Marks& marks = scope == RuleScope::kMessage ? OfMessage(JustBefore(cut))
                 : domain.has_value()         ? of_domain_[*domain]
                                              : all_;
  marks[fixed->kind] = {fixed->epoch, fixed->serial, cut, SpoolTime::FromNanoseconds(fixed->at)};
  serial_ = std::max(serial_, fixed->serial);
  return true;
}

std::optional<RuleBook> RuleBook::Decode(Bytes bytes, Intern intern) {
  RuleBook book;
  const auto last_bytes = TakeItem<uint32_t>(bytes);
  if (!last_bytes.has_value() || *last_bytes > bytes.size()) {
    return std::nullopt;
  }
  auto last = DecodeRule(bytes.first(*last_bytes));
  if (!last.has_value()) {
    return std::nullopt;
  }
  book.last_ = *std::move(last);
  bytes = bytes.subspan(*last_bytes);
  while (!bytes.empty()) {
    if (!book.DecodeMark(bytes, intern)) {
      return std::nullopt;
    }
  }
  return book;
}

}  // namespace backstay
