// tests/core/control/request_test.cc -- lines that are requests, and many that are none.
#include "core/control/request.h"

#include <gtest/gtest.h>

#include <set>

namespace backstay {
namespace {

std::string Refusal(std::string_view line) {
  const absl::StatusOr<AdminRequest> request = ParseRequest(line);
  return request.ok() ? "taken" : std::string(request.status().message());
}

TEST(Request, AnOrderForDomains) {
  const auto request = ParseRequest(
      R"({"verb":"reset","domains":["B.example.","a.example","b.EXAMPLE"],"keep_age":true,)"
      R"("destinations":["10.0.0.1:25"],"dry_run":true,"all":false})");
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->verb, AdminVerb::kReset);
  EXPECT_EQ(request->domains, (std::vector<std::string>{"a.example", "b.example"}));
  EXPECT_EQ(request->destinations, std::vector<std::string>{"10.0.0.1:25"});
  EXPECT_TRUE(request->keeps_age);
  EXPECT_TRUE(request->is_dry_run);
  EXPECT_FALSE(request->is_all);
}

TEST(Request, EveryVerbHasItsNameAndOnlyOrdersHaveARule) {
  const std::set<std::string_view> orders = {"reset",  "hold", "release", "bounce",
                                             "delete", "stop", "start"};
  for (int i = 0; i <= static_cast<int>(AdminVerb::kReload); ++i) {
    const auto verb = static_cast<AdminVerb>(i);
    const std::string name(NameOf(verb));
    const bool is_of_domains = name == "stop" || name == "start";
    const auto request = ParseRequest(
        "{\"verb\":\"" + name + "\"" + (is_of_domains ? ",\"domains\":[\"a.example\"]" : "") +
        ((orders.contains(name) || name == "go") && !is_of_domains ? ",\"all\":true" : "") +
        (name == "show" ? ",\"id\":\"0000000000000000\"" : "") + "}");
    ASSERT_TRUE(request.ok()) << request.status();
    EXPECT_EQ(request->verb, verb);
    EXPECT_EQ(RuleOf(verb).has_value(), orders.contains(name));
  }
  EXPECT_EQ(RuleOf(AdminVerb::kBounce), RuleVerb::kExpire);
  EXPECT_EQ(RuleOf(AdminVerb::kDelete), RuleVerb::kDelete);
}

TEST(Request, AListHasALimit) {
  EXPECT_EQ(ParseRequest(R"({"verb":"list"})")->messages_max, UINT64_MAX);
  EXPECT_EQ(ParseRequest(R"({"verb":"list","limit":3})")->messages_max, 3u);
  EXPECT_NE(Refusal(R"({"verb":"list","limit":-3})"), "taken");
  EXPECT_NE(Refusal(R"({"verb":"list","limit":1e99})"), "taken");
  EXPECT_NE(Refusal(R"({"verb":"list","limit":99999999999999999999999})"), "taken");
}

TEST(Request, AListMayHaveToBeWhole) {
  EXPECT_FALSE(ParseRequest(R"({"verb":"list"})")->wants_whole);
  EXPECT_TRUE(ParseRequest(R"({"verb":"list","whole":true})")->wants_whole);
}

TEST(Request, AListMayBeOfWhatWaitsForLong) {
  EXPECT_EQ(ParseRequest(R"({"verb":"list"})")->older, absl::ZeroDuration());
  EXPECT_EQ(ParseRequest(R"({"verb":"list","older":"5d"})")->older, absl::Hours(5 * 24));
  EXPECT_EQ(ParseRequest(R"({"verb":"list","older":"90m"})")->older, absl::Minutes(90));
}

TEST(Request, WhatIsToBeForgottenMayBeCounted) {
  EXPECT_TRUE(
      ParseRequest(R"({"verb":"forget","domains":["a.example"],"dry_run":true})")->is_dry_run);
}

struct Junk {
  std::string line;
  std::string words;
};

class RequestJunk : public testing::TestWithParam<Junk> {};

TEST_P(RequestJunk, IsRefusedWithASentence) {
  EXPECT_NE(Refusal(GetParam().line).find(GetParam().words), std::string::npos)
      << GetParam().line.substr(0, 80) << ": " << Refusal(GetParam().line);
}

INSTANTIATE_TEST_SUITE_P(
    Lines, RequestJunk,
    testing::Values(
        Junk{"", "one JSON object"}, Junk{"null", "one JSON object"}, Junk{"[]", "one JSON object"},
        Junk{"{}", "with a verb"}, Junk{R"({"verb":"status"} {"verb":"status"})", "one JSON"},
        Junk{R"({"verb":"status")", "one JSON object"}, Junk{"\xff\xfe", "one JSON object"},
        Junk{std::string(200000, '['), "one JSON object"},
        Junk{R"({"verb":)" + std::string(90000, '[') + std::string(90000, ']') + "}", "no verb"},
        Junk{R"({"verb":"explode"})", "no verb 'explode'"}, Junk{R"({"verb":1})", "no verb"},
        Junk{R"({"verb":"Reset","all":true})", "no verb"},
        // A word that was forgotten, or meant otherwise, never means everything.
        Junk{R"({"verb":"delete"})", "either all"},
        Junk{R"({"verb":"delete","domains":[]})", "either all"},
        Junk{R"({"verb":"delete","all":false})", "either all"},
        Junk{R"({"verb":"delete","all":true,"domains":["a"]})", "either all"},
        Junk{R"({"verb":"delete","all":"true"})", "all: true or false"},
        Junk{R"({"verb":"delete","domain":["a"]})", "'domain' is no member"},
        Junk{R"({"verb":"delete","domains":"a"})", "an array"},
        Junk{R"({"verb":"delete","domains":[1]})", "a text"},
        Junk{R"({"verb":"delete","domains":["a",""]})", "a text"},
        Junk{R"({"verb":"delete","domains":["."]})", "a text"},
        Junk{R"({"verb":"delete","domains":[")" + std::string(256, 'a') + R"("]})", "255"},
        Junk{R"({"verb":"delete","all":true,"keep_age":true})", "keep_age"},
        Junk{R"({"verb":"delete","all":true,"dry_run":0})", "dry_run"},
        Junk{R"({"verb":"delete","all":true,"chosen":"--older 5d"})", "chosen belongs to ids"},
        Junk{R"({"verb":"stop","all":true})", "want domains"},
        Junk{R"({"verb":"start"})", "want domains"},
        Junk{R"({"verb":"stop","domains":["a.example"],"accept_refusals":true})", "belongs to"},
        Junk{R"({"verb":"delete","all":true,"force":true})", "belongs to"},
        Junk{R"({"verb":"reload","force":1})", "force"},
        Junk{R"({"verb":"go"})", "go wants either all, or domains and destinations"},
        Junk{R"({"verb":"go","ids":["0000000000000000"]})", "go wants either all"},
        Junk{R"({"verb":"list","older":"soon"})", "older: \"soon\" is not a duration"},
        Junk{R"({"verb":"list","older":"1h30m"})", "older: "},
        Junk{R"({"verb":"list","older":5})", "older: "},
        Junk{R"({"verb":"status","older":"5d"})", "older belongs to list"},
        Junk{R"({"verb":"status","whole":true})", "whole belongs to list"},
        Junk{R"({"verb":"go","all":true,"dry_run":true})", "dry_run does not belong to go"},
        Junk{R"({"verb":"import","addresses":["a@a.example"],"dry_run":true})", "dry_run"},
        Junk{R"({"verb":"forget"})", "either addresses or domains"},
        Junk{R"({"verb":"forget","addresses":["a@a.example"],"domains":["a.example"]})", "either"},
        Junk{R"({"verb":"import"})", "addresses are wanted"},
        Junk{R"({"verb":"show"})", "wants an id"},
        Junk{R"({"verb":"show","id":"AEIOU\u0007"})", "'AEIOU\\x07' is no queue id"}));

TEST(RulesOf, NoDomainsAreOneRuleForAll) {
  const std::vector<Rule> rules =
      RulesOf(*ParseRequest(R"({"verb":"reset","all":true,"keep_age":true})"));
  ASSERT_EQ(rules.size(), 1u);
  EXPECT_TRUE(rules[0].domains.empty());
  EXPECT_TRUE(rules[0].keeps_age);
}

TEST(RulesOf, AStartMayAcceptRefusals) {
  const std::vector<Rule> rules =
      RulesOf(*ParseRequest(R"({"verb":"start","domains":["a.example"],"accept_refusals":true})"));
  ASSERT_EQ(rules.size(), 1u);
  EXPECT_EQ(rules[0].verb, RuleVerb::kStart);
  EXPECT_TRUE(rules[0].accepts_refusals);
}

TEST(RulesOf, ManyDomainsAreSplitAndNoneIsLost) {
  std::vector<std::string> domains;
  for (int i = 0; i < 5000; ++i) {
    domains.push_back("domain-" + std::to_string(i) + std::string(i % 200, 'x') + ".example");
  }
  AdminRequest request;
  request.verb = AdminVerb::kHold;
  request.domains = domains;
  const std::vector<Rule> rules = RulesOf(request);
  std::vector<std::string> all;
  for (const Rule& rule : rules) {
    EXPECT_EQ(rule.verb, RuleVerb::kHold);
    EXPECT_LE(RuleBytes(rule), kRuleBytesMax);
    EXPECT_FALSE(rule.domains.empty());  // that would be a rule for all
    all.insert(all.end(), rule.domains.begin(), rule.domains.end());
  }
  EXPECT_EQ(all, domains);
  EXPECT_LT(rules.size(), 50u);
}

}  // namespace
}  // namespace backstay
