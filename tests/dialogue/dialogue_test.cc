// tests/dialogue/dialogue_test.cc -- every *.smtp story of this folder, as a test of its own.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/dialogue/dialogue.h"

namespace backstay {
namespace {

std::string ReadWhole(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

struct Story {
  std::string name;  // folder_file_story
  std::string text;
};

void PrintTo(const Story& story, std::ostream* output) {
  *output << story.name;
}

class DialogueTest : public testing::TestWithParam<Story> {};

TEST_P(DialogueTest, GoesAsWritten) {
  for (const uint64_t seed : {1, 2, 3}) {
    Dialogue dialogue(seed);
    EXPECT_EQ(dialogue.Run(GetParam().text), "") << "seed " << seed;
  }
}

bool HasStatement(const std::string& text) {
  std::istringstream input(text);
  for (std::string line; std::getline(input, line);) {
    if (!line.empty() && line[0] != '#') {
      return true;
    }
  }
  return false;
}

// Of all files below this folder, in order.
std::vector<Story> AllStories() {
  const std::filesystem::path folder = BACKSTAY_DIALOGUES;
  std::vector<Story> stories;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".smtp") {
      continue;
    }
    const std::string file = entry.path().lexically_relative(folder).replace_extension().string();
    for (const Dialogue::Story& story : Dialogue::Stories(ReadWhole(entry.path()))) {
      std::string name = story.name.empty() ? file : file + "_" + story.name;
      std::replace_if(
          name.begin(), name.end(), [](char c) { return std::isalnum(c) == 0; }, '_');
      if (HasStatement(story.text)) {
        stories.push_back({name, story.text});
      }
    }
  }
  std::sort(stories.begin(), stories.end(),
            [](const Story& left, const Story& right) { return left.name < right.name; });
  return stories;
}

INSTANTIATE_TEST_SUITE_P(Stories, DialogueTest, testing::ValuesIn(AllStories()),
                         [](const testing::TestParamInfo<Story>& story) {
                           return story.param.name;
                         });

TEST(Dialogue, OneFileMayHaveSeveralStories) {
  const auto stories = Dialogue::Stories("# why\nS: 220 *\n== second one\nC: NOOP\nS: 999\n");
  ASSERT_EQ(stories.size(), 2u);
  EXPECT_EQ(stories[0].name, "");
  EXPECT_EQ(stories[1].name, "second one");
  Dialogue dialogue(1);
  EXPECT_EQ(dialogue.Run(stories[0].text), "");
  const std::string problem = Dialogue(1).Run(stories[1].text);
  EXPECT_TRUE(problem.starts_with("line 5: ")) << problem;
}

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
