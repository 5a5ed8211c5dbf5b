// io/sim/world.h -- the simulated universe: hosts, a network, disks and a clock, all from one seed.
//
// Everything runs in one thread and is drawn from the seed: the same seed and the same program give
// the same trace hash. Ready-made patterns:
//
//   World world(seed, FaultPlan::Draw(seed));
//   Host& host = world.AddHost("mx2", *SocketAddress::Parse("10.0.0.1:0"));
//   std::unique_ptr<Io> io = world.MakeIo(host);
//   world.Attach(*io, actor);                       // actor.Turn() calls io->Turn(wake) exactly
//   once world.RunUntil([&] { return actor.done(); }, absl::Hours(1));
//   world.Crash(host, CrashMode::kRandom);          // then destroy the actor and its Io, make new
//   ones
//
// Owns:     the hosts. Outlives every Io made from it.
// Errors:   misuse of Io (closing with an op in flight, a descriptor that is closed) is an ASSERT.
// Turn:     an attached Io's Turn() never advances time; the world calls Actor::Turn when there are
//           completions, after Wake(), at the wake time, and once more after each turn in which
//           something happened, so that an actor may compute its wake time before its work. An Io
//           that is not attached drives the world from its own Turn().
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/random.h"
#include "core/base/units.h"
#include "io/io.h"
#include "io/sim/faults.h"
#include "io/sim/host.h"
#include "io/sim/scheduler.h"
#include "io/sim/trace.h"
#include "io/sim/verb.h"

namespace backstay {

class SimNetwork;
struct OpToken;

class Actor {
 public:
  virtual ~Actor() = default;
  virtual void Turn() = 0;
};

class World {
 public:
  explicit World(uint64_t seed);  // FaultPlan::None()
  World(uint64_t seed, const FaultPlan& plan);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // ---- the stage ----
  Host& AddHost(std::string name, const SocketAddress& address);
  std::unique_ptr<Io> MakeIo(Host& host);
  void Attach(Io& io, Actor& actor);
  void Detach(Io& io);
  // Every Io of the host dies with the ops in flight on it (their owners may be destroyed at once),
  // its connections break, and the disk keeps what `mode` says. Not from inside a turn.
  void Crash(Host& host, CrashMode mode = CrashMode::kRandom);
  void SetReachable(Host& from, Host& to, bool reachable);  // both directions
  bool Reachable(const Host& from, const Host& to) const;
  // What every resolver of the world replies to a question: whole messages, without their number.
  // Nothing: silence. Without one there is no resolver.
  using Resolver = absl::AnyInvocable<std::optional<std::string>(std::string_view, DnsType)>;
  void SetResolver(Resolver resolver) { resolver_ = std::move(resolver); }

  // ---- time ----
  Instant Now() const { return scheduler_.Now(); }
  WallTime WallNow() const;
  void StepWallClock(absl::Duration step) { wall_offset_ += step; }
  // Runs one event. False: there is none, or the event of CrashAfterEvent has run.
  bool Step();
  void RunFor(absl::Duration duration);
  // True when `done` became true; false when the time was over or crash_due().
  bool RunUntil(absl::FunctionRef<bool()> done, absl::Duration at_most);

  // ---- faults ----
  const FaultPlan& plan() const { return plan_; }
  void SetPlan(const FaultPlan& plan) { plan_ = plan; }
  // For the liveness phase: no more failures, read-only disks writable, crash points and injected
  // disk failures disarmed. Hosts that the harness took down or cut off stay so.
  void StopFaults();
  // The n-th disk operation from now (1: the next) fails: read, write, sync, open, allocate,
  // truncate, unlink, directory sync, counted over all hosts in order of submission.
  // With `only`: those of other verbs do not fail.
  void FailDiskOperation(uint64_t n, IoError error, bool from_then_on,
                         std::optional<IoVerb> only = std::nullopt);
  // The n-th disk operation from now transfers at most `count_max` bytes, if it is a read or write.
  void ShortenDiskOperation(uint64_t n, size_t count_max, bool from_then_on = false);
  uint64_t disk_operations() const { return disk_operations_; }
  // How many of them, of this verb, were failed or shortened by the two above.
  uint64_t faults_injected(IoVerb verb) const { return faults_[static_cast<size_t>(verb)]; }
  uint64_t faults_injected() const;
  // The n-th question about files from now has no answer: List, OpenSubdirectory, FreeSpace,
  // FileBytes.
  void FailQuestion(uint64_t n, bool from_then_on);
  uint64_t questions() const { return questions_; }
  // Driving stops when the k-th event from now has run, until crash_due() is cleared by Crash().
  void CrashAfterEvent(uint64_t k);
  bool crash_due() const { return scheduler_.events() >= crash_at_event_; }
  uint64_t events() const { return scheduler_.events(); }

  // ---- trace ----
  uint64_t trace_hash() const { return trace_.hash(); }
  void SetTrace(std::FILE* file) { trace_.SetFile(file); }

  // ---- for io/sim only ----
  Scheduler& scheduler() { return scheduler_; }
  SimNetwork& network() { return *network_; }
  Random& random() { return random_; }
  bool Draw(uint32_t per_million) { return random_.Chance(per_million, 1'000'000); }
  absl::Duration DrawDuration(absl::Duration low, absl::Duration high);
  void Trace(TraceKind kind, uint32_t who, uint64_t a = 0, uint64_t b = 0);
  std::optional<IoError> CountDiskOperation(uint32_t who, IoVerb verb);
  std::optional<size_t> ShortenedTo(IoVerb verb);  // of the operation counted last
  absl::Status CountQuestion();
  Host* FindHost(const SocketAddress& address);
  Host& host(uint32_t id) { return *hosts_[id]; }
  Io::Backend* FindBackend(uint32_t id);
  void RemoveBackend(uint32_t id) { backends_.erase(id); }
  void WantTurn(Io::Backend& backend, Instant due);
  // Time passes until the Io has something to do or `wake` is reached.
  void DriveUntilReady(Io::Backend& backend, Instant wake);
  uint64_t NextSerial() { return ++serial_; }
  int NextDescriptor() { return ++descriptor_; }
  void ReachabilityChanged();
  void MakeReadOnly(Host& host);  // for a drawn time
  void Ask(const OpToken& token, std::string_view name, DnsType type);

 private:
  void RunTurn(uint32_t backend_id, uint64_t serial);

  FaultPlan plan_;
  Random random_;
  Scheduler scheduler_;
  TraceLog trace_;
  std::unique_ptr<SimNetwork> network_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::map<uint32_t, Io::Backend*> backends_;
  std::map<std::pair<uint32_t, uint32_t>, bool> cut_;  // by host ids, lower first
  const Instant started_;
  absl::Duration wall_offset_;
  uint32_t next_backend_ = 1;
  uint64_t serial_ = 0;
  int descriptor_ = 2;
  uint64_t disk_operations_ = 0;
  uint64_t fail_at_operation_ = 0;  // 0: none
  IoError fail_error_ = IoError::kNone;
  bool fail_from_then_on_ = false;
  std::optional<IoVerb> fail_only_;
  uint64_t shorten_operation_ = 0;  // 0: none
  size_t shorten_to_ = 0;
  bool shorten_from_then_on_ = false;
  std::array<uint64_t, kVerbs> faults_{};
  Resolver resolver_;
  uint64_t questions_ = 0;
  uint64_t fail_question_ = 0;  // 0: none
  bool fail_questions_on_ = false;
  uint64_t crash_at_event_ = UINT64_MAX;
};

}  // namespace backstay
