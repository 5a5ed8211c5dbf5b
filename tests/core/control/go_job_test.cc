// tests/core/control/go_job_test.cc -- a primary with our name: how it is shown, and how a look
// ends that.
#include "core/control/go_job.h"

#include <algorithm>
#include <string>
#include <vector>

#include "tests/core/control/job_fixture.h"
#include "tests/support/scripted_primary.h"

namespace backstay {
namespace {

std::vector<std::string>* said = nullptr;

class PrimaryActor final : public Actor {
 public:
  explicit PrimaryActor(ScriptedPrimary& primary) : primary_(primary) {}
  void Turn() override { primary_.Turn(); }

 private:
  ScriptedPrimary& primary_;
};

class GoJobTest : public JobTest {
 protected:
  GoJobTest() {
    world_.Attach(*primary_io_, actor_);
    primary_.Up();
  }
  ~GoJobTest() override {
    SetLogSink(nullptr);
    world_.Crash(primary_host_, CrashMode::kAllUnsynced);
  }
  bool Has(const std::string& line, const std::string& text) {
    EXPECT_NE(line.find(text), std::string::npos) << line;
    return line.find(text) != std::string::npos;
  }

  Host& primary_host_ = world_.AddHost("primary", *SocketAddress::Parse("10.0.0.3:0"));
  const std::unique_ptr<Io> primary_io_ = world_.MakeIo(primary_host_);
  ScriptedPrimary primary_{*primary_io_, *SocketAddress::Parse("10.0.0.3:25")};
  PrimaryActor actor_{primary_};
  std::vector<std::string> log_;
};

TEST_F(GoJobTest, WhatGreetsAsWeDoIsShownAsHeldWithoutAnEndUntilALookEndsIt) {
  primary_.SetReply("BANNER", "220 mx2.example.net ESMTP", "");
  const std::string id = Send({"x@a.example"});
  world_.RunFor(absl::Seconds(30));
  const std::string row = Ask(R"({"verb":"primaries"})")[0];
  EXPECT_TRUE(
      row.starts_with(R"({"domain":"a.example","state":"held","reason":"self","queued":1,)"))
      << row;
  Has(row, R"("held":1,)");
  Has(row, R"("expires":null)");
  const std::string message = Ask("{\"verb\":\"show\",\"id\":\"" + id + "\"}")[0];
  Has(message, R"("state":"held","reason":"primary held: self")");
  Has(message, R"("expires":null)");

  primary_.ClearReplies();
  said = &log_;
  SetLogSink([](LogLevel, std::string_view line) { said->emplace_back(line); });
  EXPECT_EQ(Ask(R"({"verb":"go","domains":["a.example"]})")[0],
            R"({"result":"ok","recipients":1})");
  EXPECT_TRUE(std::any_of(log_.begin(), log_.end(), [](const std::string& line) {
    return line == "admin: uid 0 (pid 1): queue flush or primary probe a.example: 1 recipients";
  }));
  EXPECT_TRUE(world_.RunUntil([&] { return primary_.mails().size() == 1; }, absl::Minutes(1)));
}

}  // namespace
}  // namespace backstay
