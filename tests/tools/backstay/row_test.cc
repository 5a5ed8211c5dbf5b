// tests/tools/backstay/row_test.cc -- answers of another version, and no answers at all.
#include "tools/backstay/row.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

TEST(Row, MembersByTypeAndName) {
  const Row row(R"({"text":"a","number":7,"rate":1.5,"flag":true,"none":null,"rows":[{"x":"y"}]})");
  EXPECT_EQ(row.Text("text"), "a");
  EXPECT_EQ(row.Number("number"), 7u);
  EXPECT_EQ(row.Rate("rate"), 1.5);
  EXPECT_TRUE(row.Flag("flag"));
  EXPECT_TRUE(row.Has("text"));
  EXPECT_FALSE(row.Has("none"));
  ASSERT_EQ(row.Rows("rows").size(), 1u);
  EXPECT_EQ(row.Rows("rows")[0].Text("x"), "y");
  EXPECT_EQ(Row(R"({"texts":["a",1,"b"]})").Texts("texts"),
            (std::vector<std::string>{"a", "", "b"}));
}

TEST(Row, WhatIsMissingOrOtherwiseIsEmpty) {
  for (const char* line : {"", "null", "[1]", "{", "\xff", R"({"a":{"b":1}})"}) {
    const Row row(line);
    EXPECT_EQ(row.Text("a"), "") << line;
    EXPECT_EQ(row.Number("a"), 0u);
    EXPECT_EQ(row.Rate("a"), 0.0);
    EXPECT_FALSE(row.Flag("a"));
    EXPECT_TRUE(row.Rows("a").empty());
    EXPECT_TRUE(row.Texts("a").empty());
  }
  EXPECT_EQ(Row(R"({"a":-1})").Number("a"), 0u);
}

}  // namespace
}  // namespace backstay
