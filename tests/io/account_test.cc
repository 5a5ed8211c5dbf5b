// tests/io/account_test.cc -- whole names, whole numbers, and the groups that name a user.
#include "io/account.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

constexpr std::string_view kUsers =
    "root:x:0:0:root:/root:/bin/sh\n\nbackstay2:x:7:7::/:\nbroken\nbackstay:x:no:8::/:\n"
    "backstay:x:998:997:mail:/nonexistent:/usr/sbin/nologin\nlast:x:5:6";
constexpr std::string_view kGroups =
    "root:x:0:\nadm:x:4:alice,backstay\nnear:x:9:backstay2,xbackstay\nodd:x:-1:backstay\n"
    "backstay:x:997:backstay\nkeys:x:2:backstay\nshort:x:3";

TEST(AccountInFiles, HasItsNumbersAndEveryGroupThatNamesIt) {
  const auto account = AccountInFiles({kUsers, kGroups}, "backstay");
  ASSERT_TRUE(account.has_value());
  EXPECT_EQ(account->name, "backstay");
  EXPECT_EQ(account->user, 998u);
  EXPECT_EQ(account->group, 997u);
  EXPECT_EQ(account->groups, (std::vector<gid_t>{2, 4, 997}));
}

TEST(AccountInFiles, WithoutOtherGroupsItHasItsOwn) {
  const auto account = AccountInFiles({kUsers, kGroups}, "last");
  ASSERT_TRUE(account.has_value());
  EXPECT_EQ(account->groups, std::vector<gid_t>{6});
  EXPECT_EQ(AccountInFiles({kUsers, ""}, "root")->groups, std::vector<gid_t>{0});
}

TEST(AccountInFiles, PartsOfNamesAndOddLinesAreNobody) {
  for (const std::string_view name : {"back", "broken", "", "x", "backstay3"}) {
    EXPECT_FALSE(AccountInFiles({kUsers, kGroups}, name).has_value()) << name;
  }
  EXPECT_FALSE(AccountInFiles({"a:x:1", ""}, "a").has_value());
  EXPECT_FALSE(AccountInFiles({"a:x:1:2x:", ""}, "a").has_value());
  EXPECT_FALSE(AccountInFiles({"a:x:4294967296:2:", ""}, "a").has_value());
  EXPECT_FALSE(AccountInFiles({"a:x:4294967295:2:", ""}, "a").has_value());
  EXPECT_FALSE(AccountInFiles({"a:x:1:4294967295:", ""}, "a").has_value());
}

TEST(GroupInFile, FindsWholeNamesOnly) {
  constexpr std::string_view kFile =
      "root:x:0:\n\nbackstay2:x:7:\nbroken\nbackstay:x:998:alice,bob\nlast:x:5";
  EXPECT_EQ(GroupInFile(kFile, "backstay"), 998u);
  EXPECT_EQ(GroupInFile(kFile, "last"), 5u);
  EXPECT_EQ(GroupInFile(kFile, "root"), 0u);
  EXPECT_FALSE(GroupInFile(kFile, "broken").has_value());
  EXPECT_FALSE(GroupInFile(kFile, "back").has_value());
  EXPECT_FALSE(GroupInFile("backstay:x:\n", "backstay").has_value());
  EXPECT_FALSE(GroupInFile("", "backstay").has_value());
}

TEST(FindAccount, KnowsRootAndSaysWhoIsMissing) {
  const auto root = FindAccount("root");
  ASSERT_TRUE(root.ok()) << root.status();
  EXPECT_EQ(root->user, 0u);
  const auto nobody = FindAccount("no\nsuch user");
  EXPECT_TRUE(absl::IsNotFound(nobody.status()));
  EXPECT_NE(nobody.status().message().find("in /etc/passwd"), absl::string_view::npos);
  EXPECT_TRUE(FindGroup("root").has_value());
  EXPECT_FALSE(FindGroup("no such group").has_value());
}

}  // namespace
}  // namespace backstay
