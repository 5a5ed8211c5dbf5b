// tests/core/control/job_test.cc -- questions to the shards of a whole daemon in a simulated world.
#include "core/control/job.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/log.h"
#include "core/control/go_job.h"
#include "core/control/list_job.h"
#include "core/control/message_report.h"
#include "core/control/message_row.h"
#include "core/control/report_job.h"
#include "tests/support/line_client.h"
#include "tests/support/sim_daemon.h"

namespace backstay {
namespace {

constexpr absl::Duration kReplyTime = absl::Seconds(8);

class RefusedReload final : public ReloadHome {
  uint64_t Begin(bool is_forced) override {
    Reloads& reloads = is_forced ? forced : plain;
    reloads.ended = reloads.begun + 1;
    reloads.refusal = is_forced ? "not by force" : "not in this world";
    return reloads.begun++;
  }
};

// Nobody answers at any primary.
class JobTest : public testing::Test {
 protected:
  ~JobTest() override { SetLogSink(nullptr); }

  static std::string ConfigText(int many = 0) {
    std::string text =
        "hostname = \"mx2.example.net\"\n[smtp]\nlisten = [\"10.0.0.1:25\"]\nshards = 2\n"
        "[spool]\ndirectory = \"/spool\"\nsegment_size = \"4MiB\"\nreserve = \"8MiB\"\n"
        "[admin]\nlisten = \"\"\n[dsn]\nroute = \"off\"\n";
    for (const char* name : {"a.example", "b.example"}) {
      text += fmt::format("[[domain]]\nname = \"{}\"\nprimary = [\"10.0.0.3:25\"]\n", name);
    }
    for (int i = 0; i < many; ++i) {
      text += fmt::format("[[domain]]\nname = \"d{}.example\"\nprimary = [\"10.0.0.4:25\"]\n", i);
    }
    return text;
  }

  RuleDesk& StartedDesk() {
    SetLogSink([](LogLevel, std::string_view) {});
    const absl::Status status = daemon_.StartAndServe();
    EXPECT_TRUE(status.ok()) << status;
    return daemon_.desk();
  }
  // The queue id.
  std::string Send(const std::vector<std::string>& recipients) {
    LineClient client(world_, client_host_, *SocketAddress::Parse("10.0.0.1:25"));
    std::vector<std::string> lines = {"", "HELO client.example\r\n",
                                      "MAIL FROM:<s@client.example>\r\n"};
    for (const std::string& recipient : recipients) {
      lines.push_back("RCPT TO:<" + recipient + ">\r\n");
    }
    lines.insert(lines.end(), {"DATA\r\n", "Subject: x\r\n\r\nx\r\n.\r\n"});
    std::string reply;
    for (const std::string& line : lines) {
      client.Send(line);
      reply = client.NextLine(kReplyTime).value_or("nothing, not even an id");
    }
    EXPECT_TRUE(reply.starts_with("250 2.0.0 Ok: queued as ")) << reply;
    return reply.substr(reply.size() - 16);
  }
  // The lines of the answer.
  std::vector<std::string> Ask(const std::string& request) { return Ask(shared_, request); }
  std::vector<std::string> Ask(AdminShared& shared, const std::string& request) {
    const auto job = MakeJob(shared, *ParseRequest(request), "uid 0 (pid 1)");
    std::string out;
    EXPECT_TRUE(world_.RunUntil(
        [&] {
          daemon_.desk().Poll();
          return job->Step(out);
        },
        absl::Minutes(1)));
    EXPECT_TRUE(job->is_free());
    std::vector<std::string> lines;
    for (size_t end = out.find('\n'); end != std::string::npos; end = out.find('\n')) {
      lines.push_back(out.substr(0, end));
      out.erase(0, end + 1);
    }
    EXPECT_EQ(out, "");
    return lines;
  }

  World world_{1};
  Host& daemon_host_ = world_.AddHost("mx2", *SocketAddress::Parse("10.0.0.1:0"));
  Host& client_host_ = world_.AddHost("client", *SocketAddress::Parse("10.0.0.2:0"));
  SimDaemon daemon_{world_, daemon_host_, ConfigText()};
  RefusedReload reload_;
  AdminShared shared_{StartedDesk(), reload_, nullptr, std::nullopt};
};

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
                          "operator\",\"attempts\":0,\"next_try\":null,\"expires\":null}"),
            std::string::npos)
      << lines[0];
  EXPECT_NE(lines[0].find("\"address\":\"y@b.example\",\"state\":\"deferred\""), std::string::npos);
  Ask(R"({"verb":"delete","all":true})");
  world_.RunFor(absl::Seconds(1));
  lines = Ask(show);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("\"result\":\"unknown\",\"message\":\"" + id), std::string::npos);
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

TEST_F(JobTest, MailOfARemovedDomainIsStillTold) {
  const std::string id = Send({"x@b.example"});
  std::string config = ConfigText();
  config.erase(config.rfind("[[domain]]"));
  ASSERT_TRUE(daemon_.Reload(config).ok());
  const std::vector<std::string> lines = Ask(R"({"verb":"primaries"})");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_TRUE(lines[1].starts_with(
      R"({"domain":"b.example","state":"held","reason":"removed","queued":1,)"))
      << lines[1];
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
  EXPECT_EQ(order("delete", {ids[4]}),
            R"({"result":"unknown","message":"none of them waits here"})");
  EXPECT_EQ(order("bounce", {ids[2], ids[3]}), R"({"result":"ok","recipients":2})");
  world_.RunFor(absl::Seconds(1));
  EXPECT_EQ(Ask(R"({"verb":"list"})").size(), 9u + 1);
  EXPECT_EQ(order("reset", ids),
            "{\"result\":\"ok\",\"recipients\":9,\"message\":\"3 do not wait "
            "here\"}");
}

}  // namespace
}  // namespace backstay
