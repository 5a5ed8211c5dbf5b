// core/control/job.h -- one request being answered: how the admin thread drives it.
//
// Life:  made from a request; Step() once a turn until it returns true; destroyed when is_free().
//        Whoever asked may be gone: what was begun is ended all the same.
// Turn:  Step() never waits.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/control/domain_report.h"
#include "core/control/request.h"
#include "core/shard/rule_desk.h"

namespace backstay {

class AdminJob {
 public:
  virtual ~AdminJob() = default;
  // Appends whole lines to `out`. True: the last one was among them.
  virtual bool Step(std::string& out) = 0;
  // Nothing of it is with a shard, and no rule of it is under way.
  virtual bool is_free() const = 0;
};

// The main thread's part of a reload.
class ReloadHome {
 public:
  // Those that were asked for in the same way have numbers: the last one that began and the last
  // one that ended, as far as this thread was told, and how that did; empty: it is in force.
  struct Reloads {
    uint64_t begun = 0;
    uint64_t ended = 0;
    std::string refusal;
  };
  Reloads plain;
  Reloads forced;  // also if it gives up mail that waits

  // Asks for one. Those up to the returned number had begun before: they are somebody else's.
  virtual uint64_t Begin(bool is_forced) = 0;

 protected:
  ~ReloadHome() = default;
};

// What was true at an earlier status, so that the next one can tell rates.
struct RateSample {
  Instant at;
  uint64_t taken = 0;
  uint64_t handed_on = 0;
};

// What all jobs share. Outlives them.
struct AdminShared {
  RuleDesk& desk;
  ReloadHome& reload;
  const AdminJob* rule_turn = nullptr;  // whose rules are under way
  std::optional<RateSample> sample;     // nothing: since start
};

// `who` stands in the operator's log.
std::unique_ptr<AdminJob> MakeJob(AdminShared& shared, const AdminRequest& request,
                                  const std::string& who);

}  // namespace backstay
