// tests/core/base/json_text_test.cc -- text from strangers, as JSON.
#include "core/base/json_text.h"

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

TEST(JsonText, EscapesWhatJsonForbids) {
  EXPECT_EQ(Json("plain <a@b> text"), "plain <a@b> text");
  EXPECT_EQ(Json("\"\\"), R"(\"\\)");
  EXPECT_EQ(Json("\0\x01\n\r\t\x1f\x7f"s), R"(\u0000\u0001\u000a\u000d\u0009\u001f\u007f)");
}

TEST(JsonText, KeepsUtf8AndReplacesWhatIsNone) {
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

// Reliability rows 66 and 206: an address that reads as another one, a line that ends too early.
TEST(JsonText, EscapesWhatMisleadsAReader) {
  const struct {
    const char* said;
    const char* text;
  } rows[] = {{"a\xc2\x80\xc2\x85\xc2\x9f z", R"(a\u0080\u0085\u009f z)"},
              {"\xe2\x80\xaegpj.exe", R"(\u202egpj.exe)"},
              {"\xe2\x80\xa8\xe2\x80\xa9", R"(\u2028\u2029)"},
              {"\xe2\x80\x8b\xe2\x80\x8d\xe2\x80\x8f", R"(\u200b\u200d\u200f)"},
              {"\xe2\x80\xaa\xe2\x81\xa0\xe2\x81\xa6\xe2\x81\xa9", R"(\u202a\u2060\u2066\u2069)"},
              {"\xc2\xad\xd8\x9c\xef\xbb\xbf", R"(\u00ad\u061c\ufeff)"}};
  for (const auto& row : rows) {
    EXPECT_EQ(Json(row.said), row.text);
  }
  for (const char* const neighbour :
       {"\xc2\xa0", "\xc2\xac", "\xc2\xae", "\xe2\x80\x8a", "\xe2\x80\x90", "\xe2\x80\xa7",
        "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe2\x81\xb0", "\xef\xbb\xbe", "\xf0\x92\x80\xae"}) {
    EXPECT_EQ(Json(neighbour), neighbour);
  }
}

}  // namespace
}  // namespace backstay
