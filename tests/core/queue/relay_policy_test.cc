// tests/core/queue/relay_policy_test.cc -- who is taken, who is refused, and recipient files.
#include "core/queue/relay_policy.h"

#include <gtest/gtest.h>

#include <utility>

namespace backstay {
namespace {

absl::StatusOr<TextSet> ListOf(std::string_view text, std::string_view file_name,
                               const std::string& domain) {
  absl::StatusOr<std::vector<TextSet>> lists = ParseRecipientFile(text, file_name, {domain});
  return lists.ok() ? absl::StatusOr<TextSet>(lists->front()) : lists.status();
}

RelayPolicy Build(std::string postmaster = "") {
  std::vector<DomainPolicy> domains(3);
  domains[0].name = "any.example";
  domains[1].name = "none.example";
  domains[1].recipients = DomainPolicy::Recipients::kNone;
  domains[2].name = "list.example";
  domains[2].recipients = DomainPolicy::Recipients::kList;
  const absl::StatusOr<TextSet> list =
      ListOf("Alice@list.example\r\n\"b c\"@list.example.\n", "list", "list.example");
  EXPECT_TRUE(list.ok());
  domains[2].list = *list;
  return RelayPolicy(std::move(domains), std::move(postmaster));
}

TEST(RelayPolicy, EachAddressHasItsVerdict) {
  const RelayPolicy policy = Build();
  struct Case {
    std::string_view address;
    int code;
    std::string_view enhanced;
  };
  const std::string long_local = std::string(400, 'a') + "@any.example";
  const std::string long_listed = std::string(400, 'a') + "@list.example";
  const Case cases[] = {
      {"x@any.example", 250, "2.1.5"},
      {"X@ANY.Example", 250, "2.1.5"},
      {"x@any.example.", 250, "2.1.5"},
      {"\"a@b\"@any.example", 250, "2.1.5"},
      {long_local, 250, "2.1.5"},
      {"x@other.example", 550, "5.7.1"},
      {"x@sub.any.example", 550, "5.7.1"},
      {"x@any.example.org", 550, "5.7.1"},
      {"x@any.exampl", 550, "5.7.1"},
      {"x@example", 550, "5.7.1"},
      {"x@[192.0.2.1]", 550, "5.7.1"},
      {"postmaster@other.example", 550, "5.7.1"},
      {"any.example@other.example", 550, "5.7.1"},
      {"\"x@any.example\"@other.example", 550, "5.7.1"},
      {"x@none.example", 550, "5.1.1"},
      {"alice@list.example", 250, "2.1.5"},
      {"ALICE@LIST.EXAMPLE", 250, "2.1.5"},
      {"alice@list.example.", 250, "2.1.5"},
      {"\"B C\"@list.example", 250, "2.1.5"},
      {"alic@list.example", 550, "5.1.1"},
      {"alice2@list.example", 550, "5.1.1"},
      {"\"alice\"@list.example", 550, "5.1.1"},
      {long_listed, 550, "5.1.1"},
      {"alice@any.example", 250, "2.1.5"},
  };
  for (const Case& c : cases) {
    const RelayVerdict verdict = policy.Judge(c.address);
    EXPECT_EQ(verdict.reply.code, c.code) << c.address;
    EXPECT_EQ(verdict.reply.enhanced, c.enhanced) << c.address;
    EXPECT_EQ(verdict.address, c.address);  // byte for byte
  }
}

TEST(RelayPolicy, PostmasterIsAlwaysTakenForOurDomains) {
  const RelayPolicy policy = Build();
  for (const std::string_view address : {"postmaster@any.example", "PostMaster@none.example",
                                         "POSTMASTER@list.example", "postmaster@none.example."}) {
    EXPECT_EQ(policy.Judge(address).reply.code, 250) << address;
  }
  EXPECT_EQ(policy.Judge("postmaster2@none.example").reply.code, 550);
  EXPECT_EQ(policy.Judge("xpostmaster@none.example").reply.code, 550);
}

TEST(RelayPolicy, BarePostmasterGoesToTheFirstDomainOrWhereConfigured) {
  const RelayPolicy policy = Build();
  const RelayPolicy configured = Build("admin@list.example");
  for (const std::string_view address : {"Postmaster", "postmaster", "POSTMASTER"}) {
    EXPECT_EQ(policy.Judge(address).reply.code, 250);
    EXPECT_EQ(policy.Judge(address).address, "postmaster@any.example");
    EXPECT_EQ(configured.Judge(address).address, "admin@list.example");
  }
  EXPECT_EQ(policy.Judge("Postmaste").reply.code, 550);
  EXPECT_EQ(policy.Judge("someone").reply.code, 550);
}

TEST(RecipientFile, TakesAddressesCommentsAndBothLineEnds) {
  const absl::StatusOr<TextSet> list = ListOf(
      "\xef\xbb\xbf"
      "a@x.example\r\n# comment\r\n\r\n  B@X.example  \n\t# more\n\nc+d#e@x.example",
      "list", "x.example");
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->size(), 3u);
  EXPECT_TRUE(list->contains(std::string_view("a@x.example")));
  EXPECT_TRUE(list->contains(std::string_view("b@x.example")));
  EXPECT_TRUE(list->contains(std::string_view("c+d#e@x.example")));
}

TEST(RecipientFile, SaysWhichLineIsWrong) {
  const std::string_view lines[] = {
      "noat",
      "@x.example",
      "a@",
      "a b@x.example",
      "a@x.example b@x.example",
      "a@x..y",
      "a@x.example,b@y.z",
      "<a@x.example>",
      "a@x.example #c",
      "a\x01@x.example",
      "a@x\rb@y.z",
      "\xe9@x.example",
  };
  for (const std::string_view line : lines) {
    const absl::StatusOr<TextSet> list =
        ListOf("# one\nok@x.example\n" + std::string(line) + "\n", "users.txt", "x.example");
    ASSERT_FALSE(list.ok()) << line;
    EXPECT_NE(std::string(list.status().message()).find("users.txt:3: "), std::string::npos)
        << list.status();
  }
  EXPECT_FALSE(ListOf(std::string(400, 'a') + "@x.example\n", "users.txt", "x.example").ok());
}

// A file in UTF-16, as some editors save it.
TEST(RecipientFile, AnotherEncodingIsAnError) {
  const std::string_view utf16(
      "\xff\xfe"
      "a\0@\0x\0\r\0\n\0",
      12);
  EXPECT_FALSE(ListOf(utf16, "users.txt", "x.example").ok());
}

TEST(RecipientFile, MayBeSharedBySeveralDomains) {
  const auto lists =
      ParseRecipientFile("a@x.example\nb@y.example\nc@z.example\n\"q@y.example\"@X.Example.\n",
                         "list", {"y.example", "x.example"});
  ASSERT_TRUE(lists.ok()) << lists.status();
  EXPECT_EQ(*lists,
            (std::vector<TextSet>{{"b@y.example"}, {"a@x.example", "\"q@y.example\"@x.example"}}));
}

// Whatever they write, clients and the file mean the same: the domain is known in ASCII.
TEST(RecipientFile, ADomainInItsOwnScriptIsTheOneThatIsConfigured) {
  const std::string name = "xn--bcher-kva.example";
  std::vector<DomainPolicy> domains(1);
  domains[0].name = name;
  domains[0].recipients = DomainPolicy::Recipients::kList;
  const absl::StatusOr<TextSet> list = ListOf(
      "a@b\u00fccher.example\nB@b\u00fcCHER.Example.\r\n\u00fc@b\u00fccher.example\n"
      "d@XN--bcher-kva.example\n",
      "list", name);
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(*list, (TextSet{"a@" + name, "b@" + name, "\u00fc@" + name, "d@" + name}));
  domains[0].list = *list;
  const RelayPolicy policy(std::move(domains), "");
  for (const char* const local : {"a", "b", "\u00fc", "d"}) {
    const std::string at = std::string(local) + "@";
    EXPECT_EQ(policy.Judge(at + name).reply.code, 250) << local;
    EXPECT_EQ(policy.Judge(at + "b\u00fccher.example.").reply.code, 250) << local;
  }
  EXPECT_EQ(policy.Judge("c@b\u00fccher.example").reply.code, 550);
}

// It would refuse everyone, which is never meant.
TEST(RecipientFile, WithoutAnAddressOfTheDomainIsAnError) {
  for (const std::string_view text :
       {"", "\n\n", "# only\r\n# comments\r\n", "   \n", "a@y.example\n", "a@sub.x.example\n",
        "x.example@y.example"}) {
    const absl::StatusOr<TextSet> list = ListOf(text, "users.txt", "x.example");
    ASSERT_FALSE(list.ok()) << text;
    const std::string message(list.status().message());
    EXPECT_NE(message.find("users.txt"), std::string::npos) << message;
    EXPECT_NE(message.find("no address of x.example"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace backstay
