// core/shard/shard.cc -- one thread's world, turn by turn.
#include "core/shard/shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"
#include "core/base/status_macros.h"
#include "core/shard/giving_up.h"
#include "core/smtp/address.h"

namespace backstay {
namespace {

// DESIGN 3.3: after SIGTERM, how long open data may still take.
constexpr absl::Duration kDrainLimit = absl::Seconds(5);
// A full handshake costs a fifth of a millisecond with ECDSA and one with RSA (2048 bits); who is
// already in pays for no more of them than this between two turns.
constexpr size_t kHandshakesPerTurn = 4;
constexpr size_t kStagingBytesMin = 4_MiB;
constexpr size_t kPendingBytesMin = 2_MiB;
// A post that found its ring full is tried again this soon.
constexpr absl::Duration kBacklogRetry = absl::Milliseconds(1);

// The engine waits for all shards.
void Confirm(const ShardMessage& message) {
  message.taken->fetch_add(1);
  message.taken->notify_all();
}

SpoolOptions OptionsOf(const ShardSetup& setup) {
  SpoolOptions options;
  options.node = setup.node;
  options.shard = static_cast<uint16_t>(setup.index);
  options.segment_bytes = setup.snapshot.config.spool.segment_bytes;
  // Every shard looks at the free space of one disk, and needs room for a segment of settles.
  const uint64_t wanted = setup.snapshot.config.spool.reserve_bytes;
  options.reserve_bytes =
      std::max<uint64_t>(wanted, 2 * options.segment_bytes * setup.post.shards());
  if (options.reserve_bytes > wanted && setup.index == 0) {
    LogInfo("spool reserve raised from {} to {} bytes: two segments of {} for each of {} shards",
            wanted, options.reserve_bytes, options.segment_bytes, setup.post.shards());
  }
  // The budgets of memory are the process's: each shard has its share, and never too little to
  // work.
  const size_t shards = setup.post.shards();
  options.shards = shards;
  options.staging_bytes_max = std::max(options.staging_bytes_max / shards, kStagingBytesMin);
  options.pending_bytes_max = std::max(options.pending_bytes_max / shards, kPendingBytesMin);
  return options;
}

}  // namespace

Shard::Shard(Io& io, const ShardSetup& setup)
    : io_(io),
      started_(io.Now()),
      index_(setup.index),
      post_(setup.post),
      snapshot_(&setup.snapshot),
      server_params_(setup.snapshot.server),
      wheel_(io.Now()),
      outbox_(io),
      idle_watch_(InboundParts::Limits(setup.snapshot.config.smtp.idle_timeout,
                                       /*under_stress=*/false)),
      ticket_keys_(setup.ticket_keys),
      spool_(io, setup.spool_directory, OptionsOf(setup), *this),
      event_log_(io, wheel_, setup.standard_error, setup.index, setup.post.shards()),
      intake_shards_(setup.intake_shards),
      door_(io, wheel_, event_log_, setup.listeners,
            setup.snapshot.AdmissionLimitsOf(setup.intake_shards), setup.shared.clients, *this),
      recipients_(io, wheel_, setup.post, setup.index, setup.recipients, *this),
      clients_(io, wheel_, setup.shared.block_lists),
      quotas_(io, wheel_, spool_, setup.shared.domains, setup.index),
      reporter_(io, spool_, snapshot_, setup.post.shards()),
      routes_({io, wheel_, outbox_, handshakes_, spool_, setup.post, event_log_, recipients_,
               reporter_, setup.shared, setup.index},
              setup.primaries, setup.snapshot),
      expiry_(io, wheel_, spool_, routes_, reporter_, event_log_, {setup.post, setup.index}),
      late_watch_(io, wheel_, spool_, routes_, reporter_),
      rule_clerk_(setup.post, setup.index, spool_, routes_, expiry_),
      question_clerk_(setup.post, setup.index, spool_, *this),
      inbound_parts_{io_, wheel_, idle_watch_, spool_, outbox_, server_params_, *this} {}

Shard::~Shard() {
  VisitInbound([this](InboundConnection& connection) {
    idle_watch_.Leave(connection);
    closed_.PushBack(&connection);
  });
  BuryClosed();
}

void Shard::Start() {
  event_log_.UseSnapshot(*snapshot_);
  clients_.UseConfig(snapshot_->config.smtp);
  quotas_.UseSnapshot(*snapshot_);
  recipients_.Start();
  spool_.Recover();
}

// One pass of the shard. Every step is bounded; nothing here waits except io_.Turn().
void Shard::Turn() {
  const Instant wake = NextWake();
  const Instant latest = std::max(wake, io_.Now());
  io_.Turn(wake);  // submit, wait, run completions: machines eat, output queues
  catch_up_.OnWoken(latest, io_.Now());
  BuryClosed();      // connections whose last event was in the turn before
  DrainInbox();      // messages from other shards
  StepHandshakes();  // some of the peers that are between 220 and TLS
  if (!catch_up_.Waits()) {
    wheel_.Advance(io_.Now());       // deadlines, probes, due deferrals
    idle_watch_.Advance(io_.Now());  // clients that have been silent for too long
  }
  routes_.Dispatch();    // start attempts, up to each destination's window
  reporter_.Step();      // the next report to a sender
  spool_.CommitTurn();   // one write and one sync for everything appended meanwhile
  rule_clerk_.Answer();  // orders whose record is on disk
  door_.Step();          // some of those who came: let in, or told why not
  outbox_.Flush();       // one send per stream that has something to say
  spool_.ReclaimStep();  // give dead segments back
  if (draining_) {
    ContinueDrain();
  }
}

Instant Shard::NextWake() const {
  if (routes_.wanting() || !closed_.empty() || !handshakes_.empty() || door_.busy() ||
      catch_up_.going_on()) {
    return io_.Now();
  }
  const Instant next = std::min({wheel_.NextDue(), idle_watch_.NextDue(), spool_.NextDue(),
                                 reporter_.NextDue(), door_.NextDue()});
  return post_.waiting(index_) ? std::min(next, io_.Now() + kBacklogRetry) : next;
}

void Shard::BuryClosed() {
  while (InboundConnection* connection = closed_.PopFront()) {
    delete connection;
  }
}

void Shard::StepHandshakes() {
  if (handshakes_.empty()) {
    return;
  }
  ticket_keys_.AdvanceTo(io_.Now());
  for (size_t count = 0; count < kHandshakesPerTurn && !handshakes_.empty(); ++count) {
    handshakes_.PopFront()->Step();
  }
}

void Shard::DrainInbox() {
  post_.Flush(index_);
  post_.Drain(index_, [this](const ShardMessage& message) { OnShardMessage(message); });
}

void Shard::OnShardMessage(const ShardMessage& message) {
  switch (message.kind) {
    case ShardMessage::Kind::kStop:
      BeginDrain();
      return;
    case ShardMessage::Kind::kReload:
      UseSnapshot(*message.snapshot);
      return Confirm(message);
    case ShardMessage::Kind::kReloadPlanned:
      AddGivenUp(spool_, routes_, queue_ready(), *snapshot_, *message.snapshot, *message.giving_up);
      return Confirm(message);
    case ShardMessage::Kind::kDestinationFailed:
    case ShardMessage::Kind::kDestinationDown:
    case ShardMessage::Kind::kProbeFailed:
    case ShardMessage::Kind::kDestinationUp:
    case ShardMessage::Kind::kPlacesChanged:
    case ShardMessage::Kind::kGoNow:
    case ShardMessage::Kind::kProbeWanted:
    case ShardMessage::Kind::kPrimaries:
    case ShardMessage::Kind::kOutages:
      routes_.OnShardMessage(message);
      return;
    case ShardMessage::Kind::kExpiryAhead:
      expiry_.OnAhead(message);
      return;
    case ShardMessage::Kind::kRecipientAsk:
    case ShardMessage::Kind::kRecipientKnown:
    case ShardMessage::Kind::kRecipientLearned:
      recipients_.OnShardMessage(message);
      return;
    case ShardMessage::Kind::kRule:
      rule_clerk_.Take(*message.order);
      return;
    case ShardMessage::Kind::kAsk:
      question_clerk_.Take(*message.question);
      return;
    case ShardMessage::Kind::kRuleAnswer:
    case ShardMessage::Kind::kBreakerTripped:
    case ShardMessage::Kind::kAnswered:
      break;
  }
  UNREACHABLE();
}

// ---- life ----

void Shard::OnSpoolReady(const absl::Status& status) {
  status_ = status;
  if (draining_) {
    MARK("stopped_while_recovering");
    return;
  }
  if (!status_.ok()) {
    LogError("shard {} cannot serve: {}", index_, std::string(status_.message()));
    BeginDrain();
    return;
  }
  serving_ = true;
  door_.Open();
}

void Shard::OnQueueReady() {
  queue_ready_ = true;
  quotas_.OnQueueReady();
  rule_clerk_.OnQueueReady();
  reporter_.OnQueueReady();
  if (!draining_) {
    expiry_.Start();
    late_watch_.Start();
  }
}

void Shard::UseSnapshot(const Snapshot& snapshot) {
  snapshot_ = &snapshot;
  server_params_ = snapshot.server;
  door_.SetLimits(snapshot.AdmissionLimitsOf(intake_shards_));
  SetPatience();
  routes_.UseSnapshot(snapshot);
  quotas_.UseSnapshot(snapshot);
  clients_.UseConfig(snapshot.config.smtp);
  event_log_.UseSnapshot(snapshot);
}

void Shard::BeginDrain() {
  if (std::exchange(draining_, true)) {
    return;
  }
  door_.Close();
  VisitInbound([](InboundConnection& connection) { connection.ShutDown(/*now_too=*/false); });
  expiry_.Stop();
  late_watch_.Stop();
  reporter_.Stop();
  question_clerk_.Stop();
  clients_.Stop();
  routes_.Stop(/*now_too=*/false);
  wheel_.Insert(&drain_limit_, io_.Now() + kDrainLimit);
}

void Shard::OnDrainLimit() {
  VisitInbound([](InboundConnection& connection) { connection.ShutDown(/*now_too=*/true); });
  routes_.Stop(/*now_too=*/true);
  // A client that reads nothing must not keep us: what is left after the goodbye is cut.
  if (drain_limit_passed_) {
    VisitInbound([](InboundConnection& connection) { connection.CutOff(); });
    return;
  }
  drain_limit_passed_ = true;
  wheel_.Insert(&drain_limit_, io_.Now() + absl::Seconds(1));
}

void Shard::ContinueDrain() {
  const bool transacting = transactions_free_.size() != transactions_.size();
  if (!door_.closed() || transacting || !idle_watch_.empty() || !closed_.empty() ||
      !routes_.idle() || !expiry_.idle() || !reporter_.idle() || !question_clerk_.idle() ||
      !clients_.idle()) {
    return;
  }
  event_log_.Stop();
  recipients_.Stop();
  if (!std::exchange(spool_closed_, true)) {
    wheel_.Cancel(&drain_limit_);
    spool_.Close();
  }
}

bool Shard::finished() const {
  return draining_ && spool_closed_ && spool_.idle() && event_log_.idle() && recipients_.idle();
}

bool Shard::quiet() const {
  return idle_watch_.empty() && !door_.busy() &&
         transactions_free_.size() == transactions_.size() && routes_.idle();
}

// ---- intake ----

bool Shard::IsProxy(const SocketAddress& peer) const {
  return Contains(snapshot_->config.smtp.proxy_protocol_from, peer);
}

void Shard::OnArrival(const Arrival& arrival) {
  auto* connection = new InboundConnection(inbound_parts_);  // see OnInboundClosed
  connection->Start(arrival);
}

// Sessions look at their parameters for each command.
void Shard::SetPatience() {
  server_params_.under_stress = door_.under_stress();
  inbound_parts_.SetPatience(snapshot_->config.smtp.idle_timeout, door_.under_stress());
}

void Shard::OnStress(const Stress& stress) {
  SetPatience();
  if (stress.on()) {
    LogWarning("shard {}: under stress, {}: clients have less time and one error until it is over",
               index_, stress.reason());
  } else {
    LogInfo("shard {}: under stress no more, after {}", index_,
            absl::FormatDuration(absl::Trunc(io_.Now() - stress.began_at(), absl::Seconds(1))));
  }
}

void Shard::VisitInbound(absl::FunctionRef<void(InboundConnection&)> visit) {
  for (Watched* watched : idle_watch_.All()) {
    visit(static_cast<InboundConnection&>(*watched));  // nobody else is watched
  }
}

void Shard::OnInboundClosed(InboundConnection& connection) {
  closed_.PushBack(&connection);
}

void Shard::OnWelcome(bool admitted) {
  (admitted ? counters_.connections_accepted : counters_.connections_refused) += 1;
}

Intake::Rights Shard::RightsOf(const SocketAddress& client) const {
  const SmtpConfig& smtp = snapshot_->config.smtp;
  return {.etrn = Contains(smtp.etrn_from, client), .xclient = Contains(smtp.xclient_from, client)};
}

// ETRN. What came is known of all shards, what has gone out of others for up to a second is not.
Reply Shard::StartQueue(std::string_view domain, bool subdomains) {
  const std::string name = DomainOf(fmt::format("@{}", domain));
  const std::string suffix = "." + name;
  bool is_ours = false;
  bool is_started = false;
  std::optional<uint64_t> waiting = 0;
  for (const DomainPlan& plan : snapshot_->domains) {
    if (plan.name != name && !(subdomains && plan.name.ends_with(suffix))) {
      continue;
    }
    is_ours = true;
    is_started |= routes_.GoNow(snapshot_->destinations[plan.destination].key);
    const std::optional<uint64_t> here = quotas_.Waiting(plan);
    waiting =
        waiting.has_value() && here.has_value() ? std::optional(*waiting + *here) : std::nullopt;
  }
  if (!is_ours) {
    return replies::kNodeNotAllowed;
  }
  if (!is_started) {
    return replies::kCannotQueue;
  }
  if (!waiting.has_value()) {
    return replies::kQueuingStarted;
  }
  if (waiting == 0) {
    return replies::kNothingQueued;
  }
  queue_answer_ = fmt::format("{} pending messages for {} started", *waiting, name);
  return {253, "2.0.0", queue_answer_};
}

Transaction& Shard::TakeTransaction() {
  if (transactions_free_.empty()) {
    TransactionHome& home = *this;
    transactions_.push_back(std::make_unique<Transaction>(io_, spool_, home));
    transactions_free_.reserve(transactions_.size());
    return *transactions_.back();
  }
  Transaction* transaction = transactions_free_.back();
  transactions_free_.pop_back();
  return *transaction;
}

void Shard::OnTransactionFree(Transaction& transaction) {
  transactions_free_.push_back(&transaction);
}

const RelayPolicy& Shard::Relay() const {
  return snapshot_->relay;
}

Reply Shard::MayReceive() const {
  if (draining_) {
    return replies::kShuttingDown;
  }
  switch (spool_.IntakeState()) {
    case CommitResult::kStored:
      return Admission::MayBegin(spool_.CommitDelay());
    case CommitResult::kNoSpace:
      return replies::kNoSpace;
    case CommitResult::kFailed:
      return replies::kIntakeClosed;
  }
  UNREACHABLE();
}

Reply Shard::MayQueue(std::string_view domain) {
  const DomainPlan* plan = snapshot_->FindDomain(domain);
  if (plan != nullptr && plan->defers &&
      spool_.StopOf(spool_.Intern(domain)) == DomainStop::kNone &&
      routes_.RouteOf(*plan)->MustTryPrimary(plan->store_after)) {
    return replies::kTryPrimary;
  }
  return plan == nullptr || quotas_.HasRoom(*plan) ? replies::kRcptOk : replies::kDomainFull;
}

void Shard::OnMessageStored(CommitResult result) {
  (result == CommitResult::kStored ? counters_.messages_stored : counters_.messages_refused) += 1;
}

std::unique_ptr<TlsSession> Shard::MakeTlsSession(uint32_t listener) {
  if (snapshot_->tls == nullptr) {
    return nullptr;
  }
  return std::make_unique<TlsSession>(*snapshot_->tls, TlsSession::Server{ticket_keys_, listener});
}

void Shard::OnHandshake(bool completed) {
  (completed ? counters_.handshakes_completed : counters_.handshakes_failed) += 1;
}

Route* Shard::RouteOf(std::string_view domain) const {
  const DomainPlan* plan = snapshot_->FindDomain(domain);
  return plan != nullptr ? routes_.RouteOf(*plan) : nullptr;
}

PrimaryHealth Shard::HealthOf(std::string_view domain) {
  const Route* route = RouteOf(domain);
  if (route == nullptr || spool_.StopOf(spool_.Intern(domain)) != DomainStop::kNone) {
    return PrimaryHealth::kAway;
  }
  return route->health();
}

void Shard::AskPrimary(std::string_view domain, RecipientQuestion& question) {
  if (Route* route = RouteOf(domain); route != nullptr) {
    route->Verify(question);
  } else {
    question.OnPrimarySaid(PrimaryVerdict::kNone);
  }
}

// ---- queue ----

ShardView Shard::View() {
  return {.shard = index_,
          .is_queue_ready = queue_ready_,
          .is_under_stress = door_.under_stress(),
          .started = started_,
          .io = io_,
          .spool = spool_,
          .routes = routes_,
          .rules = rule_clerk_,
          .counters = counters_,
          .snapshot = *snapshot_,
          .recipients = recipients_};
}

void Shard::OnLiveMessage(DomainId domain, MessageRef message) {
  routes_.OnLiveMessage(domain, message);
  quotas_.OnLiveMessage(domain);
}

void Shard::OnRecoveredDeferral(MessageRef message, uint32_t recipient, DomainId domain,
                                Bytes note) {
  routes_.OnRecoveredDeferral(message, recipient, domain, note);
}

}  // namespace backstay
