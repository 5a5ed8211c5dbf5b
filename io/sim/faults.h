// io/sim/faults.h -- the fault plan: what goes wrong, and how often; drawn from a seed, printable.
//
// A plan is swarm-tested: most runs have many faults off entirely and a few at very different
// rates.
// Units: rates are events per million chances.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "core/base/units.h"

namespace backstay {

struct FaultPlan {
  // Nothing goes wrong. Latency, completion order and the choice among listeners are still drawn.
  static FaultPlan None();
  // Nothing fails, but everything the kernel may do to a healthy program happens often: splits,
  // short transfers, multishots that end, no free buffers, cancels that lose.
  static FaultPlan Manners();
  // Everything, by swarm.
  static FaultPlan Draw(uint64_t seed);
  // This plan without its failures, for the liveness phase: capacity, latency and manners stay.
  FaultPlan WithoutFailures() const;
  // All of it, a few lines; faults that are off are not listed.
  std::string ToString() const;

  // -- network: sizes and times --
  absl::Duration latency_min = absl::Microseconds(20);
  absl::Duration latency_max = absl::Microseconds(300);
  uint64_t socket_buffer_bytes = 256_KiB;  // sent and not yet received, per direction
  uint64_t segment_bytes_max = 16_KiB;
  uint64_t receive_buffer_bytes = 8_KiB;  // largest lent piece
  uint64_t receive_buffers = 256;         // per Io; when all are lent: kNoBuffers
  // -- network: manners --
  uint32_t split = 0;  // a segment is cut at a drawn byte
  uint32_t short_send = 0;
  uint32_t receive_no_buffers = 0;
  uint32_t accept_ends_early = 0;
  uint32_t late_completions = 0;    // per turn: some that are ready wait for the next one
  uint32_t cancel_loses = 500'000;  // of cancels of file operations
  // -- network: failures --
  uint32_t accept_no_descriptors = 0;
  uint32_t reset = 0;  // per segment
  uint32_t stall = 0;  // per segment: waits up to stall_max
  absl::Duration stall_max = absl::Seconds(1);
  uint32_t connect_fails = 0;  // refused, unreachable or timed out though the peer is there
  uint32_t connect_no_descriptors = 0;
  uint32_t silent_when_down = 500'000;  // an absent host gives no answer instead of kUnreachable
  uint32_t silent_crash = 0;            // per connection of a crashed host: no reset until sent to
  uint32_t reset_drops_unread = 0;      // a reset takes bytes along that had arrived or not left
  // -- names --
  absl::Duration dns_min = absl::Microseconds(200);
  absl::Duration dns_max = absl::Milliseconds(5);
  uint32_t dns_slow = 0;  // per question: up to dns_slow_max
  absl::Duration dns_slow_max = absl::Seconds(5);
  uint32_t dns_fails = 0;    // kRefused, or nobody answers: kTimedOut
  uint32_t dns_garbled = 0;  // bytes of the reply are changed, or it ends early
  // -- disk: times --
  absl::Duration disk_min = absl::Microseconds(10);
  absl::Duration disk_max = absl::Microseconds(200);
  absl::Duration sync_min = absl::Microseconds(80);
  absl::Duration sync_max = absl::Milliseconds(2);
  // -- disk: manners --
  uint32_t short_read = 0;
  uint32_t short_write = 0;
  uint32_t slow_sync = 0;  // takes up to slow_sync_max
  absl::Duration slow_sync_max = absl::Seconds(1);
  // -- disk: failures --
  uint32_t zero_write = 0;  // completes with count 0
  uint32_t read_error = 0;
  uint32_t write_error = 0;
  uint32_t write_no_space = 0;
  uint32_t sync_error = 0;
  uint32_t open_error = 0;  // open, allocate, truncate, unlink, rename
  uint32_t read_only = 0;   // per write: the file system is read-only up to read_only_max
  absl::Duration read_only_max = absl::Seconds(10);
  uint32_t evict = 0;  // per read: clean pages are dropped first
  // -- disk: what failures and crashes leave --
  uint32_t failed_sync_keeps = 0;     // per change: it reached the device although the sync failed
  uint32_t failed_write_applies = 0;  // a failed write changed some of its range
  uint32_t crash_keeps = 500'000;     // CrashMode::kRandom: per un-synced change
  uint32_t crash_tears = 300'000;     // CrashMode::kRandom: sectors of it decide independently
  // -- time --
  uint32_t wall_step = 0;  // per turn: the calendar jumps up to wall_step_max either way
  absl::Duration wall_step_max = absl::Hours(24);
};

}  // namespace backstay
