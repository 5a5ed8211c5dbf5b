// io/stream.cc -- one receive and one send at a time, and an end with nothing in flight.
//
// While the stream is open and not paused, a receive is in flight, and also while the last bytes
// are sent and until the peer has ended too, so that the peer's bytes are read. A socket that is
// closed with unread bytes, or is sent bytes after it was closed, answers with a reset, and a
// reset may destroy our last reply before the peer has read it. So that OnStreamClosed never runs
// inside Close(), closing arms a receive when none is in flight: on a socket that was shut down it
// completes at once.
#include "io/stream.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/check.h"
#include "core/base/mark.h"
#include "core/base/units.h"
#include "io/tls/session.h"

namespace backstay {
namespace {

// Plain text that the owner gets at a time: the largest record (RFC 8446 s5.1), and a piece of
// Io::Receive.
constexpr size_t kPlainBytesMax = 16_KiB;

}  // namespace

struct Stream::Tls {
  std::unique_ptr<TlsSession> session;
  List<PendingHandshake>& turns;
  PendingHandshake pending;
  // Received and not decrypted yet: the handshake waits for its turn, or the owner has paused.
  std::string cipher;
};

void PendingHandshake::Step() {
  stream_.StepHandshake();
}

void StreamTraffic::OnSent(const IoResult& result) {
  stream->OnSent(result);
}

Stream::Stream(Outbox& outbox, StreamEvents& events) : outbox_(outbox), events_(events) {}

// Not necessarily closed (a simulated host may crash), but with no op in flight: ~Op asserts it.
Stream::~Stream() = default;

void Stream::Start(Fd socket) {
  ASSERT(phase_ == Phase::kIdle);
  ASSERT(socket.valid());
  socket_ = socket;
  phase_ = Phase::kOpen;
  paused_ = false;
  peer_ended_ = false;
  send_error_ = IoError::kNone;
  StartReceive();
}

void Stream::Queue(Bytes bytes) {
  if (phase_ != Phase::kOpen || send_error_ != IoError::kNone) {
    return;
  }
  StreamTraffic& traffic = this->traffic();
  if (tls_ != nullptr) {
    tls_->session->Write(bytes, traffic.queue);
  } else {
    traffic.queue.append(AsText(bytes));
  }
  SendLater();
}

size_t Stream::queued_bytes() const {
  return traffic_ == nullptr ? 0
                             : traffic_->sending.size() - traffic_->sent + traffic_->queue.size();
}

StreamTraffic& Stream::traffic() {
  if (traffic_ == nullptr) {
    traffic_ = outbox_.Borrow(*this);
  }
  return *traffic_;
}

// Last in whatever may have emptied it.
void Stream::SettleTraffic() {
  if (traffic_ != nullptr && traffic_->empty()) {
    outbox_.GiveBack(std::move(traffic_));
  }
}

void Stream::StartTls(std::unique_ptr<TlsSession> session, List<PendingHandshake>& turns) {
  ASSERT(phase_ == Phase::kOpen);
  ASSERT(!paused_);
  ASSERT(tls_ == nullptr);
  tls_.reset(new Tls{std::move(session), turns, PendingHandshake(*this), {}});
  turns.PushBack(&tls_->pending);  // a client speaks first
}

bool Stream::handshaking() const {
  return tls_ != nullptr && tls_->session->state() == TlsSession::State::kHandshaking;
}

const TlsSession* Stream::tls() const {
  return tls_ == nullptr ? nullptr : tls_->session.get();
}

void Stream::Flush() {
  if (traffic_ == nullptr) {
    return;
  }
  traffic_->Unlink();
  const bool sending = phase_ == Phase::kOpen || phase_ == Phase::kSendingLast;
  if (sending && send_error_ == IoError::kNone && !traffic_->send.in_flight &&
      !traffic_->queue.empty()) {
    StartSend();
  }
}

// With what else is queued until the turn ends.
void Stream::SendLater() {
  if (traffic_ != nullptr && !traffic_->queue.empty() && !traffic_->linked()) {
    outbox_.waiting_.PushBack(traffic_.get());
  }
}

void Stream::Resume() {
  if (phase_ != Phase::kOpen || !paused_) {
    return;
  }
  // The owner may ask for a close while it is offered the bytes; the rest is then dropped.
  paused_ = false;
  std::string offered;
  offered.swap(traffic_->kept);
  SettleTraffic();
  if (!Offer(AsBytes(offered))) {
    return;
  }
  if (tls_ != nullptr && !handshaking()) {
    const std::string cipher = std::exchange(tls_->cipher, std::string());
    Decrypt(AsBytes(cipher));
    return;
  }
  StartReceive();  // also of what asked for TLS just now
}

void Stream::CloseAfterSend(uint32_t bytes_max) {
  if (phase_ != Phase::kOpen) {
    return;
  }
  if (send_error_ != IoError::kNone || (queued_bytes() == 0 && peer_ended_)) {
    Close();
    return;
  }
  phase_ = Phase::kSendingLast;
  droppable_ = bytes_max;
  if (tls_ != nullptr) {
    tls_->pending.Unlink();
    tls_->session->End(traffic().queue);
  }
  if (traffic_ != nullptr) {
    traffic_->kept.clear();
  }
  Flush();
  SettleTraffic();
  if (!receive_.in_flight && !peer_ended_) {
    StartReceive();
  }
  if (queued_bytes() == 0) {
    Linger();
  }
}

void Stream::Linger() {
  ASSERT(phase_ == Phase::kSendingLast);
  if (peer_ended_) {
    Close();
    return;
  }
  phase_ = Phase::kLingering;
  outbox_.io().ShutdownSend(socket_);
}

void Stream::Close() {
  if (phase_ == Phase::kIdle || phase_ == Phase::kClosing) {
    return;
  }
  phase_ = Phase::kClosing;
  if (tls_ != nullptr) {
    tls_->pending.Unlink();
  }
  if (traffic_ != nullptr) {
    traffic_->Unlink();
    traffic_->kept.clear();
    traffic_->queue.clear();
  }
  outbox_.io().Shutdown(socket_);
  if (traffic_ != nullptr) {
    outbox_.io().Cancel(&traffic_->send);
  }
  if (!receive_.in_flight) {
    StartReceive();
  }
}

void Stream::OnReceived(const IoResult& result) {
  switch (phase_) {
    case Phase::kIdle:
      break;
    case Phase::kOpen:
      OnReceivedOpen(result);
      return;
    case Phase::kSendingLast:
    case Phase::kLingering:
      OnReceivedLeaving(result);
      return;
    case Phase::kClosing:
      ContinueClose();
      return;
  }
  UNREACHABLE();
}

void Stream::OnReceivedOpen(const IoResult& result) {
  if (result.ok() && result.count() > 0) {
    OnPiece(result.lent());
  } else if (result.error() == IoError::kNoBuffers) {
    // Buffers return with the completions of this turn, and the next one submits.
    MARK("stream: no receive buffer");
    StartReceive();
  } else {
    PeerEnded(result.error());
  }
}

void Stream::OnReceivedLeaving(const IoResult& result) {
  const bool ended = result.ok() && result.count() == 0;
  const bool again = result.ok() || result.error() == IoError::kNoBuffers;
  if (!again) {
    Close();  // the peer is gone, nobody reads what is left
    return;
  }
  const auto count = result.ok() ? static_cast<uint32_t>(result.count()) : 0;
  droppable_ -= std::min(droppable_, count);
  if (!ended) {
    if (droppable_ > 0) {
      StartReceive();
    } else {
      MARK("stream: peer does not stop");
    }
    return;
  }
  peer_ended_ = true;
  if (phase_ == Phase::kLingering) {
    phase_ = Phase::kClosing;  // both directions have ended: there is nothing to shut down
    ContinueClose();
  }
  // Otherwise it is half-closed and still reads.
}

void Stream::OnSent(const IoResult& result) {
  if (phase_ == Phase::kClosing) {
    ContinueClose();
    return;
  }
  ASSERT(phase_ == Phase::kOpen || phase_ == Phase::kSendingLast);  // lingering: all was sent
  if (!result.ok()) {
    OnSendFailed(result.error());
    return;
  }
  StreamTraffic& traffic = *traffic_;
  traffic.sent += result.count();
  ASSERT(traffic.sent <= traffic.sending.size());
  if (traffic.sent < traffic.sending.size()) {
    MARK("stream: short send");
    outbox_.io().Send(&traffic.send, socket_, AsBytes(traffic.sending).subspan(traffic.sent));
    return;
  }
  traffic.sent = 0;
  traffic.sending.clear();
  if (!traffic.queue.empty()) {
    MARK("stream: queued while it sent");
    StartSend();
    return;
  }
  SettleTraffic();
  if (phase_ == Phase::kSendingLast) {
    Linger();
  }
  events_.OnStreamDrained();
}

// A reply that the peer sent before it cut the connection ("421 ...") may still lie unread, so the
// end is told by the receive, behind those bytes. The shutdown makes sure that it comes.
void Stream::OnSendFailed(IoError error) {
  if (phase_ == Phase::kSendingLast) {
    Close();
    return;
  }
  send_error_ = error;
  traffic_->sent = 0;
  traffic_->sending.clear();
  traffic_->queue.clear();
  SettleTraffic();
  outbox_.io().Shutdown(socket_);
  if (paused_) {
    MARK("stream: send failed while paused");
    events_.OnStreamDrained();  // its owner resumes, and the receive tells the end
  }
}

void Stream::OnPiece(Bytes piece) {
  if (tls_ == nullptr) {
    Deliver(piece);
    return;
  }
  if (!handshaking()) {
    Decrypt(piece);
    return;
  }
  tls_->cipher.append(AsText(piece));
  if (!tls_->pending.linked()) {
    tls_->turns.PushBack(&tls_->pending);
  }
}

// Asks for the next piece only when this one was taken whole: what the owner will not take stays in
// the socket, but for the rest of one piece.
void Stream::Deliver(Bytes bytes) {
  if (Offer(bytes)) {
    StartReceive();
  }
}

// True: all was taken, and the stream is open.
bool Stream::Offer(Bytes bytes) {
  ASSERT(!paused_);
  const size_t taken = events_.OnStreamBytes(bytes);
  ASSERT(taken <= bytes.size());
  if (phase_ != Phase::kOpen) {
    return false;
  }
  if (taken < bytes.size()) {
    paused_ = true;
    traffic().kept.assign(AsText(bytes.subspan(taken)));
    return false;
  }
  return true;
}

// ---- TLS ----

void Stream::StepHandshake() {
  ASSERT(phase_ == Phase::kOpen);
  const std::string arrived = std::exchange(tls_->cipher, std::string());
  Bytes cipher = AsBytes(arrived);
  tls_->session->Handshake(cipher, traffic().queue);
  SendLater();  // the last of the handshake leaves with the first that is said behind it
  SettleTraffic();
  switch (tls_->session->state()) {
    case TlsSession::State::kHandshaking:
      ReceiveOn();
      return;
    case TlsSession::State::kOpen:
      events_.OnStreamSecure();
      if (phase_ == Phase::kOpen) {
        Decrypt(cipher);
      }
      return;
    case TlsSession::State::kEnded:
    case TlsSession::State::kFailed:
      TlsOver();
      return;
  }
  UNREACHABLE();
}

// What came in one piece is offered in as few pieces as fit, not record by record: whoever sends a
// record for each byte must not cost more than the bytes do.
void Stream::Decrypt(Bytes cipher) {
  std::array<uint8_t, kPlainBytesMax> plain;
  size_t count = plain.size();
  while (count == plain.size()) {
    count = tls_->session->Read(cipher, plain, traffic().queue);
    if (count > 0 && !Offer(Bytes(plain).first(count))) {
      tls_->cipher.assign(paused_ ? AsText(cipher) : std::string_view());
      return;
    }
  }
  SettleTraffic();
  if (tls_->session->state() == TlsSession::State::kOpen) {
    ReceiveOn();
  } else {
    TlsOver();
  }
}

// close_notify or a failure. The socket may still be read, but not by the owner any more: nothing
// behind the end of TLS is mail.
void Stream::TlsOver() {
  const bool failed = tls_->session->state() == TlsSession::State::kFailed;
  Flush();  // the alert
  events_.OnStreamEnd(failed ? IoError::kTls : IoError::kNone);
}

void Stream::ReceiveOn() {
  if (!receive_.in_flight) {
    StartReceive();
  }
}

void Stream::StartReceive() {
  outbox_.io().Receive(&receive_, socket_);
}

void Stream::StartSend() {
  StreamTraffic& traffic = *traffic_;
  ASSERT(traffic.sent == 0);
  ASSERT(traffic.sending.empty());
  traffic.sending.swap(traffic.queue);
  outbox_.io().Send(&traffic.send, socket_, AsBytes(traffic.sending));
}

void Stream::PeerEnded(IoError error) {
  ASSERT(!peer_ended_);
  peer_ended_ = true;
  events_.OnStreamEnd(send_error_ != IoError::kNone ? send_error_ : error);
}

void Stream::ContinueClose() {
  if (receive_.in_flight || (traffic_ != nullptr && traffic_->send.in_flight)) {
    return;
  }
  outbox_.io().Close(socket_);
  socket_ = Fd();
  phase_ = Phase::kIdle;
  if (traffic_ != nullptr) {
    traffic_->sent = 0;
    traffic_->kept.clear();
    traffic_->sending.clear();
    traffic_->queue.clear();
  }
  SettleTraffic();
  tls_.reset();
  events_.OnStreamClosed();  // the owner may destroy the stream: nothing comes after this
}

}  // namespace backstay
