// tools/load/score.h -- what a run has seen: counts, durations, seconds; as JSON and as lines.
//
// Offered are messages for which a connection or a kept session was asked; those that were under
// way when the clock began are among them. Offered = answered (acknowledged, refused) + lost + cut
// + what is under way; due = offered + unsent. Of the lost, some timed out (the connection, or a
// reply), and some were unanswered when the run was over.
//
// Units: durations from the intended time (latency, refusal, begun) or the end of data (commit).
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
    uint64_t offered = 0;
  };

  // Forgets what was counted; `now` is the zero of what follows. `under_way` messages have begun.
  void Begin(Instant now, uint64_t under_way = 0);
  // Nothing more is sent; answers to what was may move the end once more.
  void Finish(Instant now) { end_ = now; }
  void OnUnsent(uint64_t count) { unsent_ += count; }
  void OnDraftBegun(const Draft& draft);
  void OnDraftEnded(const Draft& draft, const Ending& ending, Instant now);
  void OnSessionEnded(const Ending& ending);
  void OnSessionReady() { ++sessions_; }

  uint64_t offered() const { return offered_; }
  uint64_t acknowledged() const { return acknowledged_; }
  uint64_t refused() const { return refused_; }
  uint64_t lost() const { return lost_; }
  uint64_t timed_out() const { return timed_out_; }
  uint64_t unanswered() const { return unanswered_; }
  uint64_t unsent() const { return unsent_; }
  uint64_t errors() const;
  const Histogram& latency() const { return latency_; }
  const Histogram& commit() const { return commit_; }
  const Histogram& refusal() const { return refusal_; }
  const Histogram& begun() const { return begun_; }
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
  uint64_t offered_ = 0;
  uint64_t acknowledged_ = 0;
  uint64_t recipients_ = 0;
  uint64_t refused_ = 0;
  uint64_t lost_ = 0;
  uint64_t timed_out_ = 0;   // of lost_
  uint64_t unanswered_ = 0;  // of lost_: given up at the end
  uint64_t cut_ = 0;
  uint64_t unsent_ = 0;
  uint64_t sessions_ = 0;
  std::map<std::string, uint64_t> refusals_;  // "rcpt 550", "end lost: peer reset"
  std::map<std::string, uint64_t> session_errors_;
  Histogram latency_;  // of acknowledged messages
  Histogram commit_;
  Histogram refusal_;
  Histogram begun_;  // from due to when a connection was asked: no delay of the server's
  std::vector<Second> seconds_;
};

}  // namespace backstay
