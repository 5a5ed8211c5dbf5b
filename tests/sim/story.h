// tests/sim/story.h -- one run: a world, a daemon, primaries, clients; first safety, then liveness.
//
// Safety:   faults on, outages, crashes and restarts as planned; clients send.
// Liveness: faults off, primaries up, clients finish; the spool must drain within kDrainMax of
//           virtual time, then everything must be quiet, a stop orderly, and a restart must find
//           nothing queued.
// Owns:     everything of the run. failures() says what went wrong.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "core/base/mark.h"
#include "io/sim/world.h"
#include "tests/sim/client.h"
#include "tests/sim/ledger.h"
#include "tests/sim/plan.h"
#include "tests/sim/primary.h"
#include "tests/support/dns_zone.h"
#include "tests/support/sim_daemon.h"

namespace backstay {

class Story {
 public:
  explicit Story(const StoryPlan& plan);
  ~Story();

  void Run();
  // What the ledger missed, and what did not come to its end. Empty: passed.
  const std::vector<std::string>& failures() const { return ledger_.violations(); }
  // Of the daemon and the stage, when it failed.
  const std::string& state() const { return state_; }
  const Ledger& ledger() const { return ledger_; }
  World& world() { return world_; }
  uint64_t damages() const { return damages_; }
  // Events until everything was delivered; crash points behind that are not tried.
  uint64_t crash_events() const { return crash_events_; }

 private:
  using Done = absl::FunctionRef<bool()>;
  void SetStage();
  void OfferFixedMessages();
  void Safety();
  bool IsEmptied();
  void Liveness();
  void CalmDown();
  void CheckRestart();
  void CheckHealth();
  bool Drive(Done done, absl::Duration at_most);
  void Tend();
  void StartDaemon();
  void ArmCrash();
  void CrashDaemon(CrashMode mode);
  void StopDaemon();
  bool AccountsAreExact() const;
  void NoteUnaccounted();
  void Apply(const StageEvent& event);
  void Damage();
  bool ClientsDone() const;
  bool PrimariesIdle() const;
  absl::Duration Slack() const;
  bool DiskFails() const;
  std::string DescribeState();
  bool Expect(bool reached, std::string_view what);

  const StoryPlan plan_;
  World world_;
  Random random_;
  Ledger ledger_;
  DnsZone zone_;
  Host& host_;
  Host& client_host_;
  std::unique_ptr<SimDaemon> daemon_;
  std::vector<std::unique_ptr<SimPrimary>> primaries_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  uint64_t message_numbers_ = 0;
  uint64_t damages_ = 0;
  const uint64_t went_blindly_ = MarkCount("segment gone without a checkpoint");
  uint64_t crash_events_ = 0;
  Instant restart_at_ = Instant::Max();  // of a daemon that does not run
  bool must_start_ = false;              // liveness: a failure to start is a failure of the run
  std::string state_;
};

}  // namespace backstay
