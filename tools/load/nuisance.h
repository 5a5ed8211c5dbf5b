// tools/load/nuisance.h -- a client that is no good: one byte at a time, or never reading.
//
// Life:     Start(), and it comes again whenever it was thrown out, until Stop() and closed().
// Outlives: nothing of it is asked for; io and wheel outlive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/queue/timer_wheel.h"
#include "io/io.h"

namespace backstay {

class Nuisance {
 public:
  enum class Manner : uint8_t {
    kSlowDrip,  // a byte every kDripInterval, without an end
    kNoRead     // commands as fast as they go, replies never read
  };
  static constexpr absl::Duration kDripInterval = absl::Seconds(1);

  Nuisance(Io& io, TimerWheel& wheel, const SocketAddress& from, const SocketAddress& to,
           Manner manner);
  Nuisance(const Nuisance&) = delete;
  Nuisance& operator=(const Nuisance&) = delete;

  void Start();
  void Stop();
  bool closed() const { return stopping_ && !socket_.valid() && !connect_.in_flight; }
  uint64_t connections() const { return connections_; }
  uint64_t bytes() const { return bytes_; }

 private:
  void OnConnected(const IoResult& result);
  void OnSent(const IoResult& result);
  void OnTimer();
  void Send();
  void GiveUp();

  Io& io_;
  TimerWheel& wheel_;
  const SocketAddress from_;
  const SocketAddress to_;
  const Manner manner_;
  Fd socket_;
  size_t sent_ = 0;  // of its text, which then begins again
  uint64_t connections_ = 0;
  uint64_t bytes_ = 0;
  bool stopping_ = false;
  Alarm<&Nuisance::OnTimer> next_{this};
  Completion<&Nuisance::OnConnected> connect_{this};
  Completion<&Nuisance::OnSent> send_{this};
};

}  // namespace backstay
