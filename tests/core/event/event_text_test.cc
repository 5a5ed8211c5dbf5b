// tests/core/event/event_text_test.cc -- numbers, and text from strangers.
#include "core/event/event_text.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace backstay {
namespace {

using std::string_literals::operator""s;

TEST(EventText, SecondsAreCutNotRounded) {
  const struct {
    absl::Duration duration;
    size_t decimals;
    const char* text;
  } rows[] = {{absl::Milliseconds(1999), 0, "1"},     {absl::Milliseconds(1999), 2, "1.99"},
              {absl::Milliseconds(1999), 3, "1.999"}, {absl::Milliseconds(7), 2, "0.00"},
              {absl::Milliseconds(70), 2, "0.07"},    {absl::Seconds(-3), 3, "0.000"},
              {absl::Hours(30), 1, "108000.0"}};
  for (const auto& row : rows) {
    std::string out;
    AppendSeconds(row.duration, row.decimals, out);
    EXPECT_EQ(out, row.text);
  }
}

TEST(EventText, PrintableHasNoByteThatMoves) {
  std::string out;
  AppendPrintable("a\nb\x1b[2J\xc3\xa9~"s, out);
  EXPECT_EQ(out, "a?b?[2J??~");
}

}  // namespace
}  // namespace backstay
