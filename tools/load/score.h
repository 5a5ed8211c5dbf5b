// tools/load/score.h -- what a run has seen: counts, durations, seconds; as JSON and as lines.
//
// Units: durations from the intended time (latency), from the end of data (commit), and of refusals
//        from when a connection began with the message.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/units.h"
#include "tools/load/draft.h"
#include "tools/load/histogram.h"

namespace backstay {

class Score {
 public:
  struct Second {
    uint64_t acknowledged = 0;
    uint64_t refused = 0;
    uint64_t lost = 0;
  };

  // Forgets what was counted; `now` is the zero of what follows.
  void Begin(Instant now);
  void Finish(Instant now) { end_ = now; }
  void OnDraftEnded(const Draft& draft, const Ending& ending, Instant now);
  void OnSessionEnded(const Ending& ending);
  void OnSessionReady() { ++sessions_; }

  uint64_t acknowledged() const { return acknowledged_; }
  uint64_t lost() const { return lost_; }
  uint64_t errors() const;
  const Histogram& latency() const { return latency_; }
  const Histogram& commit() const { return commit_; }
  double Seconds() const;
  double Rate() const;

  // One object: "messages", "latency", ... `extra` is text of more members, each behind a comma.
  std::string Json(const std::string& extra) const;
  // For humans, several lines.
  std::string Text() const;
  std::string ProgressLine(Instant now, uint64_t behind) const;

 private:
  Second& SecondAt(Instant now);

  Instant begin_;
  Instant end_;
  std::array<int64_t, 2> cpu_begin_{};  // user and system, microseconds
  uint64_t acknowledged_ = 0;
  uint64_t recipients_ = 0;
  uint64_t refused_ = 0;
  uint64_t lost_ = 0;
  uint64_t cut_ = 0;
  uint64_t sessions_ = 0;
  std::map<std::string, uint64_t> refusals_;  // "rcpt 550", "end lost: peer reset"
  std::map<std::string, uint64_t> session_errors_;
  Histogram latency_;  // of acknowledged messages
  Histogram commit_;
  Histogram refusal_;  // from when it was begun
  std::vector<Second> seconds_;
};

}  // namespace backstay
