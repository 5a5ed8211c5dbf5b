// spool/read_damage.cc -- ranges wait for a turn, segments for their copies.
#include "spool/read_damage.h"

namespace backstay {

void ReadDamage::Add(Segment& segment, uint64_t from, uint64_t to) {
  ++count_;
  if (segment.file.valid()) {
    ++segment.readers;
    waiting_.push_back({&segment, from, to});
  }
}

void ReadDamage::Step() {
  if (!copied_.empty() || waiting_.empty()) {
    return;
  }
  for (const Range& range : waiting_) {
    quarantine_.Add(range.segment->number(), range.segment->file, range.from, range.to);
    copied_.push_back(range.segment);
  }
  waiting_.clear();
  quarantine_.Start();
}

void ReadDamage::OnQuarantined() {
  for (Segment* segment : copied_) {
    --segment->readers;
  }
  copied_.clear();
}

}  // namespace backstay
