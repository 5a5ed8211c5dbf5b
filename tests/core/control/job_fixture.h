// tests/core/control/job_fixture.h -- a whole daemon in a simulated world, and one who asks its
// shards.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/log.h"
#include "core/control/job.h"
#include "tests/support/line_client.h"
#include "tests/support/sim_daemon.h"

namespace backstay {

// Nobody answers at any primary.
class JobTest : public testing::Test {
 protected:
  static constexpr absl::Duration kReplyTime = absl::Seconds(8);

  class RefusedReload final : public ReloadHome {
    uint64_t Begin(bool is_forced) override {
      Reloads& reloads = is_forced ? forced : plain;
      reloads.ended = reloads.begun + 1;
      reloads.refusal = is_forced ? "not by force" : "not in this world";
      return reloads.begun++;
    }
  };

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
  // b.example, which stands last.
  void RemoveLastDomain() {
    std::string config = ConfigText();
    config.erase(config.rfind("[[domain]]"));
    ASSERT_TRUE(daemon_.Reload(config).ok());
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

}  // namespace backstay
