// tests/core/shard/outbound_tls_test.cc -- a daemon and its primary: what goes by TLS, what waits.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "core/base/log.h"
#include "core/base/mark.h"
#include "tests/support/certificates.h"
#include "tests/support/line_client.h"
#include "tests/support/scripted_primary.h"
#include "tests/support/sim_daemon.h"

namespace backstay {
namespace {

constexpr absl::Duration kReplyTime = absl::Seconds(8);

std::vector<std::string>* captured = nullptr;

class PrimaryActor : public Actor {
 public:
  explicit PrimaryActor(ScriptedPrimary& primary) : primary_(primary) {}
  void Turn() override { primary_.Turn(); }

 private:
  ScriptedPrimary& primary_;
};

class OutboundTlsTest : public testing::Test {
 protected:
  OutboundTlsTest() {
    captured = &warnings_;
    SetLogSink([](LogLevel level, std::string_view line) {
      if (level == LogLevel::kWarning) {
        captured->emplace_back(line);
      }
    });
    setenv("SSL_CERT_FILE", authority_.files().certificate.c_str(), 1);
    world_.Attach(*primary_io_, actor_);
    primary_.Up();
    primary_.OfferTls(good_.get());
  }
  ~OutboundTlsTest() override {
    daemon_->Crash(CrashMode::kAllUnsynced);
    world_.Crash(primary_host_);
    SetLogSink(nullptr);
  }

  static std::unique_ptr<const TlsContext> Server(const TestCertificate& certificate) {
    return *TlsContext::MakeServer({.certificates = {certificate.files()}, .hostname = ""});
  }
  static std::string ConfigText(const std::string& delivery) {
    return fmt::format(
        "hostname = \"mx2.example.net\"\n[smtp]\nlisten = [\"10.0.0.1:25\"]\nshards = 1\n"
        "[spool]\ndirectory = \"/spool\"\nsegment_size = \"4MiB\"\nreserve = \"8MiB\"\n"
        "[log]\nfile = \"/log/mail.log\"\n[delivery]\n{}\n"
        "[admin]\nlisten = \"\"\n[[domain]]\nname = \"example.com\"\nprimary = [\"10.0.0.3:25\"]\n"
        "[[domain]]\nname = \"asks.example\"\nprimary = [\"10.0.0.3:25\"]\n"
        "recipients = \"verify\"\n",
        delivery);
  }
  static std::string Mode(const std::string& mode) {
    return ConfigText(fmt::format("tls = \"{}\"", mode));
  }
  void Start(const std::string& config) {
    daemon_host_.disk().Put("/log/.keep", {});
    daemon_ = std::make_unique<SimDaemon>(world_, daemon_host_, config);
    const absl::Status status = daemon_->StartAndServe();
    ASSERT_TRUE(status.ok()) << status;
    Connect();
  }
  void Connect() {
    client_ =
        std::make_unique<LineClient>(world_, client_host_, *SocketAddress::Parse("10.0.0.1:25"));
    Says("", "220");
    Says("EHLO client.example\r\n", "250");
  }
  void Says(const std::string& command, const std::string& code) {
    client_->Send(command);
    std::string reply;
    do {
      reply = client_->NextLine(kReplyTime).value_or("nothing");
    } while (reply.starts_with(code + "-"));
    EXPECT_TRUE(reply.starts_with(code)) << command << reply;
  }
  void Mail() {
    Says("MAIL FROM:<a@example.org>\r\n", "250");
    Says("RCPT TO:<b@example.com>\r\n", "250");
    Says("DATA\r\n", "354");
    Says("Subject: x\r\n\r\n.\r\n", "250 2.0.0 Ok: queued as ");
  }
  // So many arrived; all of them by TLS, or none.
  void Got(size_t count, bool secure) {
    const auto& mails = primary_.mails();
    EXPECT_EQ(mails.size(), count);
    EXPECT_EQ(std::count_if(mails.begin(), mails.end(),
                            [secure](const ReceivedMail& mail) { return mail.secure == secure; }),
              static_cast<std::ptrdiff_t>(count));
  }
  auto Heard(const std::string& command) const {
    return std::count(primary_.heard().begin(), primary_.heard().end(), command);
  }
  const Route& route() { return *daemon_->shard(0).routes().routes().front(); }
  // Warnings that begin so.
  auto Warned(const std::string& begin) const {
    return std::count_if(warnings_.begin(), warnings_.end(),
                         [&](const std::string& line) { return line.starts_with(begin); });
  }
  // It waits, and the operator sees why; TLS that works brings it, and nobody does anything for it.
  void WaitsAndHeals(const std::string& reason) {
    const uint64_t before = MarkCount("tls_required_and_not_had");
    Mail();
    world_.RunFor(absl::Minutes(5));
    EXPECT_GT(MarkCount("tls_required_and_not_had"), before);
    Got(0, true);
    EXPECT_EQ(Heard("MAIL FROM:<a@example.org>"), 0);
    EXPECT_EQ(route().destination().state(), DestinationState::kDown);
    EXPECT_EQ(route().last_reason(), "10.0.0.3:25: " + reason);
    EXPECT_EQ(Warned("tls: "), 1) << fmt::format("{}", fmt::join(warnings_, "|"));
    EXPECT_EQ(Warned("tls: 10.0.0.3:25: " + reason + "; its mail waits"), 1);
    EXPECT_EQ(daemon_->stats().recipients_live, 1u);
    primary_.ClearReplies();
    primary_.BreakHandshakes(std::nullopt);
    primary_.OfferTls(good_.get());
    world_.RunFor(absl::Seconds(20));
    Got(1, true);
    EXPECT_EQ(route().destination().state(), DestinationState::kUp);
  }

  const TestFolder folder_;
  const TestCertificate authority_{
      folder_.path(), "authority", {.names = {"ca.example"}, .is_authority = true}};
  const TestCertificate trusted_{
      folder_.path(), "trusted", {.names = {"IP:10.0.0.3"}, .issuer = &authority_}};
  const TestCertificate unknown_{folder_.path(), "unknown", {.names = {"IP:10.0.0.3"}}};
  const TestCertificate misnamed_{
      folder_.path(), "misnamed", {.names = {"IP:10.0.0.4"}, .issuer = &authority_}};
  const TestCertificate expired_{
      folder_.path(),
      "expired",
      {.names = {"IP:10.0.0.3"}, .ends = absl::Minutes(-1), .issuer = &authority_}};
  const std::unique_ptr<const TlsContext> good_ = Server(trusted_);
  const std::unique_ptr<const TlsContext> stranger_ = Server(unknown_);
  std::vector<std::string> warnings_;
  World world_{1};
  Host& daemon_host_ = world_.AddHost("mx2", *SocketAddress::Parse("10.0.0.1:0"));
  Host& client_host_ = world_.AddHost("client", *SocketAddress::Parse("10.0.0.2:0"));
  Host& primary_host_ = world_.AddHost("primary", *SocketAddress::Parse("10.0.0.3:0"));
  const std::unique_ptr<Io> primary_io_ = world_.MakeIo(primary_host_);
  ScriptedPrimary primary_{*primary_io_, *SocketAddress::Parse("10.0.0.3:25")};
  PrimaryActor actor_{primary_};
  std::unique_ptr<SimDaemon> daemon_;
  std::unique_ptr<LineClient> client_;
};

TEST_F(OutboundTlsTest, OpportunisticTakesAnyCertificate) {
  for (const TestCertificate* certificate : {&trusted_, &unknown_, &misnamed_, &expired_}) {
    const auto context = Server(*certificate);
    primary_.OfferTls(context.get());
    if (daemon_ == nullptr) {
      Start(Mode("opportunistic"));
    }
    Mail();
    world_.RunFor(absl::Seconds(10));  // the connection is gone by then
  }
  Got(4, true);
  EXPECT_EQ(warnings_.size(), 0u);
  const std::string log = daemon_host_.disk().Contents("/log/mail.log").value_or("");
  EXPECT_NE(log.find("\"event\":\"delivered\""), std::string::npos) << log;
  EXPECT_NE(log.find("\"tls\":\"TLSv1.3\""), std::string::npos) << log;
}

TEST_F(OutboundTlsTest, OffAsksForNone) {
  Start(Mode("off"));
  Mail();
  world_.RunFor(absl::Seconds(5));
  Got(1, false);
  EXPECT_EQ(Heard("STARTTLS"), 0);
}

TEST_F(OutboundTlsTest, OpportunisticGoesInClearTextWhereItIsNotOffered) {
  primary_.OfferTls(nullptr);
  Start(Mode("opportunistic"));
  Mail();
  world_.RunFor(absl::Seconds(5));
  Got(1, false);
}

// On another connection: this one may be in any state.
TEST_F(OutboundTlsTest, OpportunisticFallsBackOnTheNextConnectionForTenMinutes) {
  const uint64_t before = MarkCount("tls_given_up");
  const uint64_t alerts = MarkCount("outbound_tls_failed");
  primary_.BreakHandshakes("500 5.5.1 what?\r\n");
  Start(Mode("opportunistic"));
  Mail();
  world_.RunFor(absl::Seconds(10));
  Got(1, false);
  EXPECT_EQ(primary_.connections_total(), 2u);
  EXPECT_EQ(Heard("EHLO mx2.example.net"), 2);
  EXPECT_EQ(route().destination().state(), DestinationState::kUp);
  EXPECT_EQ(route().last_reason(), "");
  Mail();
  world_.RunFor(absl::Seconds(10));
  Got(2, false);
  EXPECT_EQ(Heard("STARTTLS"), 1);
  EXPECT_EQ(MarkCount("tls_given_up"), before + 1);
  EXPECT_EQ(MarkCount("outbound_tls_failed"), alerts + 1);
  EXPECT_EQ(Warned("tls: 10.0.0.3:25: TLS failed: WRONG_VERSION_NUMBER; its mail goes in clear"),
            1);
  world_.RunFor(absl::Minutes(10));
  Connect();
  primary_.BreakHandshakes(std::nullopt);
  Mail();
  world_.RunFor(absl::Seconds(10));
  EXPECT_EQ(Heard("STARTTLS"), 2);
  EXPECT_TRUE(primary_.mails().back().secure);
}

TEST_F(OutboundTlsTest, OpportunisticFallsBackWhenStartTlsIsRefused) {
  for (const char* reply : {"454 4.7.0 no", "502 5.5.1 what?", "421 4.3.0 no"}) {
    primary_.ClearReplies();
    primary_.SetReply("STARTTLS", reply, "");
    if (daemon_ == nullptr) {
      Start(Mode("opportunistic"));
    } else {
      ASSERT_TRUE(daemon_->Reload(Mode("opportunistic")).ok());  // forgets
    }
    Mail();
    world_.RunFor(absl::Seconds(10));
  }
  Got(3, false);
  EXPECT_EQ(Heard("STARTTLS"), 3);
}

// RFC 3207 s4: 530 is said of the session. A primary that takes mail over TLS only could not
// shake hands for a moment, and what it says to our clear text bounces nobody.
TEST_F(OutboundTlsTest, WhatIsSaidOfTheSessionBouncesNobodyAndTlsIsTriedAgain) {
  for (const char* command : {"MAIL", "RCPT", "DATA"}) {
    for (const char* mode : {"opportunistic", "off"}) {
      primary_.ClearReplies();
      primary_.SetReply("STARTTLS", "454 4.7.0 TLS not available", "");
      primary_.SetReply(command, "530 5.7.0 Must issue a STARTTLS command first", "");
      if (daemon_ == nullptr) {
        Start(Mode(mode));
      } else {
        ASSERT_TRUE(daemon_->Reload(Mode(mode)).ok());
      }
      const auto handshakes = Heard("STARTTLS");
      const size_t taken = primary_.mails().size();
      Mail();
      world_.RunFor(absl::Minutes(3));
      EXPECT_EQ(daemon_->stats().recipients_dsn_pending, 0u) << command << " " << mode;
      EXPECT_EQ(daemon_->stats().recipients_live, 1u) << command << " " << mode;
      EXPECT_EQ(Heard("STARTTLS") > handshakes + 1, mode[1] == 'p') << command << " " << mode;
      primary_.ClearReplies();
      world_.RunFor(absl::Minutes(10));
      ASSERT_EQ(primary_.mails().size(), taken + 1);
      EXPECT_EQ(primary_.mails().back().secure, mode[1] == 'p');
      Connect();
    }
  }
}

TEST_F(OutboundTlsTest, AQuestionToThePrimaryFallsBackToo) {
  primary_.BreakHandshakes("500 5.5.1 what?\r\n");
  primary_.SetReply("RCPT", "550 5.1.1 no", "b@asks.example");
  Start(Mode("opportunistic"));
  Says("MAIL FROM:<a@example.org>\r\n", "250");
  Says("RCPT TO:<b@asks.example>\r\n", "550");
  Says("RCPT TO:<c@asks.example>\r\n", "250");
  EXPECT_EQ(Heard("STARTTLS"), 1);
}

// What is put behind the 220 is nobody's, in every mode; there is no clear text behind it either.
TEST_F(OutboundTlsTest, BytesBehindThe220EndTheConnection) {
  primary_.SetReply("STARTTLS", "220 2.0.0 ready\r\n250-primary.example\r\n250 SIZE 10", "");
  Start(Mode("opportunistic"));
  Mail();
  world_.RunFor(absl::Minutes(1));
  Got(0, true);
  EXPECT_EQ(Heard("MAIL FROM:<a@example.org>"), 0);
  EXPECT_EQ(route().destination().state(), DestinationState::kDown);
  primary_.ClearReplies();
  world_.RunFor(absl::Seconds(20));
  Got(1, true);
}

TEST_F(OutboundTlsTest, RequireWaitsWhereItIsStripped) {
  primary_.OfferTls(nullptr);
  Start(Mode("require"));
  WaitsAndHeals("4.7.4 TLS is required, but STARTTLS is not offered");
}

TEST_F(OutboundTlsTest, RequireWaitsWhereItIsRefused) {
  primary_.SetReply("STARTTLS", "454 4.7.0 no", "");
  Start(Mode("require"));
  WaitsAndHeals("4.7.5 TLS is required, but STARTTLS was refused, last reply: 454 no");
}

TEST_F(OutboundTlsTest, RequireWaitsWhereTheHandshakeFails) {
  primary_.BreakHandshakes("500 5.5.1 what?\r\n");
  Start(Mode("require"));
  WaitsAndHeals("4.7.5 TLS is required, but TLS failed: WRONG_VERSION_NUMBER");
}

TEST_F(OutboundTlsTest, RequireTakesAnyCertificate) {
  primary_.OfferTls(stranger_.get());
  Start(Mode("require"));
  Mail();
  world_.RunFor(absl::Seconds(5));
  Got(1, true);
}

TEST_F(OutboundTlsTest, VerifyTakesTheHostsOwn) {
  Start(Mode("verify"));
  Mail();
  world_.RunFor(absl::Seconds(5));
  Got(1, true);
  EXPECT_EQ(warnings_.size(), 0u);
}

TEST_F(OutboundTlsTest, VerifyWaitsForACertificateThatIsTrusted) {
  primary_.OfferTls(stranger_.get());
  Start(Mode("verify"));
  WaitsAndHeals("4.7.5 TLS is required, but TLS failed: self signed certificate");
}

TEST_F(OutboundTlsTest, VerifyWaitsForTheRightName) {
  const auto context = Server(misnamed_);
  primary_.OfferTls(context.get());
  Start(Mode("verify"));
  WaitsAndHeals("4.7.5 TLS is required, but TLS failed: IP address mismatch");
}

TEST_F(OutboundTlsTest, VerifyWaitsForACertificateThatIsValidNow) {
  const auto context = Server(expired_);
  primary_.OfferTls(context.get());
  Start(Mode("verify"));
  WaitsAndHeals("4.7.5 TLS is required, but TLS failed: certificate has expired");
}

// A deadline of its own: what comes meanwhile is no reply that would begin it anew.
TEST_F(OutboundTlsTest, AHandshakeHasAMinute) {
  primary_.BreakHandshakes("");
  Start(Mode("opportunistic"));
  Mail();
  world_.RunFor(absl::Seconds(55));
  EXPECT_EQ(primary_.connections_total(), 1u);
  world_.RunFor(absl::Seconds(10));
  Got(1, false);
  EXPECT_EQ(Warned("tls: 10.0.0.3:25: TLS failed: no answer in time"), 1);
}

// It waits its minute as any other; the next one knows.
TEST_F(OutboundTlsTest, AProbeThatHangsInAHandshakeIsFollowedByOneWithoutTls) {
  primary_.Down();
  Start(Mode("opportunistic"));
  Mail();
  world_.RunFor(absl::Minutes(1));
  primary_.BreakHandshakes("");
  primary_.Up();
  world_.RunFor(absl::Seconds(90));
  Got(1, false);
  EXPECT_GT(Heard("STARTTLS"), 1);
}

// Between STARTTLS and EHLO when the round's patience is over: that is slow, and no fault of TLS.
TEST_F(OutboundTlsTest, AProbeThatIsSlowBehindStartTlsIsWaitedForAndKeepsTls) {
  const uint64_t before = MarkCount("tls_given_up");
  const uint64_t beside = MarkCount("probe_goes_on_beside_a_silent_host");
  primary_.Down();
  Start(Mode("opportunistic"));
  Mail();
  world_.RunFor(absl::Minutes(1));
  primary_.SetPace(absl::Seconds(4));
  primary_.Up();
  world_.RunFor(absl::Minutes(2));
  EXPECT_GT(MarkCount("probe_goes_on_beside_a_silent_host"), beside);
  EXPECT_GT(Heard("STARTTLS"), 1);
  EXPECT_EQ(MarkCount("tls_given_up"), before);
  Got(1, true);
}

// What is open in clear text carries no mail from the moment on in which TLS is required.
TEST_F(OutboundTlsTest, AReloadThatRequiresItEndsWhatIsOpenInClearText) {
  primary_.OfferTls(nullptr);
  Start(Mode("opportunistic"));
  Mail();
  world_.RunFor(absl::Seconds(1));
  Got(1, false);
  EXPECT_EQ(daemon_->connections(), 1u);  // kept for the next one
  ASSERT_TRUE(daemon_->Reload(Mode("require")).ok());
  Mail();
  world_.RunFor(absl::Seconds(20));
  Got(1, false);
  primary_.OfferTls(good_.get());
  world_.RunFor(absl::Seconds(20));
  EXPECT_EQ(primary_.mails().size(), 2u);
  EXPECT_TRUE(primary_.mails().back().secure);
}

// Between STARTTLS and its 220 everything may change.
TEST_F(OutboundTlsTest, AReloadMayTurnItOffMeanwhile) {
  const uint64_t before = MarkCount("tls_turned_off_meanwhile");
  Start(Mode("opportunistic"));
  Mail();
  world_.RunUntil([this] { return Heard("STARTTLS") == 1; }, kReplyTime);
  ASSERT_TRUE(daemon_->Reload(Mode("off")).ok());
  world_.RunFor(absl::Seconds(10));
  Got(1, false);
  EXPECT_EQ(MarkCount("tls_turned_off_meanwhile"), before + 1);
  EXPECT_EQ(Warned("tls: "), 0);
}

TEST_F(OutboundTlsTest, AReloadMayTakeThePrimaryAwayMeanwhile) {
  Start(Mode("verify"));
  Mail();
  world_.RunUntil([this] { return Heard("STARTTLS") == 1; }, kReplyTime);
  std::string other = Mode("verify");
  for (size_t at = other.find("10.0.0.3"); at != std::string::npos; at = other.find("10.0.0.3")) {
    other.replace(at, 8, "10.0.0.4");
  }
  ASSERT_TRUE(daemon_->Reload(other).ok());
  world_.RunFor(absl::Seconds(10));
  Got(0, true);
  EXPECT_EQ(Heard("QUIT"), 1);
  EXPECT_EQ(daemon_->stats().recipients_live, 1u);
}

TEST_F(OutboundTlsTest, AReloadWithABadClientCertificateIsRefused) {
  Start(Mode("require"));
  const std::string bad =
      fmt::format("tls = \"require\"\nclient_certificate = \"{}\"\nclient_key = \"{}\"",
                  trusted_.files().certificate, unknown_.files().private_key);
  EXPECT_FALSE(daemon_->Reload(ConfigText(bad)).ok());
  Mail();
  world_.RunFor(absl::Seconds(5));
  Got(1, true);
}

TEST_F(OutboundTlsTest, AShutdownWaitsForNoHandshake) {
  primary_.BreakHandshakes("");
  Start(Mode("require"));
  Mail();
  world_.RunFor(absl::Seconds(2));
  EXPECT_TRUE(daemon_->Stop(absl::Seconds(8)));
  EXPECT_EQ(Warned("tls: "), 0);  // it was us who ended it
}

}  // namespace
}  // namespace backstay
