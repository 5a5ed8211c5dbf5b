// tests/sim/plan.cc -- draws a story: most things off in most runs, a few at very different rates.
#include "tests/sim/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace backstay {
namespace {

std::string_view NameOf(StageEvent::Kind kind) {
  constexpr std::string_view kNames[] = {
      "close listener", "open listener", "host down", "host up", "cut", "uncut",
      "crash",          "stop",          "reload",    "damage",  "dns"};
  return kNames[static_cast<size_t>(kind)];
}

std::string_view NameOf(CrashMode mode) {
  constexpr std::string_view kNames[] = {"nothing un-synced", "all un-synced", "random"};
  return kNames[static_cast<size_t>(mode)];
}

std::string_view NameOf(ReportWay way) {
  constexpr std::string_view kNames[] = {"off", "smart host", "mx"};
  return kNames[static_cast<size_t>(way)];
}

std::string NameOf(size_t primary) {
  return fmt::format("primary{}.sim.example", primary);
}

// 0 in most cases, else up to `highest`, every order of magnitude equally likely.
uint32_t DrawRate(Random& random, uint32_t highest) {
  constexpr uint32_t kDivisors[] = {1, 4, 20, 100};
  return random.Chance(2, 5) ? highest / kDivisors[random.Below(std::size(kDivisors))] : 0;
}

absl::Duration DrawTime(Random& random, absl::Duration most) {
  return absl::Nanoseconds(static_cast<int64_t>(
      random.Below(static_cast<uint64_t>(absl::ToInt64Nanoseconds(most)) + 1)));
}

ClientManners DrawClientManners(Random& random, absl::Duration span, size_t messages) {
  ClientManners manners;
  manners.pipelined = random.Chance(1, 4) ? 0 : static_cast<uint32_t>(random.Below(1'000'001));
  manners.pipeline_next = DrawRate(random, 800'000);
  manners.cut = DrawRate(random, 600'000);
  manners.abrupt = DrawRate(random, 600'000);
  manners.silent = DrawRate(random, 30'000);
  manners.reset = DrawRate(random, 200'000);
  manners.helo = DrawRate(random, 500'000);
  manners.messages_per_connection_max = 1 + random.Below(8);
  manners.pause_max = std::max(absl::Milliseconds(20), span / static_cast<int64_t>(messages));
  return manners;
}

PrimaryManners DrawPrimaryManners(Random& random) {
  PrimaryManners manners;
  manners.greeting_421 = DrawRate(random, 500'000);
  manners.cut_at_greeting = DrawRate(random, 300'000);
  manners.mail_4xx = DrawRate(random, 300'000);
  manners.rcpt_4xx = DrawRate(random, 400'000);
  manners.data_4xx = DrawRate(random, 300'000);
  manners.content_4xx = DrawRate(random, 300'000);
  manners.lost_reply = DrawRate(random, 300'000);
  manners.cut = DrawRate(random, 50'000);
  manners.cut_in_content = DrawRate(random, 300'000);
  manners.slow = DrawRate(random, 300'000);
  manners.slow_max = absl::Milliseconds(int64_t{1} << random.Between(4, 17));
  manners.pipelining = random.Chance(2, 3);
  manners.eight_bit = random.Chance(3, 4);
  return manners;
}

// A stretch of the safety phase in which primary `index` is away.
void AddOutage(Random& random, StoryPlan& plan, size_t index) {
  using Kind = StageEvent::Kind;
  constexpr Kind kWays[][2] = {{Kind::kCloseListener, Kind::kOpenListener},
                               {Kind::kHostDown, Kind::kHostUp},
                               {Kind::kCut, Kind::kUncut}};
  const auto& way = kWays[random.Below(std::size(kWays))];
  const absl::Duration from =
      random.Chance(1, 3) ? absl::ZeroDuration() : DrawTime(random, plan.span);
  plan.events.push_back({from, way[0], index});
  plan.events.push_back({from + DrawTime(random, plan.span - from), way[1], index});
}

void DrawEvents(Random& random, StoryPlan& plan) {
  using Kind = StageEvent::Kind;
  const uint64_t outages = random.Chance(1, 5) ? 0 : random.Below(8);
  for (uint64_t count = 0; count < outages; ++count) {
    AddOutage(random, plan, random.Below(plan.primaries));
  }
  const uint64_t crashes = random.Chance(2, 5) ? 0 : random.Below(5);
  for (uint64_t count = 0; count < crashes; ++count) {
    const auto mode = static_cast<CrashMode>(random.Below(3));
    plan.events.push_back({DrawTime(random, plan.span), Kind::kCrash, 0, mode});
  }
  for (uint64_t count = random.Chance(1, 2) ? 0 : random.Below(3); count > 0; --count) {
    plan.events.push_back({DrawTime(random, plan.span), Kind::kStop});
  }
  for (uint64_t count = random.Chance(2, 3) ? 0 : random.Below(4); count > 0; --count) {
    plan.events.push_back(
        {DrawTime(random, plan.span), Kind::kReload, random.Below(plan.domains.size() + 1)});
  }
  for (uint64_t count = random.Chance(9, 10) ? 0 : 1 + random.Below(3); count > 0; --count) {
    plan.events.push_back({DrawTime(random, plan.span), Kind::kDamage});
  }
  for (uint64_t count = random.Chance(1, 2) ? 0 : random.Below(4); count > 0; --count) {
    plan.events.push_back({DrawTime(random, plan.span), Kind::kDns, random.Below(3)});
  }
  std::stable_sort(
      plan.events.begin(), plan.events.end(),
      [](const StageEvent& left, const StageEvent& right) { return left.at < right.at; });
}

void AddSenders(DnsZone& zone) {
  const std::string host(kReportHost);
  zone.AddAddress("mx.sender.example", host);
  zone.AddAddress("dead.sender.example", std::string(kDeadHost));
  zone.AddMx(std::string(kSenderDomain), 10, "dead.sender.example");
  zone.AddMx(std::string(kSenderDomain), 20, "mx.sender.example");
  zone.AddAddress(std::string(kImplicitDomain), host);
  zone.AddAlias(std::string(kAliasDomain), std::string(kSenderDomain));
  zone.AddMx(std::string(kNullMxDomain), 0, "");
  zone.AddMx(std::string(kOurMxDomain), 10, "mx2.sim.example");
  zone.AddMx(std::string(kOurMxDomain), 20, "mx.sender.example");
  zone.AddAddress("address.of.ours.example", "10.0.0.1");
  zone.AddMx(std::string(kSelfDomain), 10, "address.of.ours.example");
  zone.AddAddress(std::string(kSilentDomain), host);
  zone.SetSilent(std::string(kSilentDomain), true);
}

}  // namespace

StoryPlan DrawPlan(uint64_t seed) {
  Random random(seed);
  StoryPlan plan;
  plan.seed = seed;
  switch (random.Below(4)) {
    case 0:
      plan.faults = FaultPlan::None();
      break;
    case 1:
      plan.faults = FaultPlan::Manners();
      break;
    default:
      plan.faults = FaultPlan::Draw(random.Next());
      break;
  }
  constexpr absl::Duration kSpans[] = {absl::Seconds(3), absl::Seconds(30), absl::Minutes(10),
                                       absl::Hours(3)};
  plan.span = kSpans[random.Below(std::size(kSpans))];
  plan.shards = 1 + random.Below(3);
  plan.primaries = 1 + random.Below(2);
  for (uint64_t count = 1 + random.Below(3), index = 0; index < count; ++index) {
    StoryDomain domain{fmt::format("d{}.example", index), {random.Below(plan.primaries)}};
    if (plan.primaries > 1 && random.Chance(1, 2)) {
      domain.primaries.push_back(1 - domain.primaries[0]);
    }
    plan.shape.domains.push_back(domain.name);
    plan.domains.push_back(std::move(domain));
  }
  plan.connections_per_primary = random.Chance(1, 2) ? 20 : 1 + random.Below(5);
  plan.retry = random.Chance(1, 2) ? "" : "bounce_after = \"0\"\n";
  plan.clients = 1 + random.Below(5);
  plan.messages_per_client = 1 + random.Below(25);
  plan.shape.recipients_max = random.Chance(1, 8) ? 120 : 1 + random.Below(5);
  // Large messages are few, and never cut into pieces of some bytes: that only costs time.
  if (random.Chance(1, 3) && plan.faults.segment_bytes_max >= 1000) {
    plan.shape.content_bytes_max = 700 * 1024;
    plan.messages_per_client = std::min<size_t>(plan.messages_per_client, 8);
  } else {
    plan.shape.content_bytes_max = 1 + random.Below(32 * 1024);
  }
  plan.disk_bytes = random.Chance(1, 8) ? (random.Between(4, 24) << 20) * plan.shards : 0;
  plan.client_manners = DrawClientManners(random, plan.span, plan.messages_per_client);
  plan.primary_manners = DrawPrimaryManners(random);
  DrawEvents(random, plan);
  for (StoryDomain& domain : plan.domains) {
    domain.way = random.Chance(1, 2) ? StoryDomain::Way::kAddresses
                                     : static_cast<StoryDomain::Way>(random.Below(3));
  }
  plan.reports = !random.Chance(1, 2)  ? ReportWay::kOff
                 : random.Chance(1, 2) ? ReportWay::kHost
                                       : ReportWay::kMx;
  if (plan.reports == ReportWay::kMx) {
    plan.shape.sender_domains = {std::string(kSenderDomain), std::string(kImplicitDomain),
                                 std::string(kAliasDomain),  std::string(kNullMxDomain),
                                 std::string(kOurMxDomain),  std::string(kSelfDomain),
                                 std::string(kNobodyDomain), std::string(kSilentDomain)};
    plan.faults.dns_garbled = 0;  // "no such domain" is believed: nobody could be sure to be told
  }
  return plan;
}

StoryPlan SmallPlan() {
  using Kind = StageEvent::Kind;
  StoryPlan plan;
  plan.seed = 1;
  plan.span = absl::Seconds(5);
  plan.domains = {{"d0.example", {0}}, {"d1.example", {0}}};
  plan.shape.domains = {"d0.example", "d1.example"};
  plan.retry = "bounce_after = \"0\"\n";
  plan.clients = 1;
  plan.messages_per_client = 0;  // Story offers fixed ones
  plan.client_manners.pipelined = 0;
  plan.client_manners.pause_max = absl::Milliseconds(1);
  plan.events = {{absl::ZeroDuration(), Kind::kCloseListener, 0},
                 {absl::Seconds(2), Kind::kOpenListener, 0}};
  return plan;
}

std::string StoryPlan::Config(size_t domain_left_out) const {
  std::string text = fmt::format(
      "hostname = \"mx2.sim.example\"\n"
      "[smtp]\nlisten = [\"10.0.0.1:25\"]\nshards = {}\n{}"
      "[spool]\ndirectory = \"/spool\"\nsegment_size = \"{}KiB\"\nreserve = \"2MiB\"\n"
      "[delivery]\nmax_connections_per_primary = {}\ntls = \"off\"\n"
      "[admin]\nlisten = \"\"\n"
      "[retry]\n{}",
      shards, smtp, segment_bytes / 1024, connections_per_primary, retry);
  const std::string smart_host = fmt::format("{}:25", kReportHost);
  text += fmt::format("[dsn]\nroute = \"{}\"\n", reports == ReportWay::kOff    ? "off"
                                                 : reports == ReportWay::kHost ? smart_host
                                                                               : "mx");
  for (size_t index = 0; index < domains.size(); ++index) {
    if (index == domain_left_out && domains.size() > 1) {
      continue;
    }
    const StoryDomain& domain = domains[index];
    text += fmt::format("[[domain]]\nname = \"{}\"\n{}", domain.name, domain_lines);
    if (!allowed_networks.empty()) {
      text += fmt::format("allowed_networks = {}\n", allowed_networks);
    }
    text += "primary = ";
    if (domain.way == StoryDomain::Way::kMx) {
      text += "\"mx\"\n";
      continue;
    }
    for (size_t position = 0; position < domain.primaries.size(); ++position) {
      const size_t primary = domain.primaries[position];
      text += fmt::format("{}\"{}:25\"", position == 0 ? "[" : ", ",
                          domain.way == StoryDomain::Way::kNames
                              ? NameOf(primary)
                              : fmt::format("10.1.0.{}", primary + 1));
    }
    text += "]\n";
  }
  return text;
}

// Ours is the MX that senders fall back to; who comes behind us gets nothing.
void StoryPlan::FillZone(DnsZone& zone) const {
  constexpr uint32_t kTtl = 60;
  for (size_t primary = 0; primary < primaries; ++primary) {
    zone.AddAddress(NameOf(primary), fmt::format("10.1.0.{}", primary + 1), kTtl);
  }
  for (const StoryDomain& domain : domains) {
    uint16_t preference = 10;
    for (const size_t primary : domain.primaries) {
      zone.AddMx(domain.name, preference++, NameOf(primary), kTtl);
    }
    zone.AddMx(domain.name, 20, "mx2.sim.example", kTtl);
    zone.AddMx(domain.name, 30, "behind-us.sim.example", kTtl);
  }
  if (reports == ReportWay::kMx) {
    AddSenders(zone);
  }
}

std::string StoryPlan::ToString() const {
  std::string text = fmt::format(
      "shards={} primaries={} connections={} segment={}KiB disk={} clients={} x {} messages of up "
      "to {} "
      "bytes, {} recipients, span={} reports={} {}",
      shards, primaries, connections_per_primary, segment_bytes / 1024,
      disk_bytes == 0 ? "plenty" : fmt::format("{}MiB", disk_bytes >> 20), clients,
      messages_per_client, shape.content_bytes_max, shape.recipients_max,
      absl::FormatDuration(span), NameOf(reports), retry.empty() ? "\n" : retry);
  for (const StoryDomain& domain : domains) {
    constexpr std::string_view kWays[] = {"address", "name", "mx"};
    text += fmt::format("domain {} by {} at", domain.name, kWays[static_cast<size_t>(domain.way)]);
    for (const size_t primary : domain.primaries) {
      text += fmt::format(" primary {}", primary);
    }
    text += "\n";
  }
  text += fmt::format("clients: {}\nprimaries: {}\n", client_manners.ToString(),
                      primary_manners.ToString());
  text += faults.ToString();
  for (const StageEvent& event : events) {
    text += fmt::format("  {:>14} {} {}", absl::FormatDuration(event.at), NameOf(event.kind),
                        event.kind == StageEvent::Kind::kCrash ? std::string(NameOf(event.mode))
                                                               : fmt::format("{}", event.index));
    text += "\n";
  }
  return text;
}

}  // namespace backstay
