// io/outbox.h -- what the streams of a thread have to send when the turn ends, and their buffers.
//
// Owns:     buffers that no stream needs now, kSpares at most.
// Outlives: its streams.
// Turn:     Flush() at the end of each.
#pragma once

#include <cstddef>
#include <memory>

#include "core/base/list.h"
#include "core/base/spares.h"
#include "io/io.h"
#include "io/stream_traffic.h"

namespace backstay {

class Outbox {
 public:
  explicit Outbox(Io& io) : io_(io) {}
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  Io& io() { return io_; }
  // Streams send what was queued, in the order in which they got it, in one op each.
  void Flush();
  // Buffers that streams have now.
  size_t lent() const { return lent_; }

 private:
  friend class Stream;
  // As many as are in use at once between two turns of a busy shard, and some.
  static constexpr size_t kSpares = 512;

  std::unique_ptr<StreamTraffic> Borrow(Stream& stream);
  void GiveBack(std::unique_ptr<StreamTraffic> traffic);

  Io& io_;
  List<StreamTraffic> waiting_;
  size_t lent_ = 0;
  Spares<StreamTraffic, kSpares> spares_;
};

}  // namespace backstay
