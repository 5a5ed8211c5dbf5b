// tests/support/sim_daemon.cc -- starts, drives, crashes and stops a simulated daemon.
#include "tests/support/sim_daemon.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/shard/giving_up.h"

namespace backstay {
namespace {

// What only some stories need is opened only for them: the histories of the others are as they
// were.
RecipientFiles RecipientsOf(Io& io, const Snapshot& snapshot) {
  if (std::none_of(snapshot.domains.begin(), snapshot.domains.end(),
                   [](const DomainPlan& domain) { return domain.verifies; })) {
    return {};
  }
  const absl::StatusOr<Fd> root = io.OpenDirectory(snapshot.config.spool.directory, false);
  ASSERT(root.ok());
  const absl::StatusOr<RecipientFiles> files = OpenRecipientFiles(io, *root, SipKey{1, 2});
  ASSERT(files.ok());
  return *files;
}

// Read once, as the engine does: shards that know different things of a primary's outage would not
// agree on who looks for its return.
PrimaryFiles PrimariesOf(Io& io, const Snapshot& snapshot) {
  const absl::StatusOr<Fd> root = io.OpenDirectory(snapshot.config.spool.directory, false);
  ASSERT(root.ok());
  absl::StatusOr<PrimaryFiles> files = OpenPrimaryFiles(io, *root);
  return files.ok() ? *std::move(files) : PrimaryFiles();  // as the engine does
}

}  // namespace

// One shard with its Io, in place of a thread.
class SimDaemon::Runner : public Actor {
 public:
  // `desk` has a thread of its own in a real daemon; here it is looked at in every turn.
  Runner(std::unique_ptr<Io> io, const ShardSetup& setup, const std::unique_ptr<RuleDesk>& desk)
      : io_(std::move(io)), shard_(*io_, setup), desk_(desk) {}

  void Turn() override {
    if (shard_.finished()) {
      io_->Turn(Instant::Max());  // the thread has ended; only the world still asks
    } else {
      shard_.Turn();
      desk_->Poll();
    }
  }
  Io& io() { return *io_; }
  Shard& shard() { return shard_; }
  const Shard& shard() const { return shard_; }

 private:
  std::unique_ptr<Io> io_;
  Shard shard_;
  const std::unique_ptr<RuleDesk>& desk_;
};

SimDaemon::SimDaemon(World& world, Host& host, std::string config_toml)
    : world_(world), host_(host), config_(std::move(config_toml)) {}

SimDaemon::~SimDaemon() {
  if (running()) {
    Crash(CrashMode::kAllUnsynced);
  }
}

absl::Status SimDaemon::Start() {
  ASSERT(!running());
  ASSIGN_OR_RETURN(snapshot_, ParseSnapshot(config_, "sim.toml"));
  const Config& config = snapshot_->config;
  directory_io_ = world_.MakeIo(host_);
  absl::StatusOr<SpoolDirectory> directory =
      SpoolDirectory::Open(*directory_io_, {.path = config.spool.directory,
                                            .shards = std::max<uint16_t>(config.smtp.shards, 1),
                                            .node = config.node_id});
  if (!directory.ok()) {
    Crash(CrashMode::kAllUnsynced);  // the process exits: descriptors and lock go with it
    return directory.status();
  }
  directory_ = std::make_unique<SpoolDirectory>(std::move(directory).value());
  const size_t shards = directory_->shard_directories().size();
  post_ = std::make_unique<PostOffice>(shards);
  shared_ =
      std::make_unique<SharedCounts>(shards, config.smtp.connections_max, world_.random().Next());
  SavedPrimaries saved;
  for (size_t index = 0; index < shards; ++index) {
    std::unique_ptr<Io> io = world_.MakeIo(host_);
    // A simulated Io has descriptors of its own, so each opens its directory again.
    const absl::StatusOr<Fd> shard_directory = io->OpenDirectory(
        fmt::format("{}/shard-{:03}", config.spool.directory, index), /*create=*/false);
    if (!shard_directory.ok()) {
      Crash(CrashMode::kAllUnsynced);
      return shard_directory.status();
    }
    const absl::StatusOr<std::vector<Fd>> listeners = OpenListeners(*io, config.smtp.listen, index);
    if (!listeners.ok()) {
      Crash(CrashMode::kAllUnsynced);
      return listeners.status();
    }
    PrimaryFiles primaries;  // the first shard writes them
    if (index == 0) {
      primaries = PrimariesOf(*io, *snapshot_);
      saved = primaries.saved;
    }
    primaries.saved = saved;
    const ShardSetup setup{.index = index,
                           .spool_directory = *shard_directory,
                           .listeners = *listeners,
                           .intake_shards = post_->shards(),
                           .node = directory_->node(),
                           .post = *post_,
                           .shared = *shared_,
                           .snapshot = *snapshot_,
                           .ticket_keys = TicketKeys(TicketSecret{}, Instant()),
                           .standard_error = Fd(),
                           .recipients = RecipientsOf(*io, *snapshot_),
                           .primaries = primaries};
    runners_.push_back(std::make_unique<Runner>(std::move(io), setup, desk_));
  }
  for (size_t index = 0; index < runners_.size(); ++index) {
    Runner& runner = *runners_[index];
    post_->Register(index, &runner.io());
    world_.Attach(runner.io(), runner);
    runner.shard().Start();
  }
  desk_ = std::make_unique<RuleDesk>(*post_);
  desk_->Start();
  return absl::OkStatus();
}

absl::Status SimDaemon::StartAndServe(absl::Duration at_most) {
  RETURN_IF_ERROR(Start());
  if (world_.RunUntil([this] { return serving() || finished(); }, at_most) && serving()) {
    return absl::OkStatus();
  }
  const absl::Status failure = status();
  return failure.ok() ? absl::DeadlineExceededError("the daemon does not serve in time") : failure;
}

void SimDaemon::Crash(CrashMode mode) {
  world_.Crash(host_, mode);
  TearDown();
}

void SimDaemon::TearDown() {
  runners_.clear();
  desk_.reset();
  post_.reset();
  directory_.reset();
  directory_io_.reset();
  snapshot_.reset();
}

bool SimDaemon::Stop(absl::Duration at_most) {
  ASSERT(running());
  for (size_t shard = 0; shard < runners_.size(); ++shard) {
    post_->Post(post_->engine(), shard, {.kind = ShardMessage::Kind::kStop});
  }
  if (!world_.RunUntil([this] { return finished(); }, at_most)) {
    return false;
  }
  for (const std::unique_ptr<Runner>& runner : runners_) {
    world_.Detach(runner->io());
  }
  runners_.clear();
  directory_->Close(*directory_io_);
  TearDown();
  return true;
}

std::optional<RuleOutcome> SimDaemon::ApplyRule(RuleVerb verb, std::vector<std::string> domains) {
  Rule rule;
  rule.verb = verb;
  rule.domains = std::move(domains);
  return ApplyRule(std::move(rule));
}

std::optional<RuleOutcome> SimDaemon::ApplyRule(Rule rule) {
  const auto polled = [this](bool is_over) {
    desk_->Poll();
    return is_over;
  };
  if (!world_.RunUntil([&] { return polled(desk_->ready()); }, absl::Minutes(1))) {
    return std::nullopt;
  }
  desk_->Begin(std::move(rule), /*counts_only=*/false);
  world_.RunUntil([&] { return polled(desk_->result().has_value()); }, absl::Minutes(1));
  return desk_->result();
}

void SimDaemon::PostToAll(ShardMessage message) {
  std::atomic<uint32_t> taken{0};
  message.taken = &taken;
  for (size_t shard = 0; shard < runners_.size(); ++shard) {
    post_->Post(post_->engine(), shard, message);
  }
  const bool all_taken =
      world_.RunUntil([&] { return taken.load() == runners_.size(); }, absl::Minutes(1));
  ASSERT(all_taken);
}

absl::Status SimDaemon::Reload(std::string config_toml, bool is_forced) {
  ASSERT(running());
  ASSIGN_OR_RETURN(std::unique_ptr<const Snapshot> next, ParseSnapshot(config_toml, "sim.toml"));
  RETURN_IF_ERROR(next->CanReplace(*snapshot_, is_forced));
  if (!is_forced) {
    GivingUp sum;
    PostToAll(
        {.kind = ShardMessage::Kind::kReloadPlanned, .snapshot = next.get(), .giving_up = &sum});
    RETURN_IF_ERROR(Judge(sum, *next));
  }
  PostToAll({.kind = ShardMessage::Kind::kReload, .snapshot = next.get()});
  snapshot_ = std::move(next);
  config_ = std::move(config_toml);
  return absl::OkStatus();
}

bool SimDaemon::serving() const {
  return running() && std::all_of(runners_.begin(), runners_.end(), [](const auto& runner) {
           return runner->shard().serving() && runner->shard().queue_ready();
         });
}

bool SimDaemon::finished() const {
  return std::all_of(runners_.begin(), runners_.end(),
                     [](const auto& runner) { return runner->shard().finished(); });
}

absl::Status SimDaemon::status() const {
  for (const std::unique_ptr<Runner>& runner : runners_) {
    RETURN_IF_ERROR(runner->shard().status());
  }
  return absl::OkStatus();
}

bool SimDaemon::quiet() const {
  return std::all_of(runners_.begin(), runners_.end(),
                     [](const auto& runner) { return runner->shard().quiet(); });
}

Shard& SimDaemon::shard(size_t index) {
  ASSERT(index < runners_.size());
  return runners_[index]->shard();
}

SpoolStats SimDaemon::stats() const {
  SpoolStats sum;
  for (const std::unique_ptr<Runner>& runner : runners_) {
    const SpoolStats stats = runner->shard().spool().Stats();
    sum.messages_live += stats.messages_live;
    sum.recipients_live += stats.recipients_live;
    sum.recipients_dsn_pending += stats.recipients_dsn_pending;
    sum.recipients_quarantined += stats.recipients_quarantined;
    sum.messages_appended += stats.messages_appended;
    sum.batches += stats.batches;
    sum.bytes_written += stats.bytes_written;
    sum.syncs += stats.syncs;
    sum.segments += stats.segments;
    sum.segments_abandoned += stats.segments_abandoned;
    sum.damaged_records += stats.damaged_records;
    sum.torn_tails += stats.torn_tails;
    sum.segments_unreadable += stats.segments_unreadable;
    sum.recipients_unaccounted += stats.recipients_unaccounted;
  }
  return sum;
}

DomainAccount SimDaemon::account() const {
  DomainAccount sum;
  for (const std::unique_ptr<Runner>& runner : runners_) {
    sum += runner->shard().spool().AccountOfAll();
  }
  return sum;
}

ShardCounters SimDaemon::counters() const {
  ShardCounters sum;
  for (const std::unique_ptr<Runner>& runner : runners_) {
    const ShardCounters& counters = runner->shard().counters();
    sum.connections_accepted += counters.connections_accepted;
    sum.connections_refused += counters.connections_refused;
    sum.messages_stored += counters.messages_stored;
    sum.messages_refused += counters.messages_refused;
    sum.handshakes_completed += counters.handshakes_completed;
    sum.handshakes_failed += counters.handshakes_failed;
  }
  return sum;
}

RouteCounters SimDaemon::route_counters() const {
  RouteCounters sum;
  for (const std::unique_ptr<Runner>& runner : runners_) {
    const RouteCounters totals = runner->shard().routes().totals();
    sum.delivered += totals.delivered;
    sum.deferred += totals.deferred;
    sum.failed += totals.failed;
    sum.discarded += totals.discarded;
  }
  return sum;
}

size_t SimDaemon::connections() const {
  size_t count = 0;
  for (const std::unique_ptr<Runner>& runner : runners_) {
    count += runner->shard().routes().reports().connections();
    for (const std::unique_ptr<Route>& route : runner->shard().routes().routes()) {
      count += route->connections();
    }
  }
  return count;
}

}  // namespace backstay
