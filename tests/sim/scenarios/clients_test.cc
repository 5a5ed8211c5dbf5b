// tests/sim/scenarios/clients_test.cc -- clients that have a name, and clients that are on lists.
#include <memory>
#include <string>
#include <utility>

#include "core/base/log.h"
#include "core/base/mark.h"
#include "tests/sim/scenarios/scenario.h"
#include "tests/support/line_client.h"

namespace backstay {
namespace {

constexpr const char* kClient = "10.2.0.1";

Scenario::Options Lists(std::string smtp) {
  Scenario::Options options;
  options.smtp = std::move(smtp);
  return options;
}

class Caller {
 public:
  explicit Caller(Scenario& scenario)
      : client_(scenario.world, scenario.client_host, *SocketAddress::Parse("10.0.0.1:25")) {
    Read();  // the banner
    for (std::string line = Say("EHLO client.example"); line.starts_with("250-");) {
      line = Read();
    }
    Say("MAIL FROM:<a@sender.example>");
  }
  ~Caller() { client_.Disconnect(); }
  void Send(const std::string& line) { client_.Send(line + "\r\n"); }
  std::string Say(const std::string& line) {
    Send(line);
    return Read();
  }
  std::string Rcpt(const std::string& address) { return Say("RCPT TO:<" + address + ">"); }
  std::string Read() { return client_.NextLine(absl::Seconds(20)).value_or("(nothing)"); }

 private:
  LineClient client_;
};

// Says what it is told to and reads nothing.
class DeafClient final : public Actor {
 public:
  explicit DeafClient(Scenario& scenario)
      : world_(scenario.world), io_(world_.MakeIo(scenario.client_host)) {
    world_.Attach(*io_, *this);
    io_->Connect(&connect_, *SocketAddress::Parse("10.0.0.1:25"));
    io_->Wake();
    EXPECT_TRUE(world_.RunUntil([this] { return socket_.valid(); }, absl::Seconds(5)));
    world_.RunFor(absl::Seconds(1));  // it is greeted
  }
  ~DeafClient() override {
    io_->Shutdown(socket_);
    EXPECT_TRUE(world_.RunUntil([this] { return !send_.in_flight; }, absl::Seconds(5)));
    io_->Close(socket_);
    world_.Detach(*io_);
  }
  void Say(std::string text) {
    text_ = std::move(text);
    io_->Send(&send_, socket_, AsBytes(text_));
    io_->Wake();
  }
  // What nobody has taken of it.
  size_t unsaid_bytes() const { return text_.size() - said_bytes_; }
  void Turn() override { io_->Turn(Instant::Max()); }

 private:
  void OnConnected(const IoResult& result) { socket_ = result.fd(); }
  void OnSent(const IoResult& result) {
    if (!result.ok()) {
      return;
    }
    said_bytes_ += result.count();
    if (unsaid_bytes() > 0) {
      io_->Send(&send_, socket_, AsBytes(text_).subspan(said_bytes_));
    }
  }

  World& world_;
  const std::unique_ptr<Io> io_;
  Fd socket_;
  std::string text_;
  size_t said_bytes_ = 0;
  Completion<&DeafClient::OnConnected> connect_{this};
  Completion<&DeafClient::OnSent> send_{this};
};

// The first line that a client hears who comes now and leaves.
std::string Welcome(Scenario& scenario) {
  LineClient client(scenario.world, scenario.client_host, *SocketAddress::Parse("10.0.0.1:25"));
  return client.NextLine(absl::Seconds(5)).value_or("nothing");
}

TEST(ClientsScenario, AConfirmedNameIsInTheReceivedField) {
  Scenario scenario;
  scenario.zone.AddPointer(kClient, "client.example");
  scenario.zone.AddAddress("client.example", kClient);
  scenario.SendOne();  // asks
  scenario.RunFor(absl::Seconds(5));
  scenario.SendOne();  // knows
  EXPECT_TRUE(scenario.Drain(absl::Seconds(30)));
  EXPECT_NE(scenario.primary.last_content().find("(client.example [10.2.0.1])"), std::string::npos)
      << scenario.primary.last_content();
}

TEST(ClientsScenario, NobodyWaitsForAName) {
  Scenario scenario;
  scenario.zone.SetMood(DnsZone::Mood::kSilent);
  const Instant before = scenario.world.Now();
  scenario.SendOne();
  EXPECT_LT(scenario.world.Now() - before, absl::Seconds(1));
  EXPECT_TRUE(scenario.Drain(absl::Seconds(30)));
}

TEST(ClientsScenario, WhoIsListedIsToldByWhomAndWhy) {
  Scenario scenario(Lists("dnsbl = [\"zen.example\"]\n"));
  scenario.zone.AddListing(kClient, "zen.example", "127.0.0.2", "see http://zen.example/");
  Caller caller(scenario);
  EXPECT_EQ(caller.Rcpt("user@d0.example"),
            "550 5.7.1 10.2.0.1 is listed by zen.example: see http://zen.example/");
  EXPECT_EQ(caller.Rcpt("user@elsewhere.example"), "550 5.7.1 Relay access denied");
  EXPECT_EQ(caller.Rcpt("Postmaster@d0.example").substr(0, 3), "250");
  EXPECT_EQ(caller.Rcpt("postmaster").substr(0, 3), "250");
}

// Each is told a text of its own, though the first one's next question makes a new one.
TEST(ClientsScenario, AllThatWaitAreToldWhoListsThem) {
  Scenario::Options options = Lists("dnsbl = [\"zen.example\"]\n");
  options.faults.dns_min = options.faults.dns_max = absl::Milliseconds(500);
  Scenario scenario(options);
  const std::string why(100, 'w');
  scenario.zone.AddListing(kClient, "zen.example", "127.0.0.2", why);
  const std::string told = "550 5.7.1 10.2.0.1 is listed by zen.example: " + why;
  Caller first(scenario);
  Caller second(scenario);
  Caller third(scenario);
  for (Caller* caller : {&first, &second, &third}) {
    caller->Send("RCPT TO:<one@d0.example>\r\nRCPT TO:<two@d0.example>");
  }
  for (Caller* caller : {&first, &second, &third}) {
    EXPECT_EQ(caller->Read(), told);
    EXPECT_EQ(caller->Read(), told);
  }
}

TEST(ClientsScenario, WeightsAreAddedUpToTheThreshold) {
  Scenario scenario(
      Lists("dnsbl = [\"a.example:2\", \"b.example:1\", \"c.example:2\"]\ndnsbl_threshold = 3\n"));
  scenario.zone.AddListing(kClient, "a.example", "127.0.0.2", "");
  EXPECT_EQ(Caller(scenario).Rcpt("user@d0.example").substr(0, 3), "250");
  scenario.zone.AddListing(kClient, "b.example", "127.0.0.9", "");
  EXPECT_EQ(Caller(scenario).Rcpt("user@d0.example").substr(0, 3), "250") << "known for a while";
  scenario.RunFor(absl::Minutes(11));
  EXPECT_EQ(Caller(scenario).Rcpt("user@d0.example").substr(0, 9), "550 5.7.1");
}

TEST(ClientsScenario, AnswersOutsideOf127AreNoListing) {
  Scenario scenario(Lists("dnsbl = [\"gone.example\"]\n"));
  scenario.zone.AddListing(kClient, "gone.example", "192.0.2.1", "a web site");
  EXPECT_EQ(Caller(scenario).Rcpt("user@d0.example").substr(0, 3), "250");
}

// What a list says of those who ask: too often, by a public resolver, for a zone that is none.
TEST(ClientsScenario, AListThatRefusesUsRefusesNobody) {
  for (const char* said : {"127.0.0.1", "127.255.255.252", "127.255.255.254", "127.255.255.255"}) {
    Scenario scenario(Lists("dnsbl = [\"zen.example\"]\n"));
    scenario.zone.AddListing(kClient, "zen.example", said, "see http://zen.example/error");
    EXPECT_EQ(Caller(scenario).Rcpt("user@d0.example").substr(0, 3), "250") << said;
    scenario.zone.AddListing(kClient, "zen.example", "127.0.0.2", "");
    scenario.RunFor(absl::Minutes(11));
    EXPECT_EQ(Caller(scenario).Rcpt("user@d0.example").substr(0, 3), "550") << "a listing beside";
  }
  for (const char* said : {"127.0.0.2", "127.0.1.1", "127.255.0.1", "127.0.255.1"}) {
    Scenario scenario(Lists("dnsbl = [\"zen.example\"]\n"));
    scenario.zone.AddListing(kClient, "zen.example", said, "");
    EXPECT_EQ(Caller(scenario).Rcpt("user@d0.example").substr(0, 3), "550") << said;
  }
}

TEST(ClientsScenario, AListThatRefusesUsIsWarnedOfOnceADay) {
  static size_t said = 0;
  Scenario::Options options = Lists("dnsbl = [\"zen.example\", \"good.example\"]\n");
  options.shards = 4;
  Scenario scenario(options);
  scenario.zone.AddListing(kClient, "zen.example", "127.255.255.254", "");
  SetLogSink([](LogLevel, std::string_view line) {
    said += line.starts_with("dnsbl: zen.example answers 127.255.255.254,") ? 1 : 0;
  });
  const uint64_t before = MarkCount("block_list_lists_nobody");
  for (const size_t warnings : {1U, 1U, 2U}) {
    for (int calls = 0; calls < 20; ++calls) {
      EXPECT_EQ(Caller(scenario).Rcpt("user@d0.example").substr(0, 3), "250");
    }
    EXPECT_EQ(said, warnings);
    scenario.RunFor(absl::Hours(13));
  }
  SetLogSink(nullptr);
  EXPECT_GT(MarkCount("block_list_lists_nobody"), before + 4);
}

// ---- smtp.client_checks ----

const char* const kNameless = "450 4.7.25 10.2.0.1 has no name that points back to it";

TEST(ClientsScenario, WhoHasNoNameIsPutOff) {
  for (const int step : {0, 1, 2, 3}) {
    Scenario scenario(Lists("client_checks = [\"reverse_dns\"]\n"));
    if (step >= 1) {
      scenario.zone.AddPointer(kClient, "client.example");
    }
    if (step >= 2) {
      scenario.zone.AddAddress("client.example", "10.2.0.9");
    }
    if (step >= 3) {
      scenario.zone.AddAddress("client.example", kClient);
    }
    Caller caller(scenario);
    EXPECT_EQ(caller.Rcpt("user@d0.example"), step < 3 ? kNameless : "250 2.1.5 Ok") << step;
    EXPECT_EQ(caller.Rcpt("user@elsewhere.example"), "550 5.7.1 Relay access denied");
    EXPECT_EQ(caller.Rcpt("Postmaster@d0.example"), "250 2.1.5 Ok");
  }
}

TEST(ClientsScenario, NobodyIsPutOffUnasked) {
  for (const char* smtp : {"", "client_checks = []\n", "client_checks = [\"helo\"]\n",
                           "dnsbl = [\"zen.example\"]\n"}) {
    Scenario scenario(Lists(smtp));
    EXPECT_EQ(Caller(scenario).Rcpt("user@d0.example").substr(0, 3), "250") << smtp;
  }
}

TEST(ClientsScenario, ANameThatCannotBeAskedForPutsNobodyOff) {
  for (const std::string silent : {"", "1.0.2.10.in-addr.arpa", "client.example"}) {
    Scenario scenario(Lists("client_checks = [\"reverse_dns\"]\n"));
    scenario.zone.AddPointer(kClient, "client.example");
    if (silent.empty()) {
      scenario.zone.SetMood(DnsZone::Mood::kFails);
    } else {
      scenario.zone.SetSilent(silent, true);
    }
    Caller caller(scenario);
    Instant before = scenario.world.Now();
    EXPECT_EQ(caller.Rcpt("user@d0.example").substr(0, 3), "250") << silent;
    EXPECT_LE(scenario.world.Now() - before, absl::Milliseconds(2100));
    before = scenario.world.Now();
    EXPECT_EQ(caller.Rcpt("other@d0.example").substr(0, 3), "250") << silent;
    EXPECT_LT(scenario.world.Now() - before, absl::Milliseconds(100));
    scenario.RunFor(absl::Seconds(30));
    EXPECT_EQ(caller.Rcpt("third@d0.example").substr(0, 3), "250") << "and it stays so";
  }
}

TEST(ClientsScenario, WhoWaitsForANameKeepsItsRepliesInOrder) {
  Scenario::Options options = Lists("client_checks = [\"reverse_dns\", \"helo\"]\n");
  options.faults.dns_min = options.faults.dns_max = absl::Seconds(1);
  Scenario scenario(options);
  Caller caller(scenario);
  const Instant before = scenario.world.Now();
  caller.Send("RCPT TO:<one@d0.example>\r\nRCPT TO:<nobody@elsewhere.example>\r\nNOOP");
  EXPECT_EQ(caller.Read(), kNameless);
  EXPECT_GT(scenario.world.Now() - before, absl::Milliseconds(300));
  EXPECT_LT(scenario.world.Now() - before, absl::Milliseconds(1500));
  EXPECT_EQ(caller.Read(), "550 5.7.1 Relay access denied");
  EXPECT_EQ(caller.Read().substr(0, 3), "250");
}

// Its refusal is final whatever its name is.
TEST(ClientsScenario, WhoIsListedDoesNotWaitForAName) {
  Scenario scenario(Lists("dnsbl = [\"zen.example\"]\nclient_checks = [\"reverse_dns\"]\n"));
  scenario.zone.AddListing(kClient, "zen.example", "127.0.0.2", "");
  scenario.zone.SetSilent("1.0.2.10.in-addr.arpa", true);
  Caller caller(scenario);
  const Instant before = scenario.world.Now();
  EXPECT_EQ(caller.Rcpt("user@d0.example"), "550 5.7.1 10.2.0.1 is listed by zen.example");
  EXPECT_LT(scenario.world.Now() - before, absl::Milliseconds(500));
}

TEST(ClientsScenario, WhoHasANameNowIsWelcomeTenMinutesLater) {
  Scenario scenario(Lists("client_checks = [\"reverse_dns\"]\n"));
  EXPECT_EQ(Caller(scenario).Rcpt("user@d0.example"), kNameless);
  scenario.zone.AddPointer(kClient, "client.example");
  scenario.zone.AddAddress("client.example", kClient);
  EXPECT_EQ(Caller(scenario).Rcpt("user@d0.example"), kNameless);
  scenario.RunFor(absl::Minutes(11));
  EXPECT_EQ(Caller(scenario).Rcpt("user@d0.example"), "250 2.1.5 Ok");
}

TEST(ClientsScenario, AListThatDoesNotAnswerRefusesNobodyAndKeepsOnlyTheFirstWaiting) {
  for (const DnsZone::Mood mood : {DnsZone::Mood::kFails, DnsZone::Mood::kSilent}) {
    Scenario scenario(Lists("dnsbl = [\"zen.example\"]\n"));
    scenario.zone.SetMood(mood);
    Caller caller(scenario);
    Instant before = scenario.world.Now();
    EXPECT_EQ(caller.Rcpt("user@d0.example").substr(0, 3), "250");
    EXPECT_LE(scenario.world.Now() - before, absl::Milliseconds(2100));
    before = scenario.world.Now();
    EXPECT_EQ(caller.Rcpt("other@d0.example").substr(0, 3), "250");
    EXPECT_LT(scenario.world.Now() - before, absl::Milliseconds(100));
  }
}

TEST(ClientsScenario, WhoWaitsForAListKeepsItsRepliesInOrder) {
  Scenario scenario(Lists("dnsbl = [\"zen.example\"]\n"));
  FaultPlan slow = FaultPlan::None();
  slow.dns_slow = 1'000'000;
  slow.dns_slow_max = absl::Seconds(1);
  scenario.world.SetPlan(slow);
  Caller caller(scenario);
  EXPECT_EQ(caller.Say("RCPT TO:<user@d0.example>\r\nRCPT TO:<nobody@elsewhere.example>\r\nNOOP")
                .substr(0, 3),
            "250");
  EXPECT_EQ(caller.Read(), "550 5.7.1 Relay access denied");
  EXPECT_EQ(caller.Read().substr(0, 3), "250");
}

TEST(ClientsScenario, AClientOfAProxyIsTheOneThatCounts) {
  Scenario scenario(Lists("dnsbl = [\"zen.example\"]\nxclient_from = [\"10.2.0.0/16\"]\n"));
  scenario.zone.AddListing("192.0.2.66", "zen.example", "127.0.0.2", "");
  LineClient client(scenario.world, scenario.client_host, *SocketAddress::Parse("10.0.0.1:25"));
  const auto say = [&](const std::string& line) {
    client.Send(line + "\r\n");
    return client.NextLine(absl::Seconds(20)).value_or("");
  };
  client.NextLine(absl::Seconds(5));
  EXPECT_EQ(say("XCLIENT ADDR=192.0.2.66").substr(0, 3), "220");
  say("HELO client.example");
  say("MAIL FROM:<a@sender.example>");
  EXPECT_EQ(say("RCPT TO:<user@d0.example>"), "550 5.7.1 192.0.2.66 is listed by zen.example");
  client.Disconnect();
}

// Reliability row 69.
TEST(ClientsScenario, TenErrorsAreFreeAndEachOfTheNextOnesCostsASecond) {
  Scenario scenario;
  Caller caller(scenario);
  Instant before = scenario.world.Now();
  for (int error = 0; error < 10; ++error) {
    EXPECT_EQ(caller.Rcpt("guess@elsewhere.example"), "550 5.7.1 Relay access denied");
  }
  EXPECT_LT(scenario.world.Now() - before, absl::Milliseconds(500));
  before = scenario.world.Now();
  EXPECT_EQ(caller.Say("RCPT TO:<a@elsewhere.example>\r\nNOOP\r\nRCPT TO:<b@elsewhere.example>"),
            "550 5.7.1 Relay access denied");
  EXPECT_GE(scenario.world.Now() - before, absl::Milliseconds(990));
  EXPECT_LT(scenario.world.Now() - before, absl::Milliseconds(1500));
  EXPECT_EQ(caller.Read().substr(0, 3), "250");
  EXPECT_EQ(caller.Read(), "550 5.7.1 Relay access denied");
  EXPECT_GE(scenario.world.Now() - before, absl::Milliseconds(1990));
}

TEST(ClientsScenario, WhoIsMadeToWaitMayLeave) {
  Scenario scenario;
  {
    Caller caller(scenario);
    for (int error = 0; error < 10; ++error) {
      caller.Rcpt("guess@elsewhere.example");
    }
    caller.Send("RCPT TO:<guess@elsewhere.example>");
    scenario.RunFor(absl::Milliseconds(200));
  }
  scenario.RunFor(absl::Seconds(5));
  EXPECT_TRUE(scenario.daemon.Stop(absl::Seconds(9)));
}

// ---- who does not read ----

// Rows 22 and 100: replies fill its socket, then our bound; from then on no command is read, and
// after the idle time it is gone, with its descriptor and its place.
TEST(ClientsScenario, WhoDoesNotReadIsReadNoFurtherAndThenGivenUp) {
  Scenario::Options options =
      Lists("idle_timeout = \"30s\"\nmax_connections_per_client = 1\nmax_recipients = 10000\n");
  options.faults.socket_buffer_bytes = 8_KiB;
  Scenario scenario(options);
  const uint64_t before = MarkCount("client_does_not_read");
  DeafClient deaf(scenario);
  std::string commands = "EHLO client.example\r\nMAIL FROM:<a@sender.example>\r\n";
  for (int count = 0; count < 10'000; ++count) {
    commands += "RCPT TO:<" + scenario.Recipient("user") + ">\r\n";
  }
  deaf.Say(commands);
  scenario.RunFor(absl::Seconds(5));
  const size_t unsaid = deaf.unsaid_bytes();
  EXPECT_GT(unsaid, commands.size() / 2);
  EXPECT_EQ(Welcome(scenario).substr(0, 9), "421 4.7.0");
  scenario.RunFor(absl::Seconds(22));
  EXPECT_EQ(deaf.unsaid_bytes(), unsaid);
  EXPECT_EQ(MarkCount("client_does_not_read"), before);
  EXPECT_FALSE(scenario.daemon.quiet());
  scenario.RunFor(absl::Seconds(5));
  EXPECT_EQ(MarkCount("client_does_not_read"), before + 1);
  EXPECT_TRUE(scenario.daemon.quiet());
  EXPECT_EQ(Welcome(scenario).substr(0, 4), "220 ");
}

// Of a goodbye, too, it hears nothing; for that there are two seconds.
TEST(ClientsScenario, WhoDoesNotReadOurLastWordIsCutSoon) {
  Scenario::Options options = Lists("max_connections_per_client = 1\n");
  options.faults.socket_buffer_bytes = 1_KiB;
  Scenario scenario(options);
  const uint64_t before = MarkCount("client_does_not_read");
  DeafClient deaf(scenario);
  std::string commands;
  for (int count = 0; count < 101; ++count) {  // one more than it may say without a message
    commands += "HELP\r\n";
  }
  deaf.Say(commands);
  scenario.RunFor(absl::Seconds(1));
  EXPECT_EQ(MarkCount("client_does_not_read"), before);
  EXPECT_FALSE(scenario.daemon.quiet());
  scenario.RunFor(absl::Seconds(2));
  EXPECT_EQ(MarkCount("client_does_not_read"), before + 1);
  EXPECT_TRUE(scenario.daemon.quiet());
  EXPECT_EQ(Welcome(scenario).substr(0, 4), "220 ");
}

TEST(ClientsScenario, AStopWaitsForNoList) {
  Scenario scenario(Lists("dnsbl = [\"zen.example\"]\n"));
  scenario.zone.SetMood(DnsZone::Mood::kSilent);
  Caller caller(scenario);
  EXPECT_TRUE(scenario.daemon.Stop(absl::Seconds(9)));
}

}  // namespace
}  // namespace backstay
