// tests/core/control/rule_job_test.cc -- orders over shards that only say what a test wants.
#include "core/control/rule_job.h"

#include <gtest/gtest.h>

#include "core/base/log.h"

namespace backstay {
namespace {

constexpr size_t kHomes = 2;
std::vector<std::string>* log_lines = nullptr;

class UnusedReload final : public ReloadHome {
  uint64_t Begin(bool) override { return 0; }
};

class RuleJobTest : public testing::Test {
 protected:
  RuleJobTest() {
    log_lines = &log_;
    SetLogSink([](LogLevel, std::string_view line) { log_lines->emplace_back(line); });
    desk_.Start();
    AnswerAll();
    log_.clear();
  }
  ~RuleJobTest() override { SetLogSink(nullptr); }

  std::unique_ptr<AdminJob> Make(std::string_view line) {
    return MakeJob(shared_, *ParseRequest(line), "uid 7 (pid 8)");
  }
  // Every shard carries out what it was given, and speaks for `each` recipients.
  void AnswerAll(uint64_t each = 0, RuleResult of_last = RuleResult::kDone) {
    for (size_t shard = 0; shard < kHomes; ++shard) {
      post_.Drain(shard, [&](const ShardMessage& message) {
        given_.push_back(*message.order);
        RuleAnswer answer{message.order->number, shard, RuleResult::kDone, each};
        answer.result = shard + 1 == kHomes ? of_last : RuleResult::kDone;
        post_.Post(shard, post_.desk(),
                   {.kind = ShardMessage::Kind::kRuleAnswer, .answer = answer});
      });
    }
    desk_.Poll();
  }

  PostOffice post_{kHomes};
  RuleDesk desk_{post_};
  UnusedReload reload_;
  AdminShared shared_{desk_, reload_, nullptr, std::nullopt};
  std::vector<RuleOrder> given_;
  std::vector<std::string> log_;
  std::string out_;
};

TEST_F(RuleJobTest, CountsWhatAllShardsSayAndLogsWhoAndWhat) {
  const auto job = Make(R"({"verb":"hold","domains":["b.example","a.example"]})");
  EXPECT_FALSE(job->Step(out_));
  AnswerAll(5);
  EXPECT_TRUE(job->Step(out_));
  EXPECT_EQ(out_, "{\"result\":\"ok\",\"recipients\":10}\n");
  EXPECT_EQ(given_.back().rule.verb, RuleVerb::kHold);
  EXPECT_EQ(given_.back().rule.domains, (std::vector<std::string>{"a.example", "b.example"}));
  EXPECT_EQ(log_, std::vector<std::string>{"admin: uid 7 (pid 8): queue hold a.example b.example: "
                                           "10 recipients"});
  EXPECT_TRUE(job->is_free());
}

TEST_F(RuleJobTest, ADryRunChangesNothingAndIsNotLogged) {
  const auto job = Make(R"({"verb":"delete","all":true,"dry_run":true})");
  job->Step(out_);
  AnswerAll(3);
  job->Step(out_);
  AnswerAll(3);
  EXPECT_TRUE(job->Step(out_));
  EXPECT_EQ(out_, "{\"result\":\"ok\",\"recipients\":6}\n");
  EXPECT_EQ(given_.back().task, RuleTask::kCount);
  EXPECT_EQ(desk_.epoch(), 0u);
  EXPECT_TRUE(log_.empty());
}

TEST_F(RuleJobTest, ADeleteTellsTheReportsThatItEnds) {
  const auto job = Make(R"({"verb":"delete","domains":["a.example"]})");
  job->Step(out_);
  AnswerAll(3);
  EXPECT_EQ(given_.back().task, RuleTask::kCount);
  EXPECT_FALSE(job->Step(out_));
  EXPECT_FALSE(job->is_free());  // nobody's rule may come between
  AnswerAll(8);
  EXPECT_TRUE(job->Step(out_));
  EXPECT_EQ(given_.back().task, RuleTask::kApply);
  EXPECT_EQ(given_.back().rule.verb, RuleVerb::kDelete);
  EXPECT_EQ(out_, "{\"result\":\"ok\",\"recipients\":6,\"reports\":10}\n");
  EXPECT_EQ(log_, std::vector<std::string>{"admin: uid 7 (pid 8): queue delete a.example: "
                                           "6 recipients and 10 reports that were owed"});
}

TEST_F(RuleJobTest, AnotherOrderWaitsUntilTheLastRuleOfThisOne) {
  std::string names;
  for (int i = 0; i < 1000; ++i) {
    names += (i > 0 ? ",\"" : "\"") + std::string("domain-") + std::to_string(i) + ".example\"";
  }
  const auto first = Make("{\"verb\":\"hold\",\"domains\":[" + names + "]}");
  auto second = Make(R"({"verb":"reset","all":true})");
  std::string out_of_second;
  int rules = 0;
  for (bool is_done = false; !is_done; ++rules) {
    ASSERT_LT(rules, 10);
    is_done = first->Step(out_);
    EXPECT_FALSE(second->Step(out_of_second) && !is_done);
    EXPECT_EQ(first->is_free(), is_done);
    EXPECT_EQ(second->is_free(), !is_done);
    AnswerAll(1);
  }
  EXPECT_GT(rules, 2);
  EXPECT_TRUE(second->Step(out_of_second));
  EXPECT_EQ(given_.back().rule.verb, RuleVerb::kReset);
  EXPECT_EQ(desk_.epoch(), static_cast<uint64_t>(rules));
  EXPECT_NE(log_[0].find("domain-1.example"), std::string::npos);
  EXPECT_NE(log_[0].find("and 992 more: "), std::string::npos);
}

TEST_F(RuleJobTest, WhatNoDiskTookIsSaidAndLogged) {
  const auto job = Make(R"({"verb":"release","all":true})");
  job->Step(out_);
  AnswerAll(2, RuleResult::kNotOnDisk);
  EXPECT_TRUE(job->Step(out_));
  EXPECT_NE(out_.find("{\"result\":\"not-stored\",\"message\":\"in force"), std::string::npos);
  EXPECT_NE(out_.find("shard 1"), std::string::npos);
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_NE(log_[0].find("queue release --all: 4 recipients, in force"), std::string::npos);
  EXPECT_TRUE(job->is_free());
  // The next one waits for the disk.
  const auto next = Make(R"({"verb":"hold","all":true})");
  EXPECT_FALSE(next->Step(out_));
  EXPECT_EQ(given_.back().rule.verb, RuleVerb::kRelease);
}

TEST_F(RuleJobTest, AShardThatEndsRefuses) {
  const auto job = Make(R"({"verb":"hold","destinations":["10.0.0.1:25"]})");
  EXPECT_FALSE(job->Step(out_));
  EXPECT_FALSE(job->is_free());
  post_.Drain(0, [&](const ShardMessage& message) {
    ASSERT_EQ(message.kind, ShardMessage::Kind::kAsk);
    post_.Post(
        0, post_.desk(),
        {.kind = ShardMessage::Kind::kAnswered, .question = message.question, .is_refused = true});
  });
  desk_.Poll();
  EXPECT_TRUE(job->Step(out_));
  EXPECT_NE(out_.find("\"result\":\"busy\""), std::string::npos);
  EXPECT_TRUE(job->is_free());
  EXPECT_TRUE(log_.empty());
}

}  // namespace
}  // namespace backstay
