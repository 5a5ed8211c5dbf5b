// tests/core/base/compact_text_test.cc -- any text up to 64 KiB comes back as it was given.
#include "core/base/compact_text.h"

#include <gtest/gtest.h>

#include <string>

namespace backstay {
namespace {

TEST(CompactText, KeepsWhatItWasGivenLast) {
  CompactText text;
  EXPECT_EQ(text.view(), "");
  const std::string texts[] = {"a",
                               "mail.example.net",
                               std::string(4096, 'x'),
                               std::string("nul\0inside", 10),
                               std::string(65'535, 'y'),
                               ""};
  for (const std::string& given : texts) {
    text.Assign(given);
    EXPECT_EQ(text.view(), given);
  }
}

TEST(CompactText, TheSameTextStaysWhereItIs) {
  CompactText text;
  text.Assign("mail.example.net");
  const char* const at = text.view().data();
  text.Assign(std::string("mail.example.net"));
  EXPECT_EQ(text.view().data(), at);
  text.Assign(text.view().substr(5));
  EXPECT_EQ(text.view(), "example.net") << "from its own bytes";
}

}  // namespace
}  // namespace backstay
