// tests/core/control/job_test.cc -- questions to the shards of a whole daemon in a simulated world.
#include "core/control/job.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/control/go_job.h"
#include "core/control/report_job.h"
#include "tests/core/control/job_fixture.h"

namespace backstay {
namespace {

TEST_F(JobTest, DomainsAddUpOverShards) {
  for (int i = 0; i < 20; ++i) {
    Send({"x@a.example"});
  }
  Send({"y@b.example"});
  world_.RunFor(absl::Seconds(90));
  Ask(R"({"verb":"hold","domains":["b.example"]})");
  const std::vector<std::string> lines = Ask(R"({"verb":"primaries"})");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_TRUE(lines[0].starts_with(R"({"domain":"a.example","state":"down","reason":"10.0.0.3)"))
      << lines[0];
  EXPECT_NE(lines[0].find(R"("queued":20,"oldest":9)"), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find(R"("held":0,"primary":"10.0.0.3:25","outages":[{"since":"20)"),
            std::string::npos)
      << lines[0];
  EXPECT_NE(lines[0].find(R"(Z","until":null,"reason":"10.0.0.3:25: connect)"), std::string::npos)
      << lines[0];
  EXPECT_NE(lines[1].find(R"("held":1,"primary":"10.0.0.3:25")"), std::string::npos) << lines[1];
  const std::vector<std::string> status = Ask(R"({"verb":"status"})");
  ASSERT_EQ(status.size(), 3u);
  EXPECT_NE(status[0].find(R"("queued":21,"messages":21,)"), std::string::npos) << status[0];
  EXPECT_NE(status[1].find(R"("domains":2,"queued":21,)"), std::string::npos) << status[1];
}

TEST_F(JobTest, AStoppedDomainIsHeldWithWhatComesLater) {
  Send({"x@a.example"});
  EXPECT_NE(Ask(R"({"verb":"stop","domains":["a.example"]})")[0].find("\"recipients\":1"),
            std::string::npos);
  const std::string id = Send({"x@a.example", "y@b.example"});
  EXPECT_TRUE(Ask(R"({"verb":"primaries"})")[0].starts_with(
      R"({"domain":"a.example","state":"held","reason":"operator","queued":2)"));
  const std::string shown = Ask("{\"verb\":\"show\",\"id\":\"" + id + "\"}")[0];
  EXPECT_NE(shown.find(R"("address":"x@a.example","state":"held","reason":"held by the operator")"),
            std::string::npos)
      << shown;
  EXPECT_NE(Ask(R"({"verb":"start","domains":["a.example"]})")[0].find("\"recipients\":2"),
            std::string::npos);
  EXPECT_EQ(Ask(R"({"verb":"primaries"})")[0].find("held\",\"reason"), std::string::npos);
}

// A count of none would look as if it had been done.
TEST_F(JobTest, EachNameMustMeanSomethingWhereNoCountWouldTell) {
  Send({"x@a.example"});
  for (const char* verb : {"stop", "start", "go"}) {
    const std::string line =
        Ask(std::string("{\"verb\":\"") + verb + R"(","domains":["a.example","a.exmaple"]})")[0];
    EXPECT_TRUE(line.starts_with(R"({"result":"unknown","message":"a.exmaple )")) << line;
  }
  EXPECT_EQ(Ask(R"({"verb":"primaries"})")[0].find("\"state\":\"held\""), std::string::npos);
}

// A domain that is held says nothing of its primary, nor of the others there.
TEST_F(JobTest, AStopHidesNoPrimary) {
  Ask(R"({"verb":"stop","domains":["b.example"]})");
  const auto primary = [&] { return Ask(R"({"verb":"status"})")[1]; };
  EXPECT_NE(primary().find(R"("state":"up","reason":"1 of 2 domains held: operator","domains":2,)"),
            std::string::npos)
      << primary();
  Send({"x@a.example"});
  Send({"y@b.example"});
  world_.RunFor(absl::Seconds(90));
  EXPECT_NE(primary().find(R"("state":"down","reason":"10.0.0.3:25: connect)"), std::string::npos)
      << primary();
  EXPECT_NE(primary().find("; 1 of 2 domains held: operator\""), std::string::npos) << primary();
  EXPECT_NE(primary().find(R"("held":1,)"), std::string::npos) << primary();
  EXPECT_TRUE(Ask(R"({"verb":"primaries"})")[1].starts_with(
      R"({"domain":"b.example","state":"held","reason":"operator","queued":1,)"));
}

TEST_F(JobTest, AStopIsSeenAndEndsThoughItsDomainIsGone) {
  Ask(R"({"verb":"stop","domains":["b.example"]})");
  ASSERT_NO_FATAL_FAILURE(RemoveLastDomain());
  const std::vector<std::string> lines = Ask(R"({"verb":"primaries"})");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_TRUE(lines[1].starts_with(
      R"({"domain":"b.example","state":"held","reason":"operator","queued":0,)"))
      << lines[1];
  const std::string line = Ask(R"({"verb":"go","domains":["b.example"]})")[0];
  EXPECT_NE(line.find("b.example is not configured: there is nowhere"), std::string::npos) << line;
  EXPECT_EQ(Ask(R"({"verb":"start","domains":["b.example"]})")[0],
            R"({"result":"ok","recipients":0})");
  EXPECT_EQ(Ask(R"({"verb":"primaries"})").size(), 2u);
}

TEST_F(JobTest, GoTellsHowMuchWaitsThere) {
  for (int i = 0; i < 3; ++i) {
    Send({"x@a.example"});
  }
  Send({"y@b.example"});
  const auto recipients = [&](const std::string& names) {
    return Ask("{\"verb\":\"go\"," + names + "}").back();
  };
  EXPECT_NE(recipients(R"("domains":["a.example"])").find("\"recipients\":3"), std::string::npos);
  EXPECT_NE(recipients(R"("destinations":["10.0.0.3:25"])").find("\"recipients\":4"),
            std::string::npos);
  EXPECT_NE(recipients(R"("destinations":["b.example"])").find("\"recipients\":4"),
            std::string::npos);
  EXPECT_NE(recipients(R"("destinations":["c.example"])").find("unknown"), std::string::npos);
  EXPECT_NE(recipients(R"("all":true)").find("\"recipients\":4"), std::string::npos);
  EXPECT_NE(recipients(R"("domains":["c.example"])").find("unknown"), std::string::npos);
}

// Down for an hour it is probed every 15 seconds; asked for, at once.
TEST_F(JobTest, GoProbesWhatIsDown) {
  Send({"x@a.example"});
  world_.RunFor(absl::Hours(1));
  const auto failed = [&] {
    uint64_t probes = 0;
    for (size_t shard = 0; shard < daemon_.shards(); ++shard) {
      for (const auto& route : daemon_.shard(shard).routes().routes()) {
        probes += route->destination().probes_failed();
      }
    }
    return probes;
  };
  const uint64_t before = failed();
  EXPECT_TRUE(world_.RunUntil([&] { return failed() > before; }, absl::Minutes(1)));
  const uint64_t just_probed = failed();
  Ask(R"({"verb":"go","all":true})");
  EXPECT_TRUE(world_.RunUntil([&] { return failed() > just_probed; }, absl::Seconds(8)));
}

TEST_F(JobTest, RatesAreOverTheTimeSinceTheLastSample) {
  world_.RunFor(absl::Seconds(100));
  Send({"x@a.example"});
  EXPECT_NE(Ask(R"({"verb":"status"})")[0].find(R"("rate_seconds":10)"), std::string::npos);
  world_.RunFor(absl::Seconds(20));
  for (int i = 0; i < 40; ++i) {
    Send({"x@a.example"});
  }
  const std::string line = Ask(R"({"verb":"status"})")[0];
  EXPECT_NE(line.find(R"("rate_seconds":2)"), std::string::npos) << line;
  EXPECT_TRUE(line.find(R"("accepted_per_second":1.)") != line.npos ||
              line.find(R"("accepted_per_second":2.0)") != line.npos)
      << line;
}

TEST_F(JobTest, ThousandsOfDomainsComeInPieces) {
  ASSERT_TRUE(daemon_.Reload(ConfigText(3000)).ok());
  Send({"x@a.example"});
  const std::vector<std::string> lines = Ask(R"({"verb":"primaries"})");
  EXPECT_EQ(lines.size(), 3000u + 2 + 1);
  EXPECT_EQ(Ask(R"({"verb":"hold","destinations":["a.example"]})")[0],
            R"({"result":"ok","recipients":1})");
  EXPECT_EQ(Ask(R"({"verb":"release","destinations":["10.0.0.4:25","d7.example"]})")[0],
            R"({"result":"ok","recipients":0})");
  EXPECT_NE(Ask(R"({"verb":"hold","destinations":["10.0.0.5:25"]})")[0].find("unknown"),
            std::string::npos);
}

TEST_F(JobTest, MailOfARemovedDomainIsStillTold) {
  const std::string id = Send({"x@b.example"});
  ASSERT_NO_FATAL_FAILURE(RemoveLastDomain());
  const std::vector<std::string> lines = Ask(R"({"verb":"primaries"})");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_TRUE(lines[1].starts_with(
      R"({"domain":"b.example","state":"held","reason":"removed","queued":1,)"))
      << lines[1];
  EXPECT_NE(lines[1].find(R"("held":1,"primary":"")"), std::string::npos) << lines[1];
  EXPECT_NE(Ask("{\"verb\":\"show\",\"id\":\"" + id + "\"}")[0].find("is not configured"),
            std::string::npos);
  EXPECT_EQ(Ask(R"({"verb":"delete","domains":["b.example"]})")[0],
            R"({"result":"ok","recipients":1})");
  EXPECT_EQ(Ask(R"({"verb":"primaries"})").size(), 2u);
}

// A question may be with a shard that is told to end: it comes back, and the spool is closed.
TEST_F(JobTest, AShardThatDrainsGivesQuestionsBack) {
  for (int i = 0; i < 30; ++i) {
    Send({"x@a.example"});
  }
  const auto job = MakeJob(shared_, *ParseRequest(R"({"verb":"list"})"), "uid 0 (pid 1)");
  std::string out;
  job->Step(out);
  EXPECT_FALSE(job->is_free());
  world_.RunFor(absl::Microseconds(200));  // on its way, not at its end
  ASSERT_TRUE(daemon_.Stop());
}

// Asked before a shard knows what is in its spool.
TEST_F(JobTest, AReportBehindAStartSaysThatMailIsMissing) {
  Send({"x@a.example"});
  daemon_.Crash(CrashMode::kAllUnsynced);
  ASSERT_TRUE(daemon_.Start().ok());
  AdminShared shared{daemon_.desk(), reload_, nullptr, std::nullopt};
  for (const char* request : {R"({"verb":"list"})", R"({"verb":"primaries"})"}) {
    EXPECT_NE(Ask(shared, request).back().find("older mail is missing"), std::string::npos);
  }
  // An order waits until everything is known.
  EXPECT_EQ(Ask(shared, R"({"verb":"hold","all":true})")[0], R"({"result":"ok","recipients":1})");
  EXPECT_EQ(Ask(shared, R"({"verb":"list"})").back(), R"({"result":"ok","message":""})");
}

// An order goes by such a list, and would leave out what is not read yet.
TEST_F(JobTest, AListThatMustBeWholeWaitsForAStart) {
  const std::string id = Send({"x@a.example"});
  daemon_.Crash(CrashMode::kAllUnsynced);
  ASSERT_TRUE(daemon_.Start().ok());
  AdminShared shared{daemon_.desk(), reload_, nullptr, std::nullopt};
  const std::vector<std::string> lines = Ask(shared, R"({"verb":"list","whole":true})");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NE(lines[0].find(id), std::string::npos) << lines[0];
  EXPECT_EQ(lines[1], R"({"result":"ok","message":""})");
}

TEST_F(JobTest, StatusTellsWhatIsNext) {
  ASSERT_TRUE(daemon_
                  .Reload(ConfigText() + "[retry]\nexpire_after = \"1h\"\n"
                                         "[[domain]]\nname = \"n.example\"\n"
                                         "primary = [\"mx.n.example:25\"]\n")
                  .ok());
  const auto next = [&](const std::string& primary) {
    for (const std::string& line : Ask(R"({"verb":"status"})")) {
      if (line.find("\"primary\":\"" + primary) != std::string::npos) {
        return line.substr(line.find("\"next\""));
      }
    }
    return std::string();
  };
  EXPECT_EQ(next("10.0.0.3:25"), R"("next":"","next_in":null})") << "nobody asked anything of it";
  EXPECT_TRUE(next("mx.n.example").starts_with(R"("next":"dns","next_in":)")) << "nobody answers";
  Send({"x@a.example"});
  world_.RunFor(absl::Seconds(10));  // nobody answers there
  EXPECT_TRUE(next("10.0.0.3:25").starts_with(R"("next":"probe","next_in":)"));
  // A stop is of the domain; the primary is probed all the same.
  Ask(R"({"verb":"stop","domains":["a.example"]})");
  EXPECT_TRUE(next("10.0.0.3:25").starts_with(R"("next":"probe","next_in":)"));
  Send({"x@n.example"});
  world_.RunFor(absl::Minutes(58));
  bool is_expiry = false;  // the DNS is asked every five minutes
  for (int seconds = 0; seconds < 120 && !is_expiry; ++seconds) {
    world_.RunFor(absl::Seconds(1));
    is_expiry = next("mx.n.example").starts_with(R"("next":"expiry","next_in":)");
  }
  EXPECT_TRUE(is_expiry);
}

TEST_F(JobTest, AReloadTellsHowItEnded) {
  EXPECT_EQ(Ask(R"({"verb":"reload"})")[0], R"({"result":"failed","message":"not in this world"})");
  EXPECT_EQ(Ask(R"({"verb":"reload","force":true})")[0],
            R"({"result":"failed","message":"not by force"})");
}

// SIGHUP came first, and that reload has the file as it was.
TEST_F(JobTest, AReloadTellsNotHowAnotherOneEnded) {
  class Reloads final : public ReloadHome {
    uint64_t Begin(bool) override { return plain.begun; }
  } home;
  home.plain.begun = 1;
  AdminShared shared{daemon_.desk(), home, nullptr, std::nullopt};
  const auto job = MakeJob(shared, *ParseRequest(R"({"verb":"reload"})"), "uid 0 (pid 1)");
  std::string out;
  home.plain.ended = 1;
  EXPECT_FALSE(job->Step(out));
  home.plain.begun = 2;
  home.forced = {1, 1, "another one"};
  EXPECT_FALSE(job->Step(out));
  home.plain.ended = 2;
  home.plain.refusal = "mistaken";
  EXPECT_TRUE(job->Step(out));
  EXPECT_EQ(out, "{\"result\":\"failed\",\"message\":\"mistaken\"}\n");
}

TEST_F(JobTest, MessagesAreOrderedByTheirIds) {
  std::vector<std::string> ids;
  for (int i = 0; i < 12; ++i) {
    ids.push_back(Send({"x@a.example"}));
  }
  const auto order = [&](const std::string& verb, const std::vector<std::string>& some) {
    std::string text;
    for (const std::string& id : some) {
      text += (text.empty() ? "\"" : ",\"") + id + "\"";
    }
    return Ask("{\"verb\":\"" + verb + "\",\"ids\":[" + text + "]}").back();
  };
  const auto show = [&](const std::string& id) {
    return Ask("{\"verb\":\"show\",\"id\":\"" + id + "\"}").front();
  };
  EXPECT_EQ(order("hold", {ids[0], ids[5], ids[11]}), R"({"result":"ok","recipients":3})");
  EXPECT_NE(show(ids[5]).find("\"state\":\"held\""), std::string::npos);
  EXPECT_EQ(show(ids[4]).find("\"state\":\"held\""), std::string::npos);
  EXPECT_EQ(order("release", {ids[5], ids[6]}), R"({"result":"ok","recipients":1})");
  EXPECT_EQ(show(ids[5]).find("\"state\":\"held\""), std::string::npos);
  EXPECT_EQ(order("delete", {ids[4], "0000000000000000"}),
            R"({"result":"ok","recipients":1,"message":"1 do not wait here"})");
  EXPECT_NE(show(ids[4]).find("reported, discarded or deleted"), std::string::npos);
  EXPECT_EQ(order("delete", {ids[4]}),
            R"({"result":"unknown","message":"none of them waits here"})");
  EXPECT_EQ(order("bounce", {ids[2], ids[3]}), R"({"result":"ok","recipients":2})");
  world_.RunFor(absl::Seconds(1));
  EXPECT_EQ(Ask(R"({"verb":"list"})").size(), 9u + 1);
  EXPECT_EQ(order("reset", ids),
            "{\"result\":\"ok\",\"recipients\":9,\"message\":\"3 do not wait "
            "here\"}");
}

// Nobody would look for it in a count of what waits.
TEST_F(JobTest, ADeleteTellsTheReportsThatEndWithIt) {
  const std::string owed = Send({"x@a.example", "y@a.example"});
  const std::string both = Send({"x@a.example", "y@b.example"});
  Ask(R"({"verb":"bounce","domains":["a.example"]})");
  world_.RunFor(absl::Seconds(1));
  const auto by_id = [&](const std::string& dry_run) {
    return Ask("{\"verb\":\"delete\",\"ids\":[\"" + owed + "\",\"" + both + "\"]," +
               "\"dry_run\":" + dry_run + "}")[0];
  };
  EXPECT_EQ(by_id("true"), R"({"result":"ok","recipients":1,"reports":3})");
  EXPECT_EQ(Ask(R"({"verb":"delete","all":true,"dry_run":true})")[0],
            R"({"result":"ok","recipients":1,"reports":3})");
  EXPECT_EQ(Ask(R"({"verb":"reset","all":true,"dry_run":true})")[0],
            R"({"result":"ok","recipients":1})");
  EXPECT_EQ(Ask(R"({"verb":"delete","domains":["a.example"]})")[0],
            R"({"result":"ok","recipients":0,"reports":3})");
  world_.RunFor(absl::Seconds(1));
  EXPECT_EQ(by_id("false"), R"({"result":"ok","recipients":1,"message":"1 do not wait here"})");
}

// A line for each message would be as many as there are messages; these say where to look.
TEST_F(JobTest, TheLogSaysWhichMessagesAnOrderMeant) {
  static std::vector<std::string>* lines;
  std::vector<std::string> log;
  lines = &log;
  SetLogSink([](LogLevel, std::string_view line) {
    if (line.starts_with("admin: ")) {
      lines->emplace_back(line);
    }
  });
  std::vector<std::string> ids;
  std::string list = "\"0000000000000000\"";
  for (int i = 0; i < 10; ++i) {
    ids.push_back(Send({"x@a.example"}));
    list += ",\"" + ids.back() + "\"";
  }
  log.clear();
  Ask("{\"verb\":\"delete\",\"ids\":[\"" + ids.back() + "\"]}");
  EXPECT_EQ(log, std::vector<std::string>{"admin: uid 0 (pid 1): queue delete: 1 messages by id: " +
                                          ids.back() + ", 1 recipients"});
  log.clear();
  Ask("{\"verb\":\"hold\",\"chosen\":\"--sender a\\nb\",\"ids\":[" + list + "]}");
  ASSERT_EQ(log.size(), 1u);
  EXPECT_NE(log[0].find("queue hold --sender a\\x0ab: 9 messages by id: "), std::string::npos)
      << log[0];
  EXPECT_NE(log[0].find(" and 1 more, 9 recipients, 2 do not wait here"), std::string::npos)
      << log[0];
  EXPECT_EQ(log[0].find(" 0000000000000000"), std::string::npos) << log[0];
}

}  // namespace
}  // namespace backstay
