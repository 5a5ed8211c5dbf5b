// tests/dialogue/dialogue_test.cc -- every *.smtp story of this folder, as a test of its own.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/dialogue/dialogue.h"

namespace backstay {
namespace {

std::string ReadWhole(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class DialogueTest : public testing::TestWithParam<std::string> {};

TEST_P(DialogueTest, GoesAsWritten) {
  for (const uint64_t seed : {1, 2, 3}) {
    Dialogue dialogue(seed);
    EXPECT_EQ(dialogue.Run(ReadWhole(GetParam())), "") << "seed " << seed;
  }
}

std::vector<std::string> Stories() {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(BACKSTAY_DIALOGUES)) {
    if (entry.path().extension() == ".smtp") {
      paths.push_back(entry.path().string());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

INSTANTIATE_TEST_SUITE_P(Stories, DialogueTest, testing::ValuesIn(Stories()),
                         [](const testing::TestParamInfo<std::string>& story) {
                           return std::filesystem::path(story.param).stem().string();
                         });

TEST(Dialogue, AWrongExpectationIsFound) {
  Dialogue dialogue(1);
  EXPECT_NE(dialogue.Run("S: 220 *\nC: NOOP\nS: 251 *\n"), "");
}

TEST(Dialogue, AMissingMailIsFound) {
  Dialogue dialogue(1);
  EXPECT_NE(dialogue.Run("S: 220 *\nprimary got 1\n"), "");
}

}  // namespace
}  // namespace backstay
