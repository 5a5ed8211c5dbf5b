// tools/load/nuisance.cc -- connect, send, be thrown out, come back.
#include "tools/load/nuisance.h"

#include <algorithm>
#include <string>

#include "core/base/check.h"

namespace backstay {
namespace {

constexpr absl::Duration kPauseBeforeNext = absl::Seconds(1);
constexpr std::string_view kDripped =
    "EHLO drip.load.test\r\nMAIL FROM:<drip@load.test>\r\nRCPT TO:<r0@example.com>\r\nDATA\r\n"
    "Subject: one byte at a time\r\n\r\n";
constexpr std::string_view kDrippedBody = "and on it goes\r\n";

// Replies to these fill the server's buffers and then its patience.
std::string MakeFlood() {
  std::string text = "EHLO unread.load.test\r\n";
  for (int count = 0; count < 50; ++count) {
    text += "MAIL FROM:<unread@load.test>\r\nRSET\r\n";
  }
  return text;
}

}  // namespace

Nuisance::Nuisance(Io& io, TimerWheel& wheel, const SocketAddress& from, const SocketAddress& to,
                   Manner manner)
    : io_(io), wheel_(wheel), from_(from), to_(to), manner_(manner) {}

void Nuisance::Start() {
  io_.ConnectFrom(&connect_, from_, to_);
}

void Nuisance::OnConnected(const IoResult& result) {
  if (!result.ok()) {
    GiveUp();
    return;
  }
  socket_ = result.fd();
  ++connections_;
  sent_ = 0;
  if (stopping_) {
    GiveUp();
    return;
  }
  Send();
}

void Nuisance::Send() {
  if (manner_ == Manner::kNoRead) {
    static const std::string flood = MakeFlood();
    io_.Send(&send_, socket_, AsBytes(flood).subspan(sent_ % flood.size()));
    return;
  }
  const size_t body = sent_ < kDripped.size() ? 0 : (sent_ - kDripped.size()) % kDrippedBody.size();
  const std::string_view rest =
      sent_ < kDripped.size() ? kDripped.substr(sent_) : kDrippedBody.substr(body);
  io_.Send(&send_, socket_, AsBytes(rest.substr(0, 1)));
}

void Nuisance::OnSent(const IoResult& result) {
  if (!result.ok() || stopping_) {
    GiveUp();
    return;
  }
  sent_ += result.count();
  bytes_ += result.count();
  if (manner_ == Manner::kNoRead) {
    Send();
  } else {
    wheel_.Insert(&next_, io_.Now() + kDripInterval);
  }
}

void Nuisance::OnTimer() {
  if (socket_.valid()) {
    Send();
  } else if (!stopping_) {
    Start();
  }
}

void Nuisance::GiveUp() {
  if (socket_.valid()) {
    io_.Close(socket_);
    socket_ = Fd();
  }
  if (!stopping_) {
    wheel_.Insert(&next_, io_.Now() + kPauseBeforeNext);
  }
}

void Nuisance::Stop() {
  stopping_ = true;
  wheel_.Cancel(&next_);
  if (send_.in_flight) {
    io_.Shutdown(socket_);
    io_.Cancel(&send_);
  } else if (connect_.in_flight) {
    io_.Cancel(&connect_);
  } else {
    GiveUp();
  }
}

}  // namespace backstay
