// tests/sim/scenarios/scenario.cc -- the stage of the fixed stories.
#include "tests/sim/scenarios/scenario.h"

#include <fmt/format.h>

namespace backstay {
namespace {

StoryPlan PlanOf(const Scenario::Options& options) {
  StoryPlan plan;
  plan.seed = options.seed;
  plan.shards = options.shards;
  plan.connections_per_primary = options.connections;
  plan.segment_bytes = options.segment_bytes;
  plan.smtp = options.smtp;
  plan.retry = options.retry;
  plan.domains = {{"d0.example", {0}, options.way}, {"d1.example", {0}, options.way}};
  plan.allowed_networks = options.allowed_networks;
  plan.domain_lines = options.domain;
  plan.reports = options.reports;
  return plan;
}

SimClient::Setup ClientSetup(const Scenario::Options& options) {
  SimClient::Setup setup;
  setup.server = *SocketAddress::Parse("10.0.0.1:25");
  setup.messages = 0;
  setup.manners.pipelined = options.pipelined ? 1'000'000 : 0;
  setup.manners.pipeline_next = 0;
  setup.manners.messages_per_connection_max = 1000;
  setup.manners.pause_max = absl::Milliseconds(1);
  return setup;
}

}  // namespace

Scenario::Scenario(const Options& options)
    : plan(PlanOf(options)),
      world(options.seed, options.faults),
      ledger(world),
      host(world.AddHost("mx2", *SocketAddress::Parse("10.0.0.1:0"))),
      primary_host(world.AddHost("primary0", *SocketAddress::Parse("10.1.0.1:0"))),
      client_host(world.AddHost("client", *SocketAddress::Parse("10.2.0.1:0"))),
      report_host(
          world.AddHost("reports", *SocketAddress::Parse(fmt::format("{}:0", kReportHost)))),
      daemon(world, host, plan.Config(plan.domains.size())),
      primary(world, primary_host, 25, Random(options.seed), ledger),
      smart_host(world, report_host, 25, Random(options.seed + 2), ledger),
      client(world, client_host, ClientSetup(options), Random(options.seed + 1), ledger) {
  plan.FillZone(zone);
  world.SetResolver(
      [this](std::string_view name, DnsType type) { return zone.Answer(name, type); });
  primary.Open();
  if (options.reports != ReportWay::kOff) {
    smart_host.Open();
  }
  if (options.start) {
    const absl::Status started = daemon.StartAndServe();
    EXPECT_TRUE(started.ok()) << started.ToString();
  }
}

Scenario::~Scenario() {
  if (daemon.running()) {
    const SpoolStats stats = daemon.stats();
    ledger.CheckEnd({stats.recipients_live, stats.recipients_dsn_pending,
                     stats.recipients_quarantined, daemon.account()});
  }
  for (const std::string& violation : ledger.violations()) {
    ADD_FAILURE() << violation;
  }
}

std::string Scenario::Recipient(std::string_view local_part) {
  return fmt::format("{}{}@d0.example", local_part, number_++);
}

int Scenario::Send(Message message) {
  client.Enqueue(std::move(message));
  EXPECT_TRUE(world.RunUntil([this] { return client.done(); }, absl::Minutes(30)));
  return client.last_final_code();
}

std::string Scenario::SendOne(std::string_view local_part) {
  const std::string recipient = Recipient(local_part);
  EXPECT_EQ(Send({"a@sender.example", {recipient}, "Subject: one\r\n\r\n.\r\nhello\r\n"}), 250);
  return recipient;
}

std::string Scenario::OfferOne() {
  const std::string recipient = Recipient("one");
  client.Enqueue({"a@sender.example", {recipient}, "Subject: one\r\n\r\nhello\r\n"});
  EXPECT_TRUE(world.RunUntil([this] { return client.done(); }, absl::Minutes(30)));
  return recipient;
}

void Scenario::SendMany(size_t count, size_t content_bytes) {
  std::string content = "Subject: many\r\n\r\n";
  while (content.size() < content_bytes) {
    content += "a line of a message among many\r\n";
  }
  const size_t before = client.stored();
  for (size_t index = 0; index < count; ++index) {
    client.Enqueue({"a@sender.example", {Recipient("many")}, content});
  }
  EXPECT_TRUE(world.RunUntil([this] { return client.done(); }, absl::Hours(1)));
  EXPECT_EQ(client.stored(), before + count);
}

void Scenario::PrimaryDown() {
  primary.Close();
  EXPECT_TRUE(world.RunUntil([this] { return !primary.open(); }, absl::Seconds(1)));
}

void Scenario::PrimaryBusy(bool is_busy) {
  PrimaryManners manners;
  manners.rcpt_4xx = is_busy ? 1'000'000 : 0;
  primary.set_manners(manners);
}

void Scenario::PrimaryUp() {
  primary.Open();
}

bool Scenario::Drain(absl::Duration at_most) {
  return world.RunUntil([this] { return live() == 0; }, at_most);
}

std::string Scenario::Standing() {
  const RouteTable& routes = daemon.shard(0).routes();
  const DomainPlan* const plan_of_domain = daemon.snapshot().FindDomain("d0.example");
  return std::string(Describe(routes.RouteOf(*plan_of_domain)->standing()));
}

void Scenario::Crash(CrashMode mode) {
  ledger.OnCrash();
  daemon.Crash(mode);
}

void Scenario::Restart() {
  const absl::Status started = daemon.StartAndServe();
  EXPECT_TRUE(started.ok()) << started.ToString();
}

}  // namespace backstay
