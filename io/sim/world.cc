// io/sim/world.cc -- hosts, turns, driving and crashes.
#include "io/sim/world.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/base/check.h"
#include "io/sim/backend.h"
#include "io/sim/network.h"

namespace backstay {
namespace {

// What one turn costs, so that a loop without waiting is seen to take time.
constexpr absl::Duration kTurnCost = absl::Microseconds(20);

// 2026-01-01 00:00:00 UTC.
constexpr int64_t kWallStartSeconds = 1'767'225'600;

std::pair<uint32_t, uint32_t> PairOf(const Host& from, const Host& to) {
  return std::minmax(from.id(), to.id());
}

}  // namespace

World::World(uint64_t seed) : World(seed, FaultPlan::None()) {}

World::World(uint64_t seed, const FaultPlan& plan)
    : plan_(plan),
      random_(seed),
      scheduler_(random_.Split()),
      network_(std::make_unique<SimNetwork>(*this)),
      started_(scheduler_.Now()) {}

World::~World() {
  ASSERT(backends_.empty());  // the world outlives every Io made from it
}

// ---- the stage ----

Host& World::AddHost(std::string name, const SocketAddress& address) {
  ASSERT(FindHost(address) == nullptr);
  hosts_.push_back(std::make_unique<Host>(*this, static_cast<uint32_t>(hosts_.size()),
                                          std::move(name), address.WithPort(0)));
  return *hosts_.back();
}

std::unique_ptr<Io> World::MakeIo(Host& host) {
  const uint32_t id = next_backend_++;
  auto backend = std::make_unique<Io::Backend>(*this, host, id, random_.Split());
  backends_[id] = backend.get();
  return std::make_unique<Io>(std::move(backend));
}

void World::Attach(Io& io, Actor& actor) {
  Io::Backend& backend = io.backend();
  ASSERT(backend.actor == nullptr);
  backend.actor = &actor;
  WantTurn(backend, Now());
}

void World::Detach(Io& io) {
  io.backend().actor = nullptr;
  io.backend().turn_due = Instant::Max();
  ++io.backend().turn_serial;
}

void World::Crash(Host& host, CrashMode mode) {
  Trace(TraceKind::kCrash, host.id(), static_cast<uint64_t>(mode));
  for (const auto& [id, backend] : backends_) {
    if (&backend->host() == &host && !backend->dead()) {
      backend->Die(mode);
    }
  }
  host.locks().clear();
  host.disk().Crash(mode, plan_, random_);
  crash_at_event_ = UINT64_MAX;
}

bool World::Reachable(const Host& from, const Host& to) const {
  if (&from == &to) {
    return true;
  }
  return !from.down() && !to.down() && !cut_.contains(PairOf(from, to));
}

void World::SetReachable(Host& from, Host& to, bool reachable) {
  Trace(TraceKind::kReachable, from.id(), to.id(), reachable ? 1 : 0);
  if (reachable) {
    cut_.erase(PairOf(from, to));
  } else {
    cut_[PairOf(from, to)] = true;
  }
  ReachabilityChanged();
}

void World::ReachabilityChanged() {
  network_->Unpark();  // what still cannot pass parks again
}

void Host::SetDown(bool down) {
  down_ = down;
  world_.ReachabilityChanged();
}

Host* World::FindHost(const SocketAddress& address) {
  for (const std::unique_ptr<Host>& host : hosts_) {
    if (host->address() == address.WithPort(0)) {
      return host.get();
    }
  }
  return nullptr;
}

Io::Backend* World::FindBackend(uint32_t id) {
  const auto found = backends_.find(id);
  return found == backends_.end() ? nullptr : found->second;
}

// ---- time ----

WallTime World::WallNow() const {
  return WallTime::FromNanoseconds(kWallStartSeconds * 1'000'000'000) + (Now() - started_) +
         wall_offset_;
}

bool World::Step() {
  if (scheduler_.empty() || crash_due()) {
    return false;
  }
  scheduler_.RunNext();
  return true;
}

void World::RunFor(absl::Duration duration) {
  RunUntil([] { return false; }, duration);
}

bool World::RunUntil(absl::FunctionRef<bool()> done, absl::Duration at_most) {
  const Instant end = Now() + at_most;
  while (!done()) {
    if (crash_due()) {
      return false;
    }
    if (scheduler_.NextDue() > end || scheduler_.empty()) {
      scheduler_.AdvanceTo(end);
      return false;
    }
    scheduler_.RunNext();
  }
  return true;
}

void World::DriveUntilReady(Io::Backend& backend, Instant wake) {
  RunFor(kTurnCost);
  while (!backend.HasWork() && wake > Now() && !crash_due()) {
    if (scheduler_.NextDue() > wake || scheduler_.empty()) {
      ASSERT(wake != Instant::Max());  // nothing will ever happen: this Turn would wait for ever
      scheduler_.AdvanceTo(wake);
      return;
    }
    scheduler_.RunNext();
  }
}

void World::WantTurn(Io::Backend& backend, Instant due) {
  if (backend.actor == nullptr || due == Instant::Max()) {
    return;
  }
  due = std::max(due, backend.busy_until);
  if (backend.turn_due <= due) {
    return;
  }
  backend.turn_due = due;
  scheduler_.At(due,
                [this, id = backend.id(), serial = ++backend.turn_serial] { RunTurn(id, serial); });
}

void World::RunTurn(uint32_t backend_id, uint64_t serial) {
  Io::Backend* backend = FindBackend(backend_id);
  if (backend == nullptr || backend->actor == nullptr || backend->turn_serial != serial) {
    return;
  }
  if (Draw(plan_.wall_step)) {
    StepWallClock(DrawDuration(absl::ZeroDuration(), 2 * plan_.wall_step_max) -
                  plan_.wall_step_max);
    Trace(TraceKind::kWallStep, backend_id);
  }
  backend->turn_due = Instant::Max();
  backend->busy_until = Now() + kTurnCost;
  const uint64_t turns = backend->turns;
  backend->actor->Turn();
  backend = FindBackend(backend_id);
  ASSERT(backend == nullptr || backend->turns == turns + 1);  // exactly one Io::Turn in each
}

absl::Duration World::DrawDuration(absl::Duration low, absl::Duration high) {
  const uint64_t from = static_cast<uint64_t>(absl::ToInt64Nanoseconds(low));
  const uint64_t to = static_cast<uint64_t>(absl::ToInt64Nanoseconds(high));
  return absl::Nanoseconds(static_cast<int64_t>(random_.Between(from, std::max(from, to))));
}

// ---- faults ----

void World::StopFaults() {
  plan_ = plan_.WithoutFailures();
  fail_at_operation_ = 0;
  shorten_operation_ = 0;
  fail_question_ = 0;
  crash_at_event_ = UINT64_MAX;
  for (const std::unique_ptr<Host>& host : hosts_) {
    host->disk().SetReadOnly(false);
  }
}

void World::FailDiskOperation(uint64_t n, IoError error, bool from_then_on,
                              std::optional<IoVerb> only) {
  ASSERT(n > 0);
  fail_at_operation_ = disk_operations_ + n;
  fail_error_ = error;
  fail_from_then_on_ = from_then_on;
  fail_only_ = only;
}

std::optional<IoError> World::CountDiskOperation(uint32_t who, IoVerb verb) {
  ++disk_operations_;
  if (fail_at_operation_ == 0 || disk_operations_ < fail_at_operation_ ||
      (disk_operations_ > fail_at_operation_ && !fail_from_then_on_) ||
      (fail_only_.has_value() && *fail_only_ != verb)) {
    return std::nullopt;
  }
  Trace(TraceKind::kDiskFault, who, disk_operations_,
        kTraceError | static_cast<uint64_t>(fail_error_));
  ++faults_[static_cast<size_t>(verb)];
  return fail_error_;
}

void World::ShortenDiskOperation(uint64_t n, size_t count_max, bool from_then_on) {
  ASSERT(n > 0);
  shorten_operation_ = disk_operations_ + n;
  shorten_to_ = count_max;
  shorten_from_then_on_ = from_then_on;
}

std::optional<size_t> World::ShortenedTo(IoVerb verb) {
  const bool is_transfer = verb == IoVerb::kRead || verb == IoVerb::kWrite;
  const bool is_reached = shorten_operation_ != 0 && disk_operations_ >= shorten_operation_;
  const bool is_meant = disk_operations_ == shorten_operation_ || shorten_from_then_on_;
  if (!is_transfer || !is_reached || !is_meant) {
    return std::nullopt;
  }
  ++faults_[static_cast<size_t>(verb)];
  return shorten_to_;
}

uint64_t World::faults_injected() const {
  return std::accumulate(faults_.begin(), faults_.end(), uint64_t{0});
}

void World::FailQuestion(uint64_t n, bool from_then_on) {
  ASSERT(n > 0);
  fail_question_ = questions_ + n;
  fail_questions_on_ = from_then_on;
}

absl::Status World::CountQuestion() {
  ++questions_;
  const bool is_reached = fail_question_ != 0 && questions_ >= fail_question_;
  if (!is_reached || (questions_ > fail_question_ && !fail_questions_on_)) {
    return absl::OkStatus();
  }
  return absl::InternalError("the device failed");
}

void World::CrashAfterEvent(uint64_t k) {
  ASSERT(k > 0);
  crash_at_event_ = scheduler_.events() + k;
}

void World::MakeReadOnly(Host& host) {
  host.disk().SetReadOnly(true);
  scheduler_.After(DrawDuration(absl::ZeroDuration(), plan_.read_only_max),
                   [disk = &host.disk()] { disk->SetReadOnly(false); });
}

void World::Trace(TraceKind kind, uint32_t who, uint64_t a, uint64_t b) {
  trace_.Add(Now(), kind, who, a, b);
}

}  // namespace backstay
