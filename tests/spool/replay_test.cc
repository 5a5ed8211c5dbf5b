// tests/spool/replay_test.cc -- how much of what a log says is remembered.
#include "spool/replay.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "spool/segment_set.h"

namespace backstay {
namespace {

class ReplayTest : public testing::Test {
 protected:
  // Of messages that are not known (yet): their records may come later in the log.
  void Say(OutcomeCode code, uint32_t block, std::string_view detail) {
    OutcomeEntry entry;
    entry.segment = 1;
    entry.block = block;
    entry.code = static_cast<uint8_t>(code);
    EXPECT_TRUE(replay_.Apply(entry, AsBytes(detail)));
  }
  std::string NoteOf(uint32_t block) {
    const auto found = replay_.notes().find({MessageRef{1, block}, 0});
    return found != replay_.notes().end() ? found->second : "none";
  }

  SegmentSet segments_;
  Index index_{segments_};
  Replay replay_{index_};
};

// A log of an older program may have millions.
TEST_F(ReplayTest, DeferralsBeyondTheRoomAreForgottenAndFailuresAreNot) {
  for (uint32_t block = 0; block < kNotesMax + 10; ++block) {
    Say(OutcomeCode::kDeferred, block, "450");
  }
  EXPECT_EQ(replay_.notes().size(), kNotesMax);
  EXPECT_EQ(NoteOf(kNotesMax), "none");
  Say(OutcomeCode::kDeferred, 5, "451");
  EXPECT_EQ(NoteOf(5), "451");
  Say(OutcomeCode::kFailed, kNotesMax, "550");
  EXPECT_EQ(NoteOf(kNotesMax), "550");
  Say(OutcomeCode::kDelivered, 6, "");
  Say(OutcomeCode::kDelivered, 7, "");
  Say(OutcomeCode::kDeferred, kNotesMax + 1, "452");
  EXPECT_EQ(NoteOf(kNotesMax + 1), "452");
}

}  // namespace
}  // namespace backstay
