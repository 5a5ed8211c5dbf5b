// io/stream_traffic.h -- what a stream has on its hands: bytes to send, bytes that its owner left.
//
// Borrowed from the Outbox while there is something of either and given back with nothing in it, so
// that a connection without traffic owns no buffer.
#pragma once

#include <cstddef>
#include <string>

#include "core/base/list.h"
#include "io/op.h"

namespace backstay {

class Stream;

// Linked: it has to be flushed.
struct StreamTraffic : public ListNode {
  bool empty() const { return !send.in_flight && kept.empty() && sending.empty() && queue.empty(); }
  void OnSent(const IoResult& result);

  Stream* stream = nullptr;
  std::string kept;     // of one lent piece, not yet taken; empty unless the stream is paused
  std::string sending;  // in the kernel from `sent` on
  size_t sent = 0;      // sent <= sending.size()
  std::string queue;    // behind `sending`
  Completion<&StreamTraffic::OnSent> send{this};
};

}  // namespace backstay
