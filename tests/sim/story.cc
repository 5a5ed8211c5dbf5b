// tests/sim/story.cc -- sets the stage, plays the events, asks the ledger.
#include "tests/sim/story.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/queue/admission.h"

namespace backstay {
namespace {

// A recipient's own deferral may be due 24 hours after the others (the default schedule's last
// wait), and what a reload held back is due with it.
constexpr absl::Duration kDrainMax = absl::Hours(30);
// Connections kept for reuse, idle clients thrown out, dead segments given back.
constexpr absl::Duration kQuietMax = absl::Minutes(20);
constexpr absl::Duration kRestartDelayMax = absl::Seconds(5);
// Of a sender that was told that the disk is slow; one sync in ten is, at most.
constexpr absl::Duration kTryAgainAfter = absl::Minutes(5);
constexpr int kTriesMax = 10;

SocketAddress Address(std::string_view text) {
  const std::optional<SocketAddress> address = SocketAddress::Parse(text);
  ASSERT(address.has_value());
  return *address;
}

}  // namespace

Story::Story(const StoryPlan& plan)
    : plan_(plan),
      world_(plan.seed, plan.faults),
      random_(plan.seed ^ 0x5707),
      ledger_(world_),
      host_(world_.AddHost("mx2", Address("10.0.0.1:0"))),
      client_host_(world_.AddHost("clients", Address("10.2.0.1:0"))) {
  SetStage();
}

Story::~Story() {
  clients_.clear();
  primaries_.clear();
  daemon_.reset();
}

// What a sync, a roll and a queue of both may take in this plan beyond the ordinary.
absl::Duration Story::Slack() const {
  return plan_.faults.slow_sync == 0 ? absl::ZeroDuration() : 10 * plan_.faults.slow_sync_max;
}

bool Story::DiskFails() const {
  const FaultPlan& faults = plan_.faults;
  return faults.write_error + faults.sync_error + faults.write_no_space + faults.zero_write +
                 faults.read_only + faults.open_error >
             0 ||
         plan_.fail_operation > 0;
}

void Story::SetStage() {
  plan_.FillZone(zone_);
  world_.SetResolver(
      [this](std::string_view name, DnsType type) { return zone_.Answer(name, type); });
  ledger_.set_settle_delay_max(DiskFails() || plan_.disk_bytes > 0 ? absl::InfiniteDuration()
                                                                   : absl::Seconds(10) + Slack());
  if (plan_.disk_bytes > 0) {
    host_.disk().set_capacity_bytes(plan_.disk_bytes);
  }
  for (size_t index = 0; index < plan_.primaries; ++index) {
    Host& host = world_.AddHost(fmt::format("primary{}", index),
                                Address(fmt::format("10.1.0.{}:0", index + 1)));
    primaries_.push_back(
        std::make_unique<SimPrimary>(world_, host, uint16_t{25}, random_.Split(), ledger_));
    primaries_.back()->set_manners(plan_.primary_manners);
    primaries_.back()->Open();
  }
  if (plan_.reports != ReportWay::kOff) {
    Host& host = world_.AddHost("reports", Address(fmt::format("{}:0", kReportHost)));
    primaries_.push_back(
        std::make_unique<SimPrimary>(world_, host, uint16_t{25}, Random(plan_.seed), ledger_));
    if (plan_.reports == ReportWay::kMx) {
      for (const std::string_view domain :
           {kNullMxDomain, kOurMxDomain, kSelfDomain, kNobodyDomain}) {
        ledger_.OnUntellable(domain);
      }
      primaries_.back()->set_manners(plan_.primary_manners);
    }
    primaries_.back()->Open();
  }
  SimClient::Setup setup;
  setup.server = Address("10.0.0.1:25");
  setup.messages = plan_.messages_per_client;
  setup.shape = plan_.shape;
  setup.manners = plan_.client_manners;
  setup.patience = absl::Minutes(10) + Slack();
  setup.numbers = &message_numbers_;
  for (size_t index = 0; index < plan_.clients; ++index) {
    clients_.push_back(
        std::make_unique<SimClient>(world_, client_host_, setup, random_.Split(), ledger_));
  }
  if (plan_.messages_per_client == 0) {
    OfferFixedMessages();
  }
  daemon_ = std::make_unique<SimDaemon>(world_, host_, plan_.Config(plan_.domains.size()));
}

// The small story: one recipient, several in two domains with one that does not exist and one that
// is to be told of, a null reverse-path, and one large enough for parts.
void Story::OfferFixedMessages() {
  SimClient& client = *clients_[0];
  client.Enqueue({"a@sender.example", {"user0@d0.example"}, "Subject: one\r\n\r\n.\r\n"});
  client.Enqueue({"a@sender.example",
                  {"asks1@d0.example", "gone1@d0.example", "user1@d1.example"},
                  "Subject: two\r\n\r\nhello\r\n"});
  client.Enqueue({"", {"gone2@d1.example"}, ""});
  std::string large = "Subject: large\r\n\r\n";
  while (large.size() < 600 * 1024) {
    large.append(998, static_cast<char>('a' + large.size() / 1000 % 26));
    large += "\r\n";
  }
  client.Enqueue({"a@sender.example", {"user3@d1.example"}, std::move(large)});
}

void Story::Run() {
  if (plan_.fail_operation > 0) {
    world_.FailDiskOperation(plan_.fail_operation, plan_.fail_error, plan_.fail_from_then_on);
  }
  restart_at_ = world_.Now();
  Safety();
  Liveness();
}

void Story::Safety() {
  const Instant start = world_.Now();
  const auto never = [] { return false; };
  for (const StageEvent& event : plan_.events) {
    Drive(never, start + event.at - world_.Now());
    Apply(event);
  }
  Drive(never, start + plan_.span - world_.Now());
}

// Time passes, as Io's Turn would let it; a daemon that ended is started again.
bool Story::Drive(Done done, absl::Duration at_most) {
  const Instant end = world_.Now() + at_most;
  for (;;) {
    Tend();
    if (done()) {
      return true;
    }
    const Instant now = world_.Now();
    if (now >= end) {
      return false;
    }
    const Instant until = daemon_->running() ? end : std::min(end, restart_at_);
    world_.RunUntil([&] { return done() || (daemon_->running() && daemon_->finished()); },
                    until - now);
  }
}

void Story::Tend() {
  if (world_.crash_due()) {
    CrashDaemon(plan_.crash_mode);
  }
  if (daemon_->running() && daemon_->finished()) {
    if (must_start_) {
      ledger_.Violation(
          fmt::format("the daemon ended by itself: {}", std::string(daemon_->status().message())));
    }
    CrashDaemon(CrashMode::kAllUnsynced);
  }
  if (!daemon_->running() && world_.Now() >= restart_at_) {
    StartDaemon();
  }
}

void Story::StartDaemon() {
  const absl::Status started = daemon_->Start();
  ArmCrash();
  if (started.ok()) {
    return;
  }
  if (must_start_) {
    ledger_.Violation(fmt::format("the daemon does not start: {}", std::string(started.message())));
  }
  restart_at_ = world_.Now() + kRestartDelayMax;
}

// Not before the daemon was started: opening the spool directory drives the world by itself, and a
// crash point would make it wait for ever.
void Story::ArmCrash() {
  if (plan_.crash_after_event > 0 && ledger_.crashes() == 0 && crash_events_ == 0) {
    const uint64_t now = world_.events();
    world_.CrashAfterEvent(plan_.crash_after_event > now ? plan_.crash_after_event - now : 1);
  }
}

void Story::CrashDaemon(CrashMode mode) {
  ledger_.OnCrash();
  NoteUnaccounted();
  daemon_->Crash(mode);
  restart_at_ =
      world_.Now() + absl::Milliseconds(static_cast<int64_t>(random_.Below(
                         static_cast<uint64_t>(absl::ToInt64Milliseconds(kRestartDelayMax)))));
}

// On a full disk that had no room for a checkpoint they are as good as can be.
bool Story::AccountsAreExact() const {
  return MarkCount("segment gone without a checkpoint") == went_blindly_;
}

void Story::NoteUnaccounted() {
  if (AccountsAreExact()) {
    ledger_.OnUnaccounted(daemon_->stats().recipients_unaccounted);
  }
}

void Story::StopDaemon() {
  if (!daemon_->running()) {
    return;
  }
  NoteUnaccounted();
  if (daemon_->Stop(absl::Minutes(2) + Slack())) {
    if (DiskFails() || plan_.disk_bytes > 0) {
      ledger_.OnCrash();  // the last settles may have found no device or no room to take them
    }
    restart_at_ = world_.Now();
    return;
  }
  // Disks that fail may keep it from closing the spool; a service manager kills it then.
  CrashDaemon(CrashMode::kAllUnsynced);
}

void Story::Apply(const StageEvent& event) {
  using Kind = StageEvent::Kind;
  switch (event.kind) {
    case Kind::kCloseListener:
      primaries_[event.index]->Close();
      return;
    case Kind::kOpenListener:
      // The cut connections and the old listener need a moment.
      Drive([&] { return !primaries_[event.index]->open(); }, absl::Seconds(1));
      primaries_[event.index]->Open();
      return;
    case Kind::kHostDown:
    case Kind::kHostUp:
      primaries_[event.index]->host().SetDown(event.kind == Kind::kHostDown);
      return;
    case Kind::kCut:
    case Kind::kUncut:
      world_.SetReachable(host_, primaries_[event.index]->host(), event.kind == Kind::kUncut);
      return;
    case Kind::kCrash:
      CrashDaemon(event.mode);
      return;
    case Kind::kStop:
      StopDaemon();
      return;
    case Kind::kReload:
      if (daemon_->serving()) {
        (void)daemon_->Reload(plan_.Config(event.index));  // refusing it is right, too
      }
      return;
    case Kind::kDamage:
      Damage();
      return;
    case Kind::kDns:
      zone_.SetMood(static_cast<DnsZone::Mood>(event.index));
      return;
  }
}

void Story::Damage() {
  const std::string shard = fmt::format("/spool/shard-{:03}", random_.Below(plan_.shards));
  std::vector<std::string> segments;
  for (const std::string& name : host_.disk().List(shard)) {
    if (name.starts_with("segment-")) {
      segments.push_back(shard + "/" + name);
    }
  }
  if (segments.empty()) {
    return;
  }
  const std::string& path = segments[random_.Below(segments.size())];
  const std::string contents = host_.disk().Contents(path).value_or("");
  size_t used = contents.size();
  while (used > 0 && contents[used - 1] == '\0') {
    --used;
  }
  if (used > 0 && host_.disk().FlipBit(path, random_.Below(uint64_t{used} * 8))) {
    ++damages_;
    ledger_.OnDamage();
  }
}

// ---- liveness ----

void Story::CalmDown() {
  world_.StopFaults();
  zone_.SetMood(DnsZone::Mood::kAnswers);
  zone_.SetSilent(std::string(kSilentDomain), false);
  ArmCrash();
  host_.disk().set_capacity_bytes(uint64_t{1} << 40);
  host_.disk().SetReadOnly(false);
  for (const std::unique_ptr<SimPrimary>& primary : primaries_) {
    Apply({{}, StageEvent::Kind::kOpenListener, static_cast<size_t>(&primary - primaries_.data())});
    primary->set_manners({});
    primary->host().SetDown(false);
    world_.SetReachable(host_, primary->host(), true);
  }
  for (const std::unique_ptr<SimClient>& client : clients_) {
    client->Finish();
  }
}

bool Story::ClientsDone() const {
  return std::all_of(clients_.begin(), clients_.end(),
                     [](const auto& client) { return client->done(); });
}

bool Story::PrimariesIdle() const {
  return std::all_of(primaries_.begin(), primaries_.end(),
                     [](const auto& primary) { return primary->connections() == 0; });
}

bool Story::Expect(bool reached, std::string_view what) {
  if (!reached) {
    ledger_.Violation(fmt::format("not in time: {}", what));
  }
  return reached;
}

// Breakers trip over recipients that are refused for good; the operator knows that they are.
bool Story::IsEmptied() {
  for (size_t shard = 0; shard < daemon_->shards() && daemon_->desk().ready(); ++shard) {
    const Spool& spool = daemon_->shard(shard).spool();
    Rule release;
    release.verb = RuleVerb::kStart;
    release.accepts_refusals = true;
    for (const DomainId domain : daemon_->shard(shard).routes().domains()) {
      if (spool.StopOf(domain) != DomainStop::kNone) {
        release.domains.emplace_back(spool.Name(domain));
      }
    }
    if (!release.domains.empty()) {
      daemon_->desk().Begin(std::move(release), /*counts_only=*/false);
    }
  }
  const SpoolStats stats = daemon_->stats();
  return stats.recipients_live == 0 &&
         (plan_.reports == ReportWay::kOff || stats.recipients_dsn_pending == 0);
}

void Story::Liveness() {
  CalmDown();
  Tend();
  must_start_ = true;
  const auto serving = [&] { return daemon_->serving(); };
  if (!Expect(Drive(serving, absl::Minutes(2) + Slack()), "the daemon serves")) {
    state_ = DescribeState();
    return;
  }
  const absl::Status reloaded =
      daemon_->Reload(plan_.Config(plan_.domains.size()), /*is_forced=*/true);
  Expect(reloaded.ok(), "the full configuration is back");
  const bool ended =
      Expect(Drive([&] { return ClientsDone(); }, absl::Hours(1) + Slack()), "clients are done") &&
      Expect(Drive([&] { return serving() && IsEmptied(); }, kDrainMax), "the spool is empty") &&
      // Once more: it may have crashed meanwhile, and have work again.
      Expect(Drive([&] { return serving() && IsEmptied() && daemon_->quiet(); }, kDrainMax),
             "the daemon is quiet");
  crash_events_ = world_.events();
  if (ended) {
    Expect(Drive([&] { return PrimariesIdle(); }, kQuietMax), "no connection is left at a primary");
    CheckRestart();
  }
  const SpoolStats stats = daemon_->stats();
  NoteUnaccounted();
  if (ended) {
    ledger_.CheckEnd({stats.recipients_live, stats.recipients_dsn_pending,
                      stats.recipients_quarantined,
                      AccountsAreExact() ? std::optional(daemon_->account()) : std::nullopt});
  }
  if (!failures().empty()) {
    state_ = DescribeState();
  }
}

// An orderly stop, a start that finds nothing to deliver, one more message, which is taken and
// delivered.
void Story::CheckRestart() {
  world_.StopFaults();  // a crash point that was not reached
  const SpoolStats before = daemon_->stats();
  if (!Expect(daemon_->Stop(absl::Minutes(2) + Slack()), "an orderly stop")) {
    return;
  }
  restart_at_ = world_.Now();
  const size_t deliveries = ledger_.deliveries();
  if (!Expect(Drive([&] { return daemon_->serving(); }, absl::Minutes(2) + Slack()),
              "the daemon serves again")) {
    return;
  }
  Drive([] { return false; }, absl::Minutes(2));
  const SpoolStats after = daemon_->stats();
  // A damaged settle is found by the next start only, and costs a delivery.
  const bool has_changed =
      after.recipients_live != 0 ||
      (damages_ == 0 && (ledger_.deliveries() != deliveries ||
                         after.recipients_dsn_pending != before.recipients_dsn_pending));
  // The mail of files that could not be read comes back when they can be.
  if (has_changed && before.segments_unreadable == 0) {
    ledger_.Violation(fmt::format(
        "a restart changed the queue: live 0 -> {}, dsn pending {} -> {}, {} deliveries",
        after.recipients_live, before.recipients_dsn_pending, after.recipients_dsn_pending,
        ledger_.deliveries() - deliveries));
  }
  CheckHealth();
}

// Whatever went wrong before: a message that comes now is taken and delivered. A disk that is slow
// by plan stays slow without faults: while a sync takes longer than the daemon lets mail wait, it
// says 452 or 421, as it promises, and the sender comes again.
void Story::CheckHealth() {
  SimClient::Setup setup;
  setup.server = Address("10.0.0.1:25");
  setup.messages = 0;
  setup.patience = absl::Minutes(10) + Slack();
  setup.manners.pipelined = 0;  // it looks at the reply to MAIL
  clients_.push_back(
      std::make_unique<SimClient>(world_, client_host_, setup, random_.Split(), ledger_));
  const SimClient& client = *clients_.back();
  const int tries_max = Slack() > Admission::kBusyDelay ? kTriesMax : 1;
  for (int tries = 0; tries < tries_max && client.stored() == 0; ++tries) {
    if (tries > 0) {
      const bool is_busy = client.last_final_code() == 452 || client.last_final_code() == 421;
      Expect(is_busy, "the last message is refused only because the disk is slow");
      Drive([] { return false; }, kTryAgainAfter);
    }
    const std::string last = fmt::format("last{}@{}", tries, plan_.domains[0].name);
    clients_.back()->Enqueue({"last@sender.example", {last}, "Subject: last\r\n\r\nbye\r\n"});
    Expect(Drive([&] { return ClientsDone(); }, absl::Hours(1) + Slack()),
           "the last client is done");
  }
  Expect(client.stored() == 1, "the last message is stored");
  Expect(Drive([&] { return daemon_->stats().recipients_live == 0 && daemon_->quiet(); },
               kQuietMax + Slack()),
         "the last message is delivered");
}

std::string Story::DescribeState() {
  const SpoolStats stats = daemon_->stats();
  const ShardCounters counters = daemon_->counters();
  const RouteCounters routes = daemon_->route_counters();
  std::string text = fmt::format(
      "state: {} running={} serving={} quiet={} events={}\n"
      "  spool: live {} (messages {}) pending {} quarantined {} appended {} batches {} segments {} "
      "abandoned {} damaged {} torn {}\n"
      "  shards: accepted {} refused {} stored {} refused messages {}\n"
      "  routes: delivered {} deferred {} failed {} discarded {}\n",
      ledger_.Summary(), daemon_->running(), daemon_->serving(), daemon_->quiet(), world_.events(),
      stats.recipients_live, stats.messages_live, stats.recipients_dsn_pending,
      stats.recipients_quarantined, stats.messages_appended, stats.batches, stats.segments,
      stats.segments_abandoned, stats.damaged_records, stats.torn_tails,
      counters.connections_accepted, counters.connections_refused, counters.messages_stored,
      counters.messages_refused, routes.delivered, routes.deferred, routes.failed,
      routes.discarded);
  for (const std::unique_ptr<SimPrimary>& primary : primaries_) {
    text +=
        fmt::format("  {}: {} connections now, {} in all, {} messages\n", primary->host().name(),
                    primary->connections(), primary->connections_accepted(), primary->messages());
  }
  for (const std::unique_ptr<SimClient>& client : clients_) {
    text += fmt::format("  client: done={} stored {} refused {}\n", client->done(),
                        client->stored(), client->refused());
  }
  return text;
}

}  // namespace backstay
