// spool/segment_set.cc -- lookups by number; names of segment files.
#include "spool/segment_set.h"

#include <algorithm>
#include <string>

#include "core/base/check.h"
#include "core/base/text.h"
#include "spool/numbered_name.h"

namespace backstay {
namespace {

constexpr std::string_view kPrefix = "segment-";
constexpr std::string_view kSparePrefix = "spare-";

SegmentName NameOf(std::string_view prefix, uint32_t number) {
  std::string text(prefix);
  AppendNumber(text, number, 8, '0', 16);
  SegmentName name{};
  ASSERT(text.size() < name.size());
  std::copy(text.begin(), text.end(), name.begin());
  return name;
}

}  // namespace

SegmentName NameOfSegment(uint32_t number) {
  return NameOf(kPrefix, number);
}

SegmentName NameOfSpare(uint32_t number) {
  return NameOf(kSparePrefix, number);
}

std::optional<uint32_t> ParseSegmentName(std::string_view name) {
  const std::optional<uint32_t> number = ParseNumberedName(kPrefix, name);
  return number.value_or(0) <= kSegmentNumberMax ? number : std::nullopt;
}

std::optional<uint32_t> ParseSpareName(std::string_view name) {
  return ParseNumberedName(kSparePrefix, name);
}

SegmentSet::Iterator SegmentSet::LowerBound(uint32_t number) const {
  return std::lower_bound(segments_.begin(), segments_.end(), number,
                          [](const std::unique_ptr<Segment>& segment, uint32_t wanted) {
                            return segment->number() < wanted;
                          });
}

Segment* SegmentSet::Add(std::unique_ptr<Segment> segment) {
  const auto at = LowerBound(segment->number());
  ASSERT(at == segments_.end() || (*at)->number() != segment->number());
  const auto place = segments_.begin() + (at - segments_.cbegin());
  return segments_.insert(place, std::move(segment))->get();
}

const Segment* SegmentSet::Find(uint32_t number) const {
  const auto at = LowerBound(number);
  return at != segments_.end() && (*at)->number() == number ? at->get() : nullptr;
}

Segment* SegmentSet::Find(uint32_t number) {
  const auto at = LowerBound(number);
  return at != segments_.end() && (*at)->number() == number ? at->get() : nullptr;
}

Segment* SegmentSet::FindFrom(uint32_t number) {
  const auto at = LowerBound(number);
  return at != segments_.end() ? at->get() : nullptr;
}

bool SegmentSet::IsUnreadable(uint32_t number) const {
  return std::find(unreadable_.begin(), unreadable_.end(), number) != unreadable_.end();
}

std::unique_ptr<Segment> SegmentSet::Remove(uint32_t number) {
  const auto at = LowerBound(number);
  ASSERT(at != segments_.end());
  ASSERT((*at)->number() == number);
  const auto place = segments_.begin() + (at - segments_.cbegin());
  std::unique_ptr<Segment> removed = std::move(*place);
  segments_.erase(place);
  return removed;
}

}  // namespace backstay
