// io/stream.h -- a TCP byte stream over Io: re-arming, short sends, pausing, closing.
//
// A Stream hides the manners of the ring (ENOBUFS, receives piece by piece, short sends) from both
// kinds of connection, and TLS too: behind StartTls the same calls and events carry plain text.
//
// Owns:     the socket, the bytes queued for sending, a copy of what the owner would not take: less
//           than one piece of Io::Receive, because nothing more is asked for meanwhile. With TLS it
//           may be kept as one piece of plain text and one that is not decrypted yet. While there
//           is nothing of all that, no buffer either.
// Outlives: its owner keeps it until OnStreamClosed; only then may it be destroyed or started
//           again.
// Turn:     events come from Io::Turn; only Resume() calls OnStreamBytes and OnStreamEnd itself.
//           Outbox::Flush() at the end of the turn sends what was queued, in one op.
// See:      STYLE 22: stop receiving, shutdown, wait until no op is in flight, close.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/base/bytes.h"
#include "core/base/list.h"
#include "io/io.h"
#include "io/outbox.h"
#include "io/stream_traffic.h"

namespace backstay {

class Stream;
class TlsSession;

// A handshake with something to go on with. A step of it may cost as much as a hundred commands, so
// it does not run where its bytes arrive: the shard takes a few steps a turn.
class PendingHandshake : public ListNode {
 public:
  explicit PendingHandshake(Stream& stream) : stream_(stream) {}
  void Step();  // taken off its list before

 private:
  Stream& stream_;
};

class StreamEvents {
 public:
  // Takes what it can of `bytes` and returns how many; 0 to all. What is left is kept, receiving
  // pauses, and Resume() offers it again.
  virtual size_t OnStreamBytes(Bytes bytes) = 0;
  // The peer ended its side, or the connection broke (error says how; kNone: orderly end; kTls: its
  // TLS is broken, and CloseAfterSend() lets it read the alert). Called once, after every byte that
  // arrived was taken; the owner answers with Close() or CloseAfterSend(). Not called any more once
  // one of them was.
  virtual void OnStreamEnd(IoError error) = 0;
  // All queued bytes are with the kernel; the last ones too, after CloseAfterSend(). Or nobody will
  // take them any more, if the owner has paused: it would not hear of the end.
  virtual void OnStreamDrained() = 0;
  // The handshake is done: from now on the owner may queue.
  virtual void OnStreamSecure() {}
  // The last event: nothing is in flight, the socket is closed. Never inside Close().
  virtual void OnStreamClosed() = 0;

 protected:
  ~StreamEvents() = default;
};

class Stream {
 public:
  // What a peer may send behind our last word: more than it can have had on its way before it
  // could read that.
  static constexpr uint32_t kLingerBytesMax = 16 * 1024 * 1024;

  Stream(Outbox& outbox, StreamEvents& events);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();  // idle or closed

  // Takes over a connected socket and arms the receive.
  void Start(Fd socket);
  // Copies `bytes` to the send queue; the outbox starts the send when it is flushed. Nothing
  // happens once a close was asked for or the connection broke.
  void Queue(Bytes bytes);
  // Sends what is queued now, unless a send is in flight (then its completion goes on by itself).
  void Flush();
  // What was queued before leaves in clear text; nothing that comes from now on is read as such.
  // The owner queues nothing until OnStreamSecure. All that arrived was taken, or is taken by the
  // OnStreamBytes that calls this. Steps of the handshake wait for their turn in `turns`; what they
  // say leaves as what is queued does.
  void StartTls(std::unique_ptr<TlsSession> session, List<PendingHandshake>& turns);
  // Offers kept bytes again and receives again when all were taken; nothing when the owner took
  // all. Not from inside OnStreamBytes.
  void Resume();
  // Orderly: what is queued is sent first, then the stream lingers: our direction ends, and what
  // the peer still sends is read and dropped until it ends too, so that our last reply is not lost
  // to a reset. The owner's timer bounds both and ends them with Close(). So many bytes are
  // dropped; beyond them nothing is read, and a peer that goes on costs nothing until that timer
  // ends it.
  void CloseAfterSend(uint32_t bytes_max = kLingerBytesMax);
  // Now: queued bytes are dropped.
  void Close();

  bool open() const { return phase_ == Phase::kOpen; }    // started and no close asked for
  bool closed() const { return phase_ == Phase::kIdle; }  // no socket, nothing in flight
  size_t queued_bytes() const;
  Fd socket() const { return socket_; }
  bool handshaking() const;
  const TlsSession* tls() const;  // null: clear text

 private:
  friend class PendingHandshake;
  friend struct StreamTraffic;
  struct Tls;
  enum class Phase : uint8_t { kIdle, kOpen, kSendingLast, kLingering, kClosing };
  void OnReceived(const IoResult& result);
  void OnSent(const IoResult& result);
  void OnReceivedOpen(const IoResult& result);
  void OnReceivedLeaving(const IoResult& result);
  void OnSendFailed(IoError error);
  void OnPiece(Bytes piece);
  void Deliver(Bytes bytes);
  bool Offer(Bytes bytes);
  void StepHandshake();
  void Decrypt(Bytes cipher);
  void TlsOver();
  void ReceiveOn();
  void StartReceive();
  void StartSend();
  void SendLater();
  void Linger();
  void PeerEnded(IoError error);
  void ContinueClose();
  StreamTraffic& traffic();
  void SettleTraffic();

  Outbox& outbox_;
  StreamEvents& events_;
  std::unique_ptr<StreamTraffic> traffic_;  // null: nothing to send, nothing kept
  std::unique_ptr<Tls> tls_;                // null: clear text
  Completion<&Stream::OnReceived> receive_{this};
  Fd socket_;
  uint32_t droppable_ = 0;  // bytes that may still come since CloseAfterSend()
  Phase phase_ = Phase::kIdle;
  bool paused_ = false;      // the owner left bytes in `kept`; no receive is in flight
  bool peer_ended_ = false;  // told to the owner
  // kNone, or how the connection broke under a send; its end arrives by the receive.
  IoError send_error_ = IoError::kNone;
};
// A million idle connections hold one each.
static_assert(sizeof(Stream) <= 72);

}  // namespace backstay
