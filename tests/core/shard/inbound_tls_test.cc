// tests/core/shard/inbound_tls_test.cc -- handshakes of a whole daemon: counted, and cut in time.
//
// What a client sees of STARTTLS is in tests/dialogue/tls.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/support/certificates.h"
#include "tests/support/line_client.h"
#include "tests/support/sim_daemon.h"

namespace backstay {
namespace {

constexpr absl::Duration kReplyTime = absl::Seconds(8);

class InboundTlsTest : public testing::Test {
 protected:
  InboundTlsTest() {
    const absl::Status status = daemon_.StartAndServe();
    EXPECT_TRUE(status.ok()) << status;
  }

  // A client that was told to go ahead.
  std::unique_ptr<LineClient> Ready() {
    auto client =
        std::make_unique<LineClient>(world_, client_host_, *SocketAddress::Parse("10.0.0.1:25"));
    for (const char* command : {"", "EHLO client.example\r\n", "STARTTLS\r\n"}) {
      client->Send(command);
      std::string reply;
      do {
        reply = client->NextLine(kReplyTime).value_or("nothing");
      } while (reply.starts_with("250-"));
      EXPECT_TRUE(reply.starts_with("2")) << command << reply;
    }
    return client;
  }
  std::string ConfigText() const {
    return fmt::format(
        "hostname = \"mx2.example.net\"\n[smtp]\nlisten = [\"10.0.0.1:25\"]\nshards = 1\n"
        "[tls]\ncertificate = \"{}\"\nprivate_key = \"{}\"\n"
        "[spool]\ndirectory = \"/spool\"\nsegment_size = \"4MiB\"\nreserve = \"8MiB\"\n"
        "[admin]\nlisten = \"\"\n[[domain]]\nname = \"example.com\"\nprimary = [\"10.0.0.3:25\"]\n",
        made_.files().certificate, made_.files().private_key);
  }

  const TestFolder folder_;
  const TestCertificate made_{folder_.path(), "made"};
  const std::unique_ptr<const TlsContext> context_ = *TlsContext::MakeClient({});
  World world_{1};
  Host& daemon_host_ = world_.AddHost("mx2", *SocketAddress::Parse("10.0.0.1:0"));
  Host& client_host_ = world_.AddHost("client", *SocketAddress::Parse("10.0.0.2:0"));
  SimDaemon daemon_{world_, daemon_host_, ConfigText()};
};

TEST_F(InboundTlsTest, HandshakesAreCountedOnce) {
  const auto good = Ready();
  ASSERT_TRUE(good->StartTls(*context_, kReplyTime));
  good->Send("NOOP\r\n");
  EXPECT_EQ(good->NextLine(kReplyTime), "250 2.0.0 Ok");
  const auto rude = Ready();
  rude->Send("MAIL FROM:<a@b.example>\r\n");
  auto gone = Ready();
  gone.reset();
  const auto slow = Ready();
  world_.RunFor(absl::Seconds(29));
  EXPECT_EQ(daemon_.counters().handshakes_failed, 2u);
  world_.RunFor(absl::Seconds(2));
  EXPECT_EQ(daemon_.counters().handshakes_failed, 3u);
  EXPECT_EQ(daemon_.counters().handshakes_completed, 1u);
  good->Send("QUIT\r\n");
  EXPECT_TRUE(good->NextLine(kReplyTime).value_or("").starts_with("221"));
  EXPECT_TRUE(good->WaitClosed(kReplyTime));
  world_.RunFor(absl::Seconds(5));
  EXPECT_EQ(daemon_.counters().handshakes_failed, 3u);
}

// Open data has five seconds; a handshake has nothing to lose.
TEST_F(InboundTlsTest, AShutdownWaitsForNoHandshake) {
  const auto client = Ready();
  EXPECT_TRUE(daemon_.Stop(absl::Seconds(1)));
}

}  // namespace
}  // namespace backstay
