// tests/spool/queue_id_test.cc -- text and numbers of queue ids.
#include "spool/queue_id.h"

#include <gtest/gtest.h>

#include <string>

#include "core/base/random.h"

namespace backstay {
namespace {

std::string Text(const QueueId& id) {
  const auto text = id.ToText();
  return {text.data(), text.size()};
}

TEST(QueueId, ZeroAndLargestHaveSixteenDigits) {
  EXPECT_EQ(Text({}), "0000000000000000");
  const QueueId largest{65535, 1023, (1u << 28) - 1, (1u << 24) - 1};
  EXPECT_EQ(QueueId::Parse(Text(largest)), largest);
}

TEST(QueueId, EveryFieldSurvives) {
  Random random(7);
  for (int i = 0; i < 1000; ++i) {
    const QueueId id{
        static_cast<uint16_t>(random.Below(1 << 16)), static_cast<uint16_t>(random.Below(1 << 10)),
        static_cast<uint32_t>(random.Below(1 << 28)), static_cast<uint32_t>(random.Below(1 << 24))};
    EXPECT_EQ(QueueId::Parse(Text(id)), id);
  }
}

TEST(QueueId, LaterPlaceSortsLaterAsText) {
  EXPECT_LT(Text({1, 2, 3, 4}), Text({1, 2, 3, 5}));
  EXPECT_LT(Text({1, 2, 3, 5}), Text({1, 2, 4, 0}));
}

TEST(QueueId, RefusesWhatToTextCannotHaveMade) {
  const char* const refused[] = {
      "",                   // empty
      "000000000000000",    // fifteen
      "00000000000000000",  // seventeen
      "000000000000000a",   // lower case
      "000000000000000A",   // vowel
      "000000000000000U",
      "000000000000 000",
      "ZZZZZZZZZZZZZZZZ",  // above 2^78
  };
  for (const char* text : refused) {
    EXPECT_FALSE(QueueId::Parse(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace backstay
