// io/stream.h -- a TCP byte stream over Io: re-arming, short sends, pausing, closing.
//
// A Stream hides the manners of the ring (ENOBUFS, receives piece by piece, short sends) from both
// kinds of connection; TLS will sit inside it without a change to its callers.
//
// Owns:     the socket, the bytes queued for sending, a copy of what the owner would not take: less
//           than one piece of Io::Receive, because nothing more is asked for meanwhile.
// Outlives: its owner keeps it until OnStreamClosed; only then may it be destroyed or started
//           again.
// Turn:     events come from Io::Turn; only Resume() calls OnStreamBytes and OnStreamEnd itself.
//           Flush() at the end of the turn sends what was queued, in one op.
// See:      STYLE 22: stop receiving, shutdown, wait until no op is in flight, close.
#pragma once

#include <cstddef>
#include <string>

#include "core/base/bytes.h"
#include "core/base/list.h"
#include "io/io.h"

namespace backstay {

class StreamEvents {
 public:
  // Takes what it can of `bytes` and returns how many; 0 to all. What is left is kept, receiving
  // pauses, and Resume() offers it again.
  virtual size_t OnStreamBytes(Bytes bytes) = 0;
  // The peer ended its side, or the connection broke (error says how; kNone: orderly end). Called
  // once, after every byte that arrived was taken; the owner answers with Close() or
  // CloseAfterSend(). Not called any more once one of them was.
  virtual void OnStreamEnd(IoError error) = 0;
  // All queued bytes are with the kernel; the last ones too, after CloseAfterSend().
  virtual void OnStreamDrained() = 0;
  // The last event: nothing is in flight, the socket is closed. Never inside Close().
  virtual void OnStreamClosed() = 0;

 protected:
  ~StreamEvents() = default;
};

class Stream : public ListNode {
 public:
  Stream(Io& io, StreamEvents& events);
  ~Stream();  // idle or closed

  // Takes over a connected socket and arms the receive.
  void Start(Fd socket);
  // Copies `bytes` to the send queue; Flush() starts the send. Nothing happens once a close was
  // asked for or the connection broke.
  void Queue(Bytes bytes);
  // Sends what is queued, unless a send is in flight (then its completion goes on by itself).
  void Flush();
  // Offers kept bytes again and receives again when all were taken; nothing when the owner took
  // all. Not from inside OnStreamBytes.
  void Resume();
  // Orderly: what is queued is sent first, then the stream lingers: our direction ends, and what
  // the peer still sends is read and dropped until it ends too, so that our last reply is not lost
  // to a reset. The owner's timer bounds both and ends them with Close(); the stream itself bounds
  // the bytes.
  void CloseAfterSend();
  // Now: queued bytes are dropped.
  void Close();

  bool open() const { return phase_ == Phase::kOpen; }    // started and no close asked for
  bool closed() const { return phase_ == Phase::kIdle; }  // no socket, nothing in flight
  size_t queued_bytes() const { return sending_.size() - sent_ + queue_.size(); }
  Fd socket() const { return socket_; }

 private:
  enum class Phase : uint8_t { kIdle, kOpen, kSendingLast, kLingering, kClosing };
  void OnReceived(const IoResult& result);
  void OnSent(const IoResult& result);
  void OnReceivedOpen(const IoResult& result);
  void OnReceivedLeaving(const IoResult& result);
  void OnSendFailed(IoError error);
  void Deliver(Bytes bytes);
  void StartReceive();
  void StartSend();
  void Linger();
  void PeerEnded(IoError error);
  void ContinueClose();

  Io& io_;
  StreamEvents& events_;
  Fd socket_;
  Phase phase_ = Phase::kIdle;
  bool paused_ = false;      // the owner left bytes in kept_; no receive is in flight
  bool peer_ended_ = false;  // told to the owner
  // kNone, or how the connection broke under a send; its end arrives by the receive.
  IoError send_error_ = IoError::kNone;
  std::string kept_;     // of one lent piece, not yet taken; empty unless paused_
  std::string sending_;  // in the kernel from sent_ on
  size_t sent_ = 0;      // sent_ <= sending_.size()
  size_t dropped_ = 0;   // received since CloseAfterSend()
  std::string queue_;    // queued behind sending_
  Completion<&Stream::OnReceived> receive_{this};
  Completion<&Stream::OnSent> send_{this};
};

}  // namespace backstay
