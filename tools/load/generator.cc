// tools/load/generator.cc -- who sends what when.
#include "tools/load/generator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace backstay {
namespace {

constexpr size_t kHandshakesPerTurn = 16;
// For a closed loop; whoever was thrown out would only be thrown out again.
constexpr absl::Duration kRestAfterFailure = absl::Milliseconds(100);
// Signals and the end of a phase are looked for so often.
constexpr absl::Duration kTurnMax = absl::Milliseconds(50);
constexpr absl::Duration kClosingMax = absl::Seconds(5);

SenderPlan Staying(SenderPlan plan) {
  plan.purpose = SenderPlan::Purpose::kStay;
  return plan;
}

size_t ConnectingMax(const LoadPlan& plan) {
  if (plan.connecting_max > 0) {
    return plan.connecting_max;
  }
  return plan.rate > 0 ? std::numeric_limits<size_t>::max() : Generator::kOpeningMax;
}

}  // namespace

Generator::Generator(Io& io, LoadPlan plan)
    : io_(io),
      plan_(std::move(plan)),
      staying_(Staying(plan_.sender)),
      maker_(plan_.messages),
      wheel_(io.Now()),
      random_(plan_.messages.seed),
      outbox_(io) {}

Generator::~Generator() = default;

absl::Status Generator::Check(const LoadPlan& plan) {
  const bool sends = plan.sender.purpose == SenderPlan::Purpose::kSend;
  if (plan.connections + plan.idle + plan.slow_drips + plan.unread == 0) {
    return absl::InvalidArgumentError("--connections: none, and nobody beside them");
  }
  if (plan.connections == 0 && plan.rate > 0) {
    return absl::InvalidArgumentError("--rate: there is no connection that could send");
  }
  if (!sends && plan.rate > 0) {
    return absl::InvalidArgumentError("--rate: messages become due, --greet-only sends none");
  }
  const bool ends = plan.messages_max > 0 && sends && plan.connections > 0;
  if (!ends && plan.duration == absl::InfiniteDuration()) {
    return absl::InvalidArgumentError("--messages or --duration: without one it would never end");
  }
  return absl::OkStatus();
}

absl::Status Generator::Start() {
  RETURN_IF_ERROR(Check(plan_));
  if (plan_.sender.tls) {
    ASSIGN_OR_RETURN(tls_, TlsContext::MakeClient({}));
  }
  RETURN_IF_ERROR(ledger_.Open(plan_.ledger));
  MakeClients();
  io_.Turn(io_.Now());
  score_.Begin(io_.Now());
  phase_end_ = io_.Now() + plan_.warm_up;
  next_arrival_ = io_.Now();
  last_serving_ = io_.Now();
  for (const std::unique_ptr<Nuisance>& nuisance : nuisances_) {
    nuisance->Start();
  }
  return absl::OkStatus();
}

SocketAddress Generator::SourceOf(size_t index) const {
  if (plan_.sources == 0) {
    return SocketAddress();
  }
  const auto number = static_cast<uint32_t>(index % plan_.sources) + 0x7f010001;
  return SocketAddress::V4({static_cast<uint8_t>(number >> 24), static_cast<uint8_t>(number >> 16),
                            static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)},
                           0);
}

void Generator::MakeClients() {
  Sender::World world{io_,    wheel_,       outbox_,  handshakes_,
                      maker_, plan_.sender, scratch_, static_cast<SenderHome&>(*this)};
  Sender::World staying{io_,    wheel_,   outbox_,  handshakes_,
                        maker_, staying_, scratch_, static_cast<SenderHome&>(*this)};
  size_t index = 0;
  for (size_t count = 0; count < plan_.idle + plan_.connections; ++count) {
    senders_.push_back(
        std::make_unique<Sender>(count < plan_.idle ? staying : world, SourceOf(index++)));
    (count < plan_.idle ? absent_ : cold_).PushBack(senders_.back().get());
  }
  for (size_t count = 0; count < plan_.slow_drips + plan_.unread; ++count) {
    nuisances_.push_back(std::make_unique<Nuisance>(
        io_, wheel_, SourceOf(index++), plan_.sender.server,
        count < plan_.slow_drips ? Nuisance::Manner::kSlowDrip : Nuisance::Manner::kNoRead));
  }
}

// ---- the turn ----

void Generator::Turn() {
  AdvancePhase();
  TakeArrivals();
  AssignArrivals();
  StartCold();
  for (size_t steps = 0; steps < kHandshakesPerTurn && !handshakes_.empty(); ++steps) {
    handshakes_.PopFront()->Step();
  }
  wheel_.Advance(io_.Now());
  outbox_.Flush();
  io_.Turn(NextWake());
}

Instant Generator::NextWake() const {
  if (!handshakes_.empty()) {
    return io_.Now();
  }
  Instant wake = std::min({wheel_.NextDue(), phase_end_, io_.Now() + kTurnMax});
  if (open_loop() && issuing()) {
    wake = std::min(wake, next_arrival_);
  }
  return resting_.empty() ? wake : std::min(wake, resting_.front().until);
}

void Generator::AdvancePhase() {
  const Instant now = io_.Now();
  if (issuing() && hopeless()) {
    GiveUp();
  }
  switch (phase_) {
    case Phase::kWarmUp:
      if (now >= phase_end_) {
        phase_ = Phase::kRunning;
        phase_end_ = now + plan_.duration;
        score_.Begin(now, outstanding_);
        counted_from_ = next_number_ - outstanding_;
      }
      return;
    case Phase::kRunning:
      if (now >= phase_end_ || (exhausted() && outstanding_ == 0 && arrivals_.empty())) {
        Stop();
      }
      return;
    case Phase::kAwaiting:
      if (outstanding_ == 0 || now >= phase_end_) {
        CloseAll();
      }
      return;
    case Phase::kClosing:
      if (AllClosed()) {
        phase_ = Phase::kDone;
      } else if (now >= phase_end_) {
        phase_end_ = now + kClosingMax;
        for (const std::unique_ptr<Sender>& sender : senders_) {
          sender->Stop();  // whoever said QUIT and got no answer
        }
      }
      return;
    case Phase::kDone:
      return;
  }
}

void Generator::Stop() {
  if (!issuing()) {
    return;
  }
  phase_ = Phase::kAwaiting;
  phase_end_ = io_.Now() + plan_.sender.reply_timeout;
  score_.OnUnsent(arrivals_.size());
  arrivals_.clear();
  score_.Finish(io_.Now());  // a server that died early has no better rate for it
  ledger_.Flush();
}

void Generator::CloseAll() {
  phase_ = Phase::kClosing;
  phase_end_ = io_.Now() + kClosingMax;
  for (const std::unique_ptr<Sender>& sender : senders_) {
    sender->Stop();
  }
  for (const std::unique_ptr<Nuisance>& nuisance : nuisances_) {
    nuisance->Stop();
  }
  ledger_.Flush();
}

bool Generator::AllClosed() const {
  return std::all_of(senders_.begin(), senders_.end(),
                     [](const auto& sender) { return sender->closed(); }) &&
         std::all_of(nuisances_.begin(), nuisances_.end(),
                     [](const auto& nuisance) { return nuisance->closed(); });
}

// ---- messages ----

bool Generator::exhausted() const {
  return plan_.messages_max != 0 && phase_ != Phase::kWarmUp &&
         next_number_ + arrivals_.size() >= counted_from_ + plan_.messages_max;
}

Draft Generator::MakeDraft(Instant intended) {
  Draft draft;
  draft.number = next_number_++;
  draft.intended = intended;
  draft.started = io_.Now();
  draft.cut = plan_.cut_percent > 0 && random_.Chance(plan_.cut_percent, 100);
  ++outstanding_;
  score_.OnDraftBegun(draft);
  return draft;
}

void Generator::TakeArrivals() {
  if (!open_loop()) {
    return;
  }
  while (issuing() && next_arrival_ <= io_.Now() && !exhausted()) {
    arrivals_.push_back(next_arrival_);
    const double even = 1 / plan_.rate;
    const double unit = static_cast<double>(random_.Below(1 << 30) + 1) / (1 << 30);
    next_arrival_ = next_arrival_ + absl::Seconds(plan_.poisson ? -std::log(unit) * even : even);
  }
}

// To connections that are open and free, then to ones that are closed.
void Generator::AssignArrivals() {
  while (!arrivals_.empty()) {
    Sender* sender = idle_.PopFront();
    if (sender == nullptr) {
      return;
    }
    sender->Give(MakeDraft(arrivals_.front()));
    arrivals_.pop_front();
  }
}

void Generator::StartCold() {
  while (!resting_.empty() && resting_.front().until <= io_.Now()) {
    Sender* sender = resting_.front().sender;
    (sender->stays() ? absent_ : cold_).PushBack(sender);
    resting_.pop_front();
  }
  const size_t most = ConnectingMax(plan_);
  while (issuing() && connecting_ < most && staying_connecting_ < kOpeningMax && !absent_.empty()) {
    ++connecting_;
    ++staying_connecting_;
    absent_.PopFront()->Start(std::nullopt);
  }
  while (issuing() && connecting_ < most && !cold_.empty()) {
    if (open_loop() ? arrivals_.empty() : exhausted()) {
      return;
    }
    std::optional<Draft> first;
    if (open_loop()) {
      first = MakeDraft(arrivals_.front());
      arrivals_.pop_front();
    }
    ++connecting_;
    cold_.PopFront()->Start(first);
  }
}

SenderHome::Supply Generator::NextDraft(Sender&, Draft& draft) {
  if (!issuing()) {
    return Supply::kDone;
  }
  if (open_loop()) {
    if (arrivals_.empty()) {
      return Supply::kNothing;
    }
    draft = MakeDraft(arrivals_.front());
    arrivals_.pop_front();
    return Supply::kDraft;
  }
  if (exhausted()) {
    return Supply::kDone;
  }
  draft = MakeDraft(io_.Now());
  return Supply::kDraft;
}

void Generator::OnDraftEnded(const Draft& draft, const Ending& ending) {
  ASSERT(outstanding_ > 0);
  --outstanding_;
  score_.OnDraftEnded(draft, ending, io_.Now());
  if (ending.kind == Ending::Kind::kAcknowledged || ending.kind == Ending::Kind::kRefused) {
    OnHeard();
  }
  if (ending.kind != Ending::Kind::kAcknowledged || plan_.ledger.empty()) {
    return;
  }
  for (uint32_t index = 0; index < maker_.recipients(); ++index) {
    if (std::find(draft.refused.begin(), draft.refused.end(), index) == draft.refused.end()) {
      ledger_.Add(maker_.IdOf(draft.number), maker_.Recipient(draft.number, index));
    }
  }
}

// ---- connections ----

void Generator::OnSenderIdle(Sender& sender) {
  idle_.PushBack(&sender);
}

void Generator::LeaveConnecting(const Sender& sender) {
  --connecting_;
  staying_connecting_ -= sender.stays() ? 1 : 0;
}

void Generator::OnHeard() {
  last_heard_ = io_.Now();
  server_gone_ = false;
}

// Who waited in vain has met silence for that long already: under overload others are answered
// meanwhile, and the server is there.
void Generator::OnLost(const Ending& ending) {
  const bool waited = ending.error == IoError::kTimedOut;
  const absl::Duration silent = waited ? plan_.sender.reply_timeout : absl::ZeroDuration();
  if ((waited || phase_ != Phase::kClosing) && io_.Now() - last_heard_ >= silent) {
    server_gone_ = true;
  }
}

// With a rate messages fail with their connections, and with a duration it ends all the same.
bool Generator::hopeless() const {
  return !open_loop() && plan_.duration == absl::InfiniteDuration() && serving_ == 0 &&
         failed_in_a_row_ >= plan_.connections && io_.Now() - last_serving_ >= kHopelessAfter;
}

void Generator::GiveUp() {
  given_up_ = absl::UnavailableError(fmt::format(
      "gave up: no session has got past its greeting for {}, and {} in a row failed; the last: {}",
      absl::FormatDuration(kHopelessAfter), failed_in_a_row_, Describe(last_failure_)));
  Stop();
}

void Generator::OnSenderReady(Sender& sender) {
  LeaveConnecting(sender);
  ++ready_;
  serving_ += sender.stays() ? 0 : 1;
  OnHeard();
  score_.OnSessionReady();
}

// What was past its greeting is no failure, however it ended.
void Generator::CountFailures(const Sender& sender, const Ending& ending) {
  if (sender.was_ready()) {
    --serving_;
    failed_in_a_row_ = 0;
    last_serving_ = io_.Now();
  } else {
    ++failed_in_a_row_;
    last_failure_ = ending;
  }
}

void Generator::OnSenderClosed(Sender& sender, const Ending& ending) {
  sender.Unlink();  // it may have been idle
  if (sender.was_ready()) {
    --ready_;
  } else {
    LeaveConnecting(sender);
  }
  if (!sender.stays()) {
    CountFailures(sender, ending);
  }
  score_.OnSessionEnded(ending);
  const bool refused = ending.kind == Ending::Kind::kRefused;
  const bool lost = ending.kind == Ending::Kind::kLost;
  if (refused) {
    OnHeard();
  } else if (lost) {
    OnLost(ending);
  }
  if ((refused || lost) && (sender.stays() || !open_loop())) {
    resting_.push_back({io_.Now() + kRestAfterFailure, &sender});
  } else {
    (sender.stays() ? absent_ : cold_).PushBack(&sender);
  }
}

std::unique_ptr<TlsSession> Generator::MakeTlsSession() {
  return std::make_unique<TlsSession>(*tls_, TlsSession::Client{.host = "load.test"});
}

std::string Generator::Text() const {
  return score_.Text() +
         (server_gone_ ? "the server was lost, and nothing came from it behind that\n" : "");
}

std::string Generator::ExtraJson() const {
  uint64_t connections = 0;
  uint64_t bytes = 0;
  for (const std::unique_ptr<Nuisance>& nuisance : nuisances_) {
    connections += nuisance->connections();
    bytes += nuisance->bytes();
  }
  return fmt::format(
      ",\"server_gone\":{},\"gave_up\":{},\"nuisances\":{{\"connections\":{},\"bytes\":{}}}",
      server_gone_, !given_up_.ok(), connections, bytes);
}

}  // namespace backstay
