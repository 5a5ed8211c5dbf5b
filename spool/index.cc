// spool/index.cc -- the queue over all segments.
#include "spool/index.h"

#include <algorithm>
#include <limits>

#include "core/base/check.h"
#include "core/base/crc32c.h"
#include "core/base/mark.h"

namespace backstay {

size_t Index::NameHash::operator()(std::string_view name) const {
  // Only configured domains come here, so that nobody can choose names that collide.
  return Crc32c(0, AsBytes(name));
}

DomainId Index::Intern(std::string_view domain) {
  const auto found = ids_.find(domain);
  if (found != ids_.end()) {
    return found->second;
  }
  const auto id = static_cast<DomainId>(domains_.size());
  domains_.push_back(Domain{std::string(domain), {}, 0, {}});
  ids_.emplace(std::string(domain), id);
  return id;
}

std::vector<DomainId> Index::Intern(const std::vector<std::string>& domains) {
  std::vector<DomainId> ids;
  for (const std::string& domain : domains) {
    ids.push_back(Intern(domain));
  }
  return ids;
}

std::string_view Index::Name(DomainId domain) const {
  return At(domain).name;
}

void Index::Add(Segment& segment, uint32_t block, uint32_t arrival_seconds,
                std::span<const DomainId> recipients, std::span<const PartEntry> parts,
                uint64_t bytes) {
  scratch_.assign(recipients.begin(), recipients.end());
  std::sort(scratch_.begin(), scratch_.end());
  scratch_.erase(std::unique(scratch_.begin(), scratch_.end()), scratch_.end());
  before_.clear();
  for (const DomainId domain : scratch_) {
    before_.push_back(segment.index.LoadOf(domain));
  }
  segment.index.Add(block, arrival_seconds, recipients, parts, bytes);
  if (!segment.is_published) {
    return;
  }
  for (size_t i = 0; i < scratch_.size(); ++i) {
    UpdateDomain(segment, scratch_[i], before_[i]);
  }
  recipients_live_ += recipients.size();
  ++messages_owed_;
}

void Index::UpdateDomain(const Segment& segment, DomainId id, const DomainLoad& before) {
  Domain& domain = At(id);
  const DomainLoad now = segment.index.LoadOf(id);
  domain.load += now;
  domain.load -= before;
  if ((now.recipients > 0) == (before.recipients > 0)) {
    return;
  }
  const auto at =
      std::lower_bound(domain.segments.begin(), domain.segments.end(), segment.number());
  if (now.recipients > 0) {
    domain.segments.insert(at, segment.number());
  } else {
    domain.segments.erase(at);
  }
}

void Index::Publish(Segment& segment) {
  ASSERT(!segment.is_published);
  segment.is_published = true;
  segment.index.ForEachDomain([&](DomainId domain, uint32_t live) {
    At(domain).pending += segment.index.PendingRecipients(domain);
    if (live > 0) {
      UpdateDomain(segment, domain, DomainLoad());
    }
  });
  recipients_live_ += segment.index.live_recipients();
  recipients_pending_ += segment.index.pending_recipients();
  messages_owed_ += segment.index.messages_owed();
}

std::optional<Index::Place> Index::Find(MessageRef message) const {
  Segment* segment = segments_.Find(message.segment);
  if (segment == nullptr) {
    return std::nullopt;
  }
  const std::optional<uint32_t> number = segment->index.Find(message.block);
  if (!number.has_value()) {
    return std::nullopt;
  }
  return Place{segment, *number};
}

void Index::Settle(MessageRef message, uint32_t recipient, std::optional<Ending> ending,
                   uint64_t outcomes_queued) {
  const std::optional<Place> place = Find(message);
  ASSERT(place.has_value());
  Segment& segment = *place->segment;
  SegmentIndex& index = segment.index;
  const bool owes_dsn = !ending.has_value();
  const bool was_pending = index.IsPending(place->message, recipient);
  const DomainId domain = index.Domain(place->message, recipient);
  const DomainLoad before = index.LoadOf(domain);
  if (ending.has_value()) {
    accounts_.End(message.segment, domain, *ending);
    recipients_quarantined_ += *ending == Ending::kQuarantined ? 1 : 0;
  }
  if (was_pending) {
    ASSERT(!owes_dsn);
    index.SettlePending(place->message, recipient);
  } else {
    index.Settle(place->message, recipient, owes_dsn);
  }
  const bool is_owed = index.IsOwed(place->message);
  if (segment.is_published) {
    if (!was_pending) {
      UpdateDomain(segment, domain, before);
    }
    recipients_live_ -= was_pending ? 0 : 1;
    for (uint64_t* pending : {&recipients_pending_, &At(domain).pending}) {
      *pending += owes_dsn ? 1 : 0;
      *pending -= was_pending ? 1 : 0;
    }
    messages_owed_ -= is_owed ? 0 : 1;
  }
  if (!is_owed) {
    segment.outcomes_to_wait_for = std::max(segment.outcomes_to_wait_for, outcomes_queued);
    for (const PartEntry& part : index.Parts(place->message)) {
      Unpin(part, outcomes_queued);
    }
  }
}

std::optional<MessageRef> Index::NextLive(DomainId id, std::optional<MessageRef> after) const {
  const Domain& domain = At(id);
  auto at = after.has_value()
                ? std::lower_bound(domain.segments.begin(), domain.segments.end(), after->segment)
                : domain.segments.begin();
  for (; at != domain.segments.end(); ++at) {
    const Segment* segment = segments_.Find(*at);
    ASSERT(segment != nullptr);
    uint32_t from = 0;
    if (after.has_value() && after->segment == *at) {
      from = segment->index.FirstBehind(after->block);
    }
    const std::optional<uint32_t> message = segment->index.NextLive(id, from);
    ListIfItPays(*segment);
    if (message.has_value()) {
      return MessageRef{*at, segment->index.Block(*message)};
    }
  }
  return std::nullopt;
}

const DomainLoad& Index::Load(DomainId domain) const {
  return At(domain).load;
}

void Index::ListIfItPays(const Segment& segment) const {
  if (!segment.index.wants_lists()) {
    return;
  }
  segment.index.MakeLists();
  if (std::find(listed_.begin(), listed_.end(), segment.number()) != listed_.end()) {
    return;  // it has grown
  }
  uint32_t& place = listed_[next_listed_];
  if (const Segment* first = segments_.Find(place); first != nullptr) {
    first->index.DropLists();
  }
  place = segment.number();
  next_listed_ = (next_listed_ + 1) % kListedMax;
}

uint64_t Index::LiveRecipientsBefore(DomainId id, MessageRef cut) const {
  const Domain& domain = At(id);
  const auto begin = domain.segments.begin();
  const auto end = domain.segments.end();
  const auto at = std::lower_bound(begin, end, cut.segment);
  uint64_t live = 0;
  if (at != end && *at == cut.segment) {
    const Segment& divided = *segments_.Find(*at);
    live = divided.index.LiveRecipientsBefore(id, cut.block);
    ListIfItPays(divided);
  }
  const auto count = [&](auto from, auto to) {
    uint64_t sum = 0;
    for (; from != to; ++from) {
      sum += segments_.Find(*from)->index.LiveRecipients(id);
    }
    return sum;
  };
  // Cuts lie at the end of the log, or none is in force: whichever side has fewer.
  return live +
         (at - begin <= end - at ? count(begin, at) : domain.load.recipients - count(at, end));
}

// The order of the log is that of arrival.
uint64_t Index::LiveRecipientsUntil(DomainId id, SpoolTime end) const {
  const int64_t seconds = absl::ToInt64Seconds(absl::Ceil(end - SpoolTime(), absl::Seconds(1)));
  const auto first =
      static_cast<uint32_t>(std::clamp<int64_t>(seconds, 0, std::numeric_limits<uint32_t>::max()));
  const std::vector<uint32_t>& numbers = At(id).segments;
  const auto at = std::partition_point(numbers.begin(), numbers.end(), [&](uint32_t number) {
    return segments_.Find(number)->index.table().last_arrival_seconds() < first;
  });
  if (at == numbers.end()) {
    return LiveRecipients(id);
  }
  const SegmentIndex& index = segments_.Find(*at)->index;
  return LiveRecipientsBefore(id, {*at, index.Block(index.table().FirstArrived(first))});
}

bool Index::IsLive(MessageRef message, uint32_t recipient) const {
  const std::optional<Place> place = Find(message);
  return place.has_value() && place->segment->index.IsLive(place->message, recipient);
}

bool Index::IsPending(MessageRef message, uint32_t recipient) const {
  const std::optional<Place> place = Find(message);
  return place.has_value() && place->segment->index.IsPending(place->message, recipient);
}

bool Index::IsOwed(MessageRef message) const {
  const std::optional<Place> place = Find(message);
  return place.has_value() && place->segment->index.IsOwed(place->message);
}

SpoolTime Index::Arrival(MessageRef message) const {
  const std::optional<Place> place = Find(message);
  if (!place.has_value()) {
    return SpoolTime();
  }
  return SpoolTime() + absl::Seconds(place->segment->index.ArrivalSeconds(place->message));
}

uint32_t Index::Recipients(MessageRef message) const {
  const std::optional<Place> place = Find(message);
  return place.has_value() ? place->segment->index.Recipients(place->message) : 0;
}

DomainId Index::DomainOf(MessageRef message, uint32_t recipient) const {
  const std::optional<Place> place = Find(message);
  ASSERT(place.has_value());
  ASSERT(recipient < place->segment->index.Recipients(place->message));
  return place->segment->index.Domain(place->message, recipient);
}

void Index::ForEachLive(MessageRef message, absl::FunctionRef<void(DomainId)> take) const {
  if (const std::optional<Place> place = Find(message); place.has_value()) {
    place->segment->index.ForEachLive(place->message, take);
  }
}

std::span<const DomainId> Index::LiveDomains(const Segment& segment, uint32_t message) {
  scratch_.clear();
  segment.index.ForEachLive(message, [this](DomainId domain) { scratch_.push_back(domain); });
  std::sort(scratch_.begin(), scratch_.end());
  scratch_.erase(std::unique(scratch_.begin(), scratch_.end()), scratch_.end());
  return scratch_;
}

uint64_t Index::entries_read() const {
  uint64_t read = 0;
  for (const Segment* segment = segments_.oldest(); segment != nullptr;
       segment = segments_.FindFrom(segment->number() + 1)) {
    read += segment->index.table().entries_read();
  }
  return read;
}

// ---- moved ----

void Index::Move(const MovedMessage& moved, uint64_t outcomes_queued) {
  const std::optional<Place> place = Find(moved.home);
  if (!IsOwed(moved.home)) {
    MARK("settled while it was moved");
    for (const PartEntry& part : moved.parts) {
      Unpin(part, outcomes_queued);
    }
    return;
  }
  Pin(moved.record);
  SegmentIndex& index = place->segment->index;
  for (const PartEntry& part : index.Parts(place->message)) {
    Unpin(part, outcomes_queued);
  }
  index.Move(place->message, moved.Holds());
}

void Index::Repoint(const MovedMessage& moved) {
  for (const PartEntry& part : moved.parts) {
    Pin(part);
  }
  Move(moved, 0);
}

void Index::AddMoved(Segment& home, const MovedMessage& moved,
                     const std::vector<RecipientState>& states) {
  ASSERT(!home.is_published);
  SegmentIndex& index = home.index;
  index.Insert(moved.home.block, moved.arrival_seconds, moved.recipients, {}, moved.bytes);
  const uint32_t message = *index.Find(moved.home.block);
  for (uint32_t i = 0; i < states.size(); ++i) {
    if (states[i] != RecipientState::kLive) {
      index.Settle(message, i, states[i] == RecipientState::kPending);
    }
  }
  if (index.IsOwed(message)) {
    index.Move(message, moved.Holds());
    for (const PartEntry& hold : moved.Holds()) {
      Pin(hold);
    }
  }
}

MessageRef Index::PlaceOf(MessageRef message) const {
  const std::optional<Place> place = Find(message);
  if (!place.has_value() || !place->segment->index.IsMoved(place->message)) {
    return message;
  }
  const PartEntry& record = place->segment->index.Parts(place->message).back();
  return {record.segment, record.block};
}

std::optional<MovedMessage> Index::Moved(MessageRef message) const {
  const std::optional<Place> place = Find(message);
  if (!place.has_value()) {
    return std::nullopt;
  }
  const SegmentIndex& index = place->segment->index;
  if (!index.IsMoved(place->message) || !index.IsOwed(place->message)) {
    return std::nullopt;
  }
  MovedMessage moved;
  moved.home = message;
  moved.arrival_seconds = index.ArrivalSeconds(place->message);
  for (uint32_t i = 0; i < index.Recipients(place->message); ++i) {
    moved.recipients.push_back(index.Domain(place->message, i));
  }
  const std::span<const PartEntry> holds = index.Parts(place->message);
  moved.parts.assign(holds.begin(), holds.end() - 1);
  moved.record = holds.back();
  moved.bytes = BytesOf(holds);
  return moved;
}

std::span<const PartEntry> Index::Parts(MessageRef message) const {
  const std::optional<Place> place = Find(message);
  ASSERT(place.has_value());
  return place->segment->index.Parts(place->message);
}

std::vector<RecipientState> Index::StatesOf(MessageRef message) const {
  const std::optional<Place> place = Find(message);
  ASSERT(place.has_value());
  const SegmentIndex& index = place->segment->index;
  std::vector<RecipientState> states(index.Recipients(place->message));
  for (uint32_t i = 0; i < states.size(); ++i) {
    states[i] = index.StateOf(place->message, i);
  }
  return states;
}

void Index::KeepMoved(Segment& segment) {
  std::vector<std::pair<DomainId, DomainLoad>> before;
  segment.index.ForEachDomain([&](DomainId domain, uint32_t) {
    before.emplace_back(domain, segment.index.LoadOf(domain));
  });
  segment.index.KeepOwed();
  for (const auto& [domain, load] : before) {
    UpdateDomain(segment, domain, load);  // bytes are averages of those that are kept
  }
}

// One without a file has nothing to be held, and a start may come to know it between the two.
Segment* Index::Pinned(const PartEntry& part) {
  Segment* segment = segments_.Find(part.segment);
  return segment == nullptr || segment->is_gone() ? nullptr : segment;
}

void Index::Pin(const PartEntry& part) {
  if (Segment* segment = Pinned(part); segment != nullptr) {
    ++segment->pins;
  }
}

void Index::Unpin(const PartEntry& part, uint64_t outcomes_queued) {
  if (Segment* segment = Pinned(part); segment != nullptr) {
    ASSERT(segment->pins > 0);
    --segment->pins;
    // A transaction that is given up has queued nothing, and others may wait.
    segment->outcomes_to_wait_for = std::max(segment->outcomes_to_wait_for, outcomes_queued);
  }
}

}  // namespace backstay
