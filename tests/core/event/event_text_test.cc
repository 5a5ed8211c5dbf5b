// tests/core/event/event_text_test.cc -- numbers, and text from strangers.
#include "core/event/event_text.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace backstay {
namespace {

using std::string_literals::operator""s;

std::string Json(std::string_view text) {
  std::string out;
  AppendJsonText(text, out);
  return out;
}

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

TEST(EventText, JsonEscapesWhatJsonForbids) {
  EXPECT_EQ(Json("plain <a@b> text"), "plain <a@b> text");
  EXPECT_EQ(Json("\"\\"), R"(\"\\)");
  EXPECT_EQ(Json("\0\x01\n\r\t\x1f\x7f"s), R"(\u0000\u0001\u000a\u000d\u0009\u001f\u007f)");
}

TEST(EventText, JsonKeepsUtf8AndReplacesWhatIsNone) {
  for (const char* const good :
       {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_EQ(Json(good), good);
  }
  const struct {
    const char* bad;
    const char* text;
  } rows[] = {{"\xff", R"(\ufffd)"},
              {"\xc3", R"(\ufffd)"},
              {"\xc3(", R"(\ufffd()"},
              {"\xc0\xaf", R"(\ufffd\ufffd)"},
              {"\xe0\x80\xaf", R"(\ufffd\ufffd\ufffd)"},
              {"\xed\xa0\x80", R"(\ufffd\ufffd\ufffd)"},
              {"\xf4\x90\x80\x80", R"(\ufffd\ufffd\ufffd\ufffd)"},
              {"\xf0\x8f\xbf\xbf", R"(\ufffd\ufffd\ufffd\ufffd)"},
              {"\xe2\x82\"", R"(\ufffd\ufffd\")"}};
  for (const auto& row : rows) {
    EXPECT_EQ(Json(row.bad), row.text);
  }
}

TEST(EventText, PrintableHasNoByteThatMoves) {
  std::string out;
  AppendPrintable("a\nb\x1b[2J\xc3\xa9~"s, out);
  EXPECT_EQ(out, "a?b?[2J??~");
}

}  // namespace
}  // namespace backstay
