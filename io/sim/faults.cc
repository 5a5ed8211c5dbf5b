// io/sim/faults.cc -- drawing and printing fault plans.
#include "io/sim/faults.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "core/base/random.h"

namespace backstay {
namespace {

struct Rate {
  std::string_view name;
  uint32_t FaultPlan::*field;
  uint32_t highest;  // per million, when the fault is on at its strongest
  bool is_failure;   // false: an ordinary manner of the kernel
};

constexpr std::array kRates = {
    Rate{"split", &FaultPlan::split, 800'000, false},
    Rate{"short_send", &FaultPlan::short_send, 500'000, false},
    Rate{"receive_no_buffers", &FaultPlan::receive_no_buffers, 200'000, false},
    Rate{"accept_ends_early", &FaultPlan::accept_ends_early, 500'000, false},
    Rate{"late_completions", &FaultPlan::late_completions, 300'000, false},
    Rate{"short_read", &FaultPlan::short_read, 300'000, false},
    Rate{"short_write", &FaultPlan::short_write, 300'000, false},
    Rate{"evict", &FaultPlan::evict, 500'000, false},
    Rate{"slow_sync", &FaultPlan::slow_sync, 100'000, false},
    Rate{"accept_no_descriptors", &FaultPlan::accept_no_descriptors, 200'000, true},
    Rate{"reset", &FaultPlan::reset, 20'000, true},
    Rate{"stall", &FaultPlan::stall, 50'000, true},
    Rate{"connect_fails", &FaultPlan::connect_fails, 300'000, true},
    Rate{"connect_no_descriptors", &FaultPlan::connect_no_descriptors, 100'000, true},
    Rate{"silent_crash", &FaultPlan::silent_crash, 1'000'000, true},
    Rate{"reset_drops_unread", &FaultPlan::reset_drops_unread, 1'000'000, true},
    Rate{"zero_write", &FaultPlan::zero_write, 10'000, true},
    Rate{"read_error", &FaultPlan::read_error, 20'000, true},
    Rate{"write_error", &FaultPlan::write_error, 20'000, true},
    Rate{"write_no_space", &FaultPlan::write_no_space, 50'000, true},
    Rate{"sync_error", &FaultPlan::sync_error, 50'000, true},
    Rate{"open_error", &FaultPlan::open_error, 50'000, true},
    Rate{"read_only", &FaultPlan::read_only, 1'000, true},
    Rate{"failed_sync_keeps", &FaultPlan::failed_sync_keeps, 1'000'000, true},
    Rate{"failed_write_applies", &FaultPlan::failed_write_applies, 1'000'000, true},
    Rate{"wall_step", &FaultPlan::wall_step, 1'000, true},
    Rate{"dns_slow", &FaultPlan::dns_slow, 300'000, false},
    Rate{"dns_fails", &FaultPlan::dns_fails, 500'000, true},
    Rate{"dns_garbled", &FaultPlan::dns_garbled, 300'000, true},
};

// From 1 per million of the highest to all of it, every order of magnitude equally likely.
uint32_t DrawRate(uint32_t highest, Random& random) {
  static constexpr std::array<uint32_t, 4> kDivisors = {1, 4, 20, 200};
  const uint32_t ceiling = highest / kDivisors[static_cast<size_t>(random.Below(4))];
  return static_cast<uint32_t>(random.Between(ceiling / 2, ceiling));
}

absl::Duration DrawDuration(absl::Duration low, absl::Duration high, Random& random) {
  return absl::Nanoseconds(
      static_cast<int64_t>(random.Between(static_cast<uint64_t>(absl::ToInt64Nanoseconds(low)),
                                          static_cast<uint64_t>(absl::ToInt64Nanoseconds(high)))));
}

}  // namespace

FaultPlan FaultPlan::None() {
  return FaultPlan();
}

FaultPlan FaultPlan::Manners() {
  FaultPlan plan;
  for (const Rate& rate : kRates) {
    if (!rate.is_failure) {
      plan.*rate.field = rate.highest / 3;
    }
  }
  plan.socket_buffer_bytes = 16_KiB;
  plan.segment_bytes_max = 1460;
  plan.receive_buffer_bytes = 1024;
  plan.receive_buffers = 16;
  plan.slow_sync_max = absl::Milliseconds(50);
  return plan;
}

FaultPlan FaultPlan::Draw(uint64_t seed) {
  Random random(seed);
  FaultPlan plan;
  // The share of faults that are on at all is drawn too: from almost none to most.
  const uint64_t share_on = random.Between(5, 60);
  for (const Rate& rate : kRates) {
    const bool on = random.Chance(rate.is_failure ? share_on : 60, 100);
    plan.*rate.field = on ? DrawRate(rate.highest, random) : 0;
  }
  plan.latency_max = plan.latency_min + absl::Microseconds(int64_t{1} << random.Between(4, 17));
  plan.socket_buffer_bytes = uint64_t{1} << random.Between(11, 18);
  plan.segment_bytes_max = random.Chance(1, 2) ? 1460 : uint64_t{1} << random.Between(4, 15);
  plan.receive_buffer_bytes = uint64_t{1} << random.Between(6, 14);
  plan.receive_buffers = uint64_t{1} << random.Between(2, 9);
  plan.cancel_loses = static_cast<uint32_t>(random.Below(1'000'001));
  plan.silent_when_down = static_cast<uint32_t>(random.Below(1'000'001));
  plan.crash_keeps = static_cast<uint32_t>(random.Below(1'000'001));
  plan.crash_tears = static_cast<uint32_t>(random.Below(1'000'001));
  plan.stall_max = absl::Milliseconds(int64_t{1} << random.Between(4, 18));
  plan.sync_max = plan.sync_min + absl::Microseconds(int64_t{1} << random.Between(6, 15));
  plan.slow_sync_max = DrawDuration(absl::Milliseconds(5), absl::Seconds(2), random);
  if (random.Chance(1, 10)) {
    plan.slow_sync_max = absl::Minutes(static_cast<int64_t>(random.Between(1, 5)));
  }
  plan.read_only_max = DrawDuration(absl::Milliseconds(10), absl::Minutes(2), random);
  return plan;
}

FaultPlan FaultPlan::WithoutFailures() const {
  FaultPlan plan = *this;
  for (const Rate& rate : kRates) {
    if (rate.is_failure) {
      plan.*rate.field = 0;
    }
  }
  return plan;
}

std::string FaultPlan::ToString() const {
  std::string text = fmt::format(
      "net: latency {}..{} buffer {} segment {} receive {}x{}\ndisk: op {}..{} sync {}..{}"
      " crash keeps {} tears {}\n",
      absl::FormatDuration(latency_min), absl::FormatDuration(latency_max), socket_buffer_bytes,
      segment_bytes_max, receive_buffers, receive_buffer_bytes, absl::FormatDuration(disk_min),
      absl::FormatDuration(disk_max), absl::FormatDuration(sync_min),
      absl::FormatDuration(sync_max), crash_keeps, crash_tears);
  text += fmt::format("per million: cancel_loses {} silent_when_down {}", cancel_loses,
                      silent_when_down);
  for (const Rate& rate : kRates) {
    if (this->*rate.field != 0) {
      text += fmt::format(" {} {}", rate.name, this->*rate.field);
    }
  }
  text += fmt::format("\nup to: stall {} slow_sync {} read_only {} wall_step {}\n",
                      absl::FormatDuration(stall_max), absl::FormatDuration(slow_sync_max),
                      absl::FormatDuration(read_only_max), absl::FormatDuration(wall_step_max));
  return text;
}

}  // namespace backstay
