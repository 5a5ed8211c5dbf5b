// io/outbox.cc -- lends buffers to streams and sends what is in them.
#include "io/outbox.h"

#include <string>
#include <utility>

#include "core/base/check.h"
#include "core/base/units.h"
#include "io/stream.h"

namespace backstay {
namespace {

// A buffer larger than this is not kept for the next stream. Replies and commands never reach it,
// so the steady state does not allocate.
constexpr size_t kRetainedBytesMax = 4_KiB;

void Trim(std::string& buffer) {
  if (buffer.capacity() > kRetainedBytesMax) {
    std::string().swap(buffer);
  }
}

}  // namespace

void Outbox::Flush() {
  while (StreamTraffic* traffic = waiting_.PopFront()) {
    traffic->stream->Flush();
  }
}

std::unique_ptr<StreamTraffic> Outbox::Borrow(Stream& stream) {
  std::unique_ptr<StreamTraffic> traffic = spares_.Take();
  if (traffic == nullptr) {
    traffic = std::make_unique<StreamTraffic>();
  }
  traffic->stream = &stream;
  ++lent_;
  return traffic;
}

void Outbox::GiveBack(std::unique_ptr<StreamTraffic> traffic) {
  ASSERT(traffic->empty());
  ASSERT(traffic->sent == 0);
  --lent_;
  traffic->Unlink();
  traffic->stream = nullptr;
  Trim(traffic->kept);
  Trim(traffic->sending);
  Trim(traffic->queue);
  spares_.GiveBack(std::move(traffic));
}

}  // namespace backstay
