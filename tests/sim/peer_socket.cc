// tests/sim/peer_socket.cc -- re-arming, short sends, and the end of a connection.
#include "tests/sim/peer_socket.h"

#include <utility>

namespace backstay {

void PeerSocket::Start(Fd socket) {
  ASSERT(!started());
  socket_ = socket;
  progressed_at_ = io_.Now();
  finishing_ = false;
  aborting_ = false;
  ended_ = false;
  sending_.clear();
  queue_.clear();
  sent_ = 0;
  io_.Receive(&receive_, socket_);
}

void PeerSocket::Send(std::string_view text) {
  if (finishing_ || aborting_ || !started()) {
    return;
  }
  queue_.append(text);
  Continue();
}

void PeerSocket::Finish() {
  if (started() && !aborting_) {
    finishing_ = true;
    Continue();
  }
}

void PeerSocket::Abort() {
  if (started() && !std::exchange(aborting_, true)) {
    io_.Shutdown(socket_);
  }
}

void PeerSocket::OnReceived(const IoResult& result) {
  const bool orderly_end = result.ok() && result.count() == 0;
  if (result.ok() && result.count() > 0 && !finishing_ && !aborting_) {
    events_.OnPeerBytes(AsText(result.lent()));
  }
  if (receive_.in_flight) {
    return;
  }
  const bool again = !orderly_end && (result.ok() || result.error() == IoError::kNoBuffers);
  if (again && !aborting_) {
    io_.Receive(&receive_, socket_);
    return;
  }
  if (!std::exchange(ended_, true) && !finishing_ && !aborting_) {
    events_.OnPeerEnd(result.error());
  }
  if (!orderly_end) {
    aborting_ = true;  // broken: what is queued cannot go out any more
  }
  Continue();
}

void PeerSocket::OnSent(const IoResult& result) {
  if (!result.ok()) {
    Abort();  // the receive tells the owner
  } else {
    sent_ += result.count();
    progressed_at_ = io_.Now();
  }
  Continue();
}

void PeerSocket::Continue() {
  if (!started() || send_.in_flight) {
    return;
  }
  if (!aborting_) {
    if (sent_ == sending_.size()) {
      sending_.clear();
      sent_ = 0;
      std::swap(sending_, queue_);
    }
    if (sent_ < sending_.size()) {
      io_.Send(&send_, socket_, AsBytes(sending_).subspan(sent_));
      return;
    }
  }
  if (finishing_) {
    finishing_ = false;
    Abort();
  }
  if (aborting_ && !receive_.in_flight) {
    io_.Close(std::exchange(socket_, Fd()));
    events_.OnPeerGone();
  }
}

}  // namespace backstay
