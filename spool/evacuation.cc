// spool/evacuation.cc -- choose a segment, list what lies there, move it message by message.
#include "spool/evacuation.h"

#include <algorithm>

#include "core/base/log.h"
#include "core/base/mark.h"
#include "spool/spool_impl.h"

namespace backstay {

Evacuation::Evacuation(Io& io, Spool::Impl& spool, SegmentSet& segments, const Index& index,
                       const GroupCommit& commit, const SpoolOptions& options)
    : io_(io),
      spool_(spool),
      segments_(segments),
      index_(index),
      commit_(commit),
      segment_bytes_(options.segment_bytes),
      record_bytes_max_(options.part_bytes + spool.description_bytes_max()),
      calm_(options.evacuation_calm) {}

void Evacuation::Step(bool is_short) {
  if (segment_ == 0) {
    for (std::unique_ptr<Mover>& mover : movers_) {
      if (mover != nullptr && !mover->busy()) {
        mover.reset();
      }
    }
    if (io_.Now() >= look_at_ && !busy()) {
      Look(is_short);
    }
    return;
  }
  for (std::unique_ptr<Mover>& mover : movers_) {
    Feed(mover);
    if (segment_ == 0) {
      return;
    }
  }
  const bool is_done =
      messages_.empty() && std::all_of(movers_.begin(), movers_.end(), [](auto& mover) {
        return mover == nullptr || mover->state() != Mover::State::kMoving;
      });
  if (is_done) {
    MARK("segment emptied");
    End("emptied");
  }
}

void Evacuation::Feed(std::unique_ptr<Mover>& mover) {
  if (mover == nullptr) {
    mover = std::make_unique<Mover>(spool_);
  }
  switch (mover->state()) {
    case Mover::State::kMoving:
      if (index_.IsOwed(mover->message())) {
        return mover->Step();
      }
      MARK("ended while it was being moved");
      mover->Stop();
      break;
    case Mover::State::kUnreadable:
      unreadable_.insert(segment_);
      return End("cannot be read");
    case Mover::State::kRefused:
      return End("no room");
    case Mover::State::kMoved:
      ++messages_moved_;
      mover->Stop();  // counted once, however long the others take
      break;
    case Mover::State::kIdle:
      break;
  }
  while (!messages_.empty() && !mover->busy() && mover->state() != Mover::State::kMoving) {
    const MessageRef message = messages_.back();
    messages_.pop_back();
    if (index_.IsOwed(message)) {
      mover->Start(message);
    }
  }
}

void Evacuation::End(const char* what) {
  LogInfo("spool segment={:08x} evacuation: {}", segment_, what);
  segment_ = 0;
  messages_.clear();
  for (std::unique_ptr<Mover>& mover : movers_) {
    if (mover != nullptr) {
      mover->Stop();
    }
  }
}

void Evacuation::Stop() {
  if (segment_ != 0) {
    End("stopped");
  }
}

bool Evacuation::busy() const {
  return std::any_of(movers_.begin(), movers_.end(),
                     [](const auto& mover) { return mover != nullptr && mover->busy(); });
}

Instant Evacuation::NextDue() const {
  return segment_ != 0 || busy() ? Instant::Max() : look_at_;  // what is under way wakes us
}

// ---- which segment ----

template <typename Take>
void Evacuation::ForEachWithParts(Take take) {
  for (Segment* segment = segments_.oldest(); segment != nullptr;
       segment = segments_.FindFrom(segment->number() + 1)) {
    for (const auto& [message, parts] : segment->index.parts()) {
      if (segment->index.IsOwed(message)) {
        take(MessageRef{segment->number(), segment->index.Block(message)}, parts);
      }
    }
  }
}

Evacuation::Loads Evacuation::CountLoads() {
  Loads loads;
  ForEachWithParts([&](MessageRef message, const std::vector<PartEntry>& parts) {
    const bool is_at_home = index_.PlaceOf(message) == message;
    uint32_t counted = 0;  // parts of a segment lie side by side
    const uint64_t bytes = BytesOf(parts);
    for (const PartEntry& part : parts) {
      Load& load = loads[part.segment];
      ++load.pins;
      if (part.segment != counted && !(is_at_home && part.segment == message.segment)) {
        ++load.messages;
        load.bytes += bytes;
      }
      counted = part.segment;
    }
  });
  return loads;
}

bool Evacuation::IsWorthIt(const Segment& segment, const Load& load) const {
  // What nothing holds goes without us, and what an open transaction or a reader holds will change.
  const bool is_settled = segment.is_published && segment.readers == 0 &&
                          segment.phase != SegmentPhase::kOpen && !segment.is_gone() &&
                          !commit_.Uses(segment) && segment.is_held() && segment.pins == load.pins;
  const uint64_t owed = segment.index.owed_here();
  return is_settled && segment.number() < commit_.last_stored_segment() &&
         owed + load.messages <= kMessagesMax && !unreadable_.contains(segment.number()) &&
         BytesToMove(segment, load) <= segment_bytes_ / kShare;
}

bool Evacuation::MayBeWorthIt(const Segment& segment) const {
  Load least;
  least.pins = segment.pins;
  return IsWorthIt(segment, least);
}

uint64_t Evacuation::BytesToMove(const Segment& segment, const Load& load) const {
  // More than its share is too much, however much.
  const SegmentIndex& index = segment.index;
  uint64_t bytes = load.bytes;
  for (auto message = index.NextOwed(0); message.has_value() && bytes <= segment_bytes_ / kShare;
       message = index.NextOwed(*message + 1)) {
    bytes += index.IsMoved(*message) ? 0
                                     : std::min(index.BytesUpToNext(*message), record_bytes_max_) +
                                           BytesOf(index.Parts(*message));
  }
  return bytes;
}

void Evacuation::Look(bool is_short) {
  look_at_ = io_.Now() + calm_ / kLooksInCalm;
  bool may_any = false;
  for (const Segment* segment = segments_.oldest(); segment != nullptr && !may_any;
       segment = segments_.FindFrom(segment->number() + 1)) {
    may_any = MayBeWorthIt(*segment);
  }
  if (!may_any) {
    return seen_.clear();
  }
  Loads loads = CountLoads();
  absl::flat_hash_map<uint32_t, Seen> seen;
  for (Segment* segment = segments_.oldest(); segment != nullptr && segment_ == 0;
       segment = segments_.FindFrom(segment->number() + 1)) {
    const Load& load = loads[segment->number()];
    if (!IsWorthIt(*segment, load)) {
      continue;
    }
    Seen now{segment->index.owed_here() + load.pins, io_.Now()};
    const auto before = seen_.find(segment->number());
    if (before != seen_.end() && before->second.owed == now.owed) {
      now.since = before->second.since;
    }
    seen[segment->number()] = now;
    if (is_short || io_.Now() - now.since >= calm_) {
      Begin(*segment);
    }
  }
  seen_ = std::move(seen);
}

void Evacuation::Begin(const Segment& segment) {
  segment_ = segment.number();
  const SegmentIndex& index = segment.index;
  for (auto message = index.NextOwed(0); message.has_value();
       message = index.NextOwed(*message + 1)) {
    if (!index.IsMoved(*message)) {
      messages_.push_back({segment_, index.Block(*message)});
    }
  }
  ForEachWithParts([this](MessageRef message, const std::vector<PartEntry>& parts) {
    const bool is_here = std::any_of(parts.begin(), parts.end(), [this](const PartEntry& part) {
      return part.segment == segment_;
    });
    if (is_here) {
      messages_.push_back(message);
    }
  });
  // In the order of their homes, so that they are found in it again; a message with its record and
  // parts here came twice.
  std::sort(messages_.begin(), messages_.end(), std::greater<>());
  messages_.erase(std::unique(messages_.begin(), messages_.end()), messages_.end());
  LogInfo("spool segment={:08x} evacuation: {} messages", segment_, messages_.size());
}

}  // namespace backstay
