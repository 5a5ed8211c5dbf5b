// spool/checkpoint_cover.cc -- bits onto messages, if they are the same messages.
#include "spool/checkpoint_cover.h"

#include <algorithm>

#include "core/base/check.h"

namespace backstay {

bool CheckpointCover::Fits(const Catalog& catalog) const {
  return std::all_of(catalog.entries().begin(), catalog.entries().end(),
                     [this](const CatalogEntry& entry) {
                       if (!Covers(entry.number) || !entry.header.has_value()) {
                         return true;
                       }
                       const Checkpoint::SegmentState* state = checkpoint_->Find(entry.number);
                       return state != nullptr && state->generation == entry.header->generation;
                     });
}

bool CheckpointCover::Apply(Segment& segment, Index& index) const {
  const Checkpoint::SegmentState* state = checkpoint_->Find(segment.number());
  ASSERT(state != nullptr);
  if (state->bits != segment.index.table().bits()) {
    return false;
  }
  segment.index.SetOwed(state->live, state->pending);
  for (const auto& [message, parts] : segment.index.parts()) {
    for (size_t i = 0; i < parts.size() && segment.index.IsOwed(message); ++i) {
      index.Pin(parts[i]);
    }
  }
  return true;
}

std::optional<RuleBook> CheckpointCover::Rules(Index& index) const {
  if (!checkpoint_.has_value()) {
    return RuleBook();
  }
  return RuleBook::Decode(checkpoint_->rules,
                          [&index](std::string_view name) { return index.Intern(name); });
}

}  // namespace backstay
