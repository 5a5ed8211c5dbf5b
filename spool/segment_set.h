// spool/segment_set.h -- every segment of the shard, oldest first.
//
// Owns:  the Segment objects; a pointer to one is good until Remove.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "spool/segment.h"

namespace backstay {

class SegmentSet {
 public:
  Segment* Add(std::unique_ptr<Segment> segment);  // of a number that is not in it
  Segment* Find(uint32_t number);
  const Segment* Find(uint32_t number) const;
  std::unique_ptr<Segment> Remove(uint32_t number);
  template <typename Predicate>
  void RemoveIf(Predicate is_unwanted) {
    std::erase_if(segments_, [&](const auto& segment) { return is_unwanted(*segment); });
  }
  // The first segment with this number or a higher one; null at the end.
  Segment* FindFrom(uint32_t number);
  Segment* oldest() { return segments_.empty() ? nullptr : segments_.front().get(); }
  Segment* newest() { return segments_.empty() ? nullptr : segments_.back().get(); }
  const Segment* newest() const { return segments_.empty() ? nullptr : segments_.back().get(); }
  // A file that could not be read at start: not in the set, and not to be called missing.
  void NoteUnreadable(uint32_t number) { unreadable_.push_back(number); }
  bool IsUnreadable(uint32_t number) const;
  // Some of a segment could not be read at start.
  void NoteGap() { has_gap_ = true; }
  // What was not read may be mail with parts in older segments or settled in younger ones:
  // nothing is known to be needless in this run.
  bool has_gap() const { return has_gap_ || !unreadable_.empty(); }
  size_t size() const { return segments_.size(); }
  size_t unreadable() const { return unreadable_.size(); }

 private:
  using Iterator = std::deque<std::unique_ptr<Segment>>::const_iterator;
  Iterator LowerBound(uint32_t number) const;

  std::deque<std::unique_ptr<Segment>> segments_;  // by number
  std::vector<uint32_t> unreadable_;
  bool has_gap_ = false;
};

// The number in a name that NameOfSegment made.
std::optional<uint32_t> ParseSegmentName(std::string_view name);
std::optional<uint32_t> ParseSpareName(std::string_view name);

}  // namespace backstay
