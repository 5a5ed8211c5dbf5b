// tests/core/control/message_report_test.cc -- what is told of the messages that wait, and of those
// that only owe a report.
#include "core/control/message_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/control/list_job.h"
#include "core/control/message_row.h"
#include "tests/core/control/job_fixture.h"

namespace backstay {
namespace {

TEST_F(JobTest, AListTellsEveryMessageOfEveryShardOnce) {
  std::vector<std::string> ids;
  for (int i = 0; i < 150; ++i) {
    ids.push_back(Send(i % 3 == 0 ? std::vector<std::string>{"x@a.example", "y@b.example"}
                                  : std::vector<std::string>{"x@a.example"}));
  }
  const std::vector<std::string> lines = Ask(R"({"verb":"list"})");
  ASSERT_EQ(lines.size(), ids.size() + 1);
  for (const std::string& id : ids) {
    EXPECT_EQ(std::count_if(lines.begin(), lines.end(),
                            [&](const std::string& line) { return line.find(id) != line.npos; }),
              1);
  }
  EXPECT_EQ(lines.back(), R"({"result":"ok","message":""})");
  EXPECT_EQ(Ask(R"({"verb":"list","domains":["b.example"]})").size(), 50u + 1);
  EXPECT_EQ(Ask(R"({"verb":"list","domains":["a.example","b.example"]})").size(), 150u + 1);
  EXPECT_EQ(Ask(R"({"verb":"list","domains":["c.example"]})").size(), 1u);
  EXPECT_EQ(Ask(R"({"verb":"list","limit":70})").size(), 70u + 1);
}

// Neither a clock step nor a stopped daemon makes mail older: its time is counted the same way.
TEST_F(JobTest, HowLongMailWaitsIsTheSpoolsClockToTell) {
  const std::string old = Send({"x@a.example"});
  world_.RunFor(absl::Hours(2));
  Send({"x@a.example"});
  AdminShared* shared = &shared_;
  const auto older = [&](const std::string& time) {
    return Ask(*shared, R"({"verb":"list","older":")" + time + "\"}");
  };
  EXPECT_EQ(older("0").size(), 2u + 1);
  EXPECT_EQ(older("0s").size(), 2u + 1);
  ASSERT_EQ(older("90m").size(), 1u + 1);
  EXPECT_NE(older("90m")[0].find(old), std::string::npos);
  EXPECT_EQ(older("3h").size(), 1u);
  world_.StepWallClock(absl::Hours(48));
  daemon_.Crash(CrashMode::kAllUnsynced);
  world_.RunFor(absl::Hours(24));
  ASSERT_TRUE(daemon_.StartAndServe().ok());
  AdminShared anew{daemon_.desk(), reload_, nullptr, std::nullopt};
  shared = &anew;
  EXPECT_EQ(Ask(*shared, R"({"verb":"hold","all":true})")[0],  // when all of it is known
            R"({"result":"ok","recipients":2})");
  EXPECT_EQ(older("90m").size(), 1u + 1);
  EXPECT_EQ(older("3h").size(), 1u);
}

TEST_F(JobTest, AMessageSaysWhyItWaits) {
  const std::string id = Send({"x@a.example", "y@b.example"});
  const std::string show = "{\"verb\":\"show\",\"id\":\"" + id + "\"}";
  world_.RunFor(absl::Seconds(15));  // nobody answers for five
  std::vector<std::string> lines = Ask(show);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NE(lines[0].find("\"sender\":\"s@client.example\""), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find("\"address\":\"x@a.example\",\"state\":\"deferred\",\"reason\":\"primary "
                          "down: 10.0.0.3:25: "),
            std::string::npos)
      << lines[0];
  EXPECT_NE(lines[0].find("\"next_try\":null,\"expires\":\"20"), std::string::npos) << lines[0];
  Ask(R"({"verb":"hold","domains":["a.example"]})");
  lines = Ask(show);
  EXPECT_NE(lines[0].find("\"address\":\"x@a.example\",\"state\":\"held\",\"reason\":\"held by the "
                          "operator\",\"attempts\":0,\"retries\":0,\"max_retries\":null,"
                          "\"next_try\":null,\"expires\":null}"),
            std::string::npos)
      << lines[0];
  EXPECT_NE(lines[0].find("\"address\":\"y@b.example\",\"state\":\"deferred\""), std::string::npos);
  Ask(R"({"verb":"delete","all":true})");
  world_.RunFor(absl::Seconds(1));
  lines = Ask(show);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("\"result\":\"unknown\",\"message\":\"" + id), std::string::npos);
}

// DESIGN 6 "Retry accounting": charged without a socket, and the operator sees it.
TEST_F(JobTest, ARetryIsChargedAndSeenThoughThePrimaryIsDown) {
  const std::string show = "{\"verb\":\"show\",\"id\":\"" + Send({"x@a.example"}) + "\"}";
  const auto charged = [&] {
    const std::string line = Ask(show)[0];
    const size_t at = line.find("\"attempts\"");
    return line.substr(at, line.find(",\"next_try\"") - at);
  };
  world_.RunFor(absl::Minutes(11));
  EXPECT_EQ(charged(), R"("attempts":0,"retries":1,"max_retries":null)");
  ASSERT_TRUE(daemon_.Reload(ConfigText() + "[retry]\nprofile = \"smartermail\"\n").ok());
  EXPECT_EQ(charged(), R"("attempts":0,"retries":1,"max_retries":4)");
  world_.RunFor(absl::Minutes(20));
  EXPECT_EQ(charged(), R"("attempts":0,"retries":3,"max_retries":4)");
  EXPECT_NE(Ask(R"({"verb":"list"})")[0].find(R"("retries":3,"max_retries":4)"), std::string::npos);
  Ask(R"({"verb":"hold","all":true})");
  EXPECT_EQ(charged(), R"("attempts":0,"retries":0,"max_retries":null)");
  Ask(R"({"verb":"release","all":true})");
  world_.RunFor(absl::Minutes(11));
  EXPECT_EQ(charged(), R"("attempts":0,"retries":1,"max_retries":4)");
}

TEST_F(JobTest, WhatOnlyOwesAReportIsShown) {
  const std::string id = Send({"x@a.example", "y@b.example"});
  const std::string show = "{\"verb\":\"show\",\"id\":\"" + id + "\"}";
  const auto is_in = [](const std::string& line, const char* text) {
    return line.find(text) != std::string::npos;
  };
  world_.RunFor(absl::Seconds(15));  // until its primary is down
  Ask(R"({"verb":"bounce","domains":["a.example"]})");
  world_.RunFor(absl::Seconds(10));
  std::string line = Ask(show)[0];
  EXPECT_TRUE(is_in(line, R"("state":"deferred","sender")")) << line;
  EXPECT_TRUE(is_in(line, R"("x@a.example","state":"dsn pending","reason":"failed)")) << line;
  EXPECT_TRUE(is_in(line, R"(when there is a route (dsn.route is \"off\"))")) << line;
  EXPECT_FALSE(is_in(Ask(R"({"verb":"list"})")[0], "x@a.example"));
  Ask(R"({"verb":"bounce","domains":["b.example"]})");
  world_.RunFor(absl::Seconds(10));
  line = Ask(show)[0];
  EXPECT_TRUE(is_in(line, R"("state":"dsn pending","sender")")) << line;
  EXPECT_TRUE(is_in(line, R"("y@b.example","state":"dsn pending")")) << line;
  EXPECT_EQ(Ask(R"({"verb":"list"})").size(), 1u);
  Ask("{\"verb\":\"delete\",\"ids\":[\"" + id + "\"]}");
  EXPECT_TRUE(is_in(Ask(show)[0], R"("result":"unknown")"));
}

TEST_F(JobTest, WhatIsParkedSaysWhatItWaitsFor) {
  const std::string id = Send({"x@a.example"});
  ASSERT_TRUE(
      daemon_.Reload(ConfigText() + "[retry]\nexpire_after = \"1m\"\non_expiry = \"hold\"\n").ok());
  world_.RunFor(absl::Minutes(4));
  std::vector<std::string> lines = Ask("{\"verb\":\"show\",\"id\":\"" + id + "\"}");
  EXPECT_NE(lines[0].find("\"state\":\"held\",\"reason\":\"held: its time is over"),
            std::string::npos)
      << lines[0];
  lines = Ask(R"({"verb":"primaries"})");
  EXPECT_NE(lines[0].find("\"held\":1"), std::string::npos) << lines[0];
  lines = Ask("{\"verb\":\"release\",\"ids\":[\"" + id + "\"]}");
  EXPECT_NE(lines.back().find("\"recipients\":1"), std::string::npos) << lines.back();
  lines = Ask("{\"verb\":\"show\",\"id\":\"" + id + "\"}");
  EXPECT_NE(lines[0].find("\"state\":\"deferred\""), std::string::npos) << lines[0];
}

// Places that hold no message, shards that are not there, other nodes.
TEST_F(JobTest, AnyIdIsAnswered) {
  const std::string id = Send({"x@a.example"});
  const QueueId known = *QueueId::Parse(id);
  for (QueueId other :
       {QueueId{known.node, known.shard, known.segment, known.block + 1},
        QueueId{known.node, known.shard, known.segment + 1, known.block},
        QueueId{known.node, known.shard, 0, 0},
        QueueId{known.node, known.shard, (1u << 28) - 1, (1u << 24) - 1},
        QueueId{known.node, 1023, known.segment, known.block},
        QueueId{static_cast<uint16_t>(known.node + 1), known.shard, known.segment, known.block}}) {
    const auto text = other.ToText();
    const auto lines =
        Ask("{\"verb\":\"show\",\"id\":\"" + std::string(text.data(), text.size()) + "\"}");
    EXPECT_NE(lines.back().find("\"result\":\"unknown\""), std::string::npos) << lines.back();
    EXPECT_EQ(lines.size(), 1u);
  }
  EXPECT_EQ(Ask("{\"verb\":\"show\",\"id\":\"" + id + "\"}").size(), 2u);
}

TEST_F(JobTest, AListOfADestinationTellsNoOthersMail) {
  ASSERT_TRUE(daemon_.Reload(ConfigText(2)).ok());
  Send({"x@a.example"});
  Send({"y@b.example"});
  Send({"z@d1.example"});
  const auto count = [&](const std::string& destinations) {
    return Ask(R"({"verb":"list","destinations":[)" + destinations + "]}").size() - 1;
  };
  EXPECT_EQ(count(R"("10.0.0.3:25")"), 2u);
  EXPECT_EQ(count(R"("d0.example")"), 1u);
  EXPECT_EQ(count(R"("10.0.0.4:25","a.example")"), 3u);
  EXPECT_NE(Ask(R"({"verb":"list","destinations":["10.0.0.5:25"]})")[0].find("unknown"),
            std::string::npos);
}

// An order for these messages would speak for them, too.
TEST_F(JobTest, AListOfADomainMarksRecipientsInOthers) {
  Send({"x@a.example", "y@b.example"});
  const auto count = [&](const std::string& names) {
    const std::string line = Ask(R"({"verb":"list")" + names + "}")[0];
    return std::pair(line.find("\"elsewhere\":true"), line.find("y@b.example"));
  };
  EXPECT_EQ(count("").first, std::string::npos);
  EXPECT_EQ(count(R"(,"destinations":["10.0.0.3:25"])").first, std::string::npos);
  EXPECT_LT(count(R"(,"domains":["b.example"])").first,
            count(R"(,"domains":["b.example"])").second);
  EXPECT_GT(count(R"(,"domains":["a.example"])").first,
            count(R"(,"domains":["a.example"])").second);
}

}  // namespace
}  // namespace backstay
