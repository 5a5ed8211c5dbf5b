// core/shard/outbound.h -- one connection to a primary: Connect + Stream + ClientSession +
// deadlines.
//
// Life:     Connect() once; OnOutboundReady each time a transaction may start; OnOutboundClosed
//           last, exactly once, after which the object may be destroyed. Close() and Quit() lead
//           there too.
// Owns:     the socket and the session. No mail: a Delivery brings envelope and content.
// Outlives: `events` outlive it; the envelope of an open transaction must live until it is over.
// Turn:     events come from Io::Turn or the timer wheel, never from inside a call of the owner.
// See:      RFC 5321 s4.5.3.2 (deadlines), DESIGN 6 (connect deadline 5 s), 8.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/base/list.h"
#include "core/dns/primary_host.h"
#include "core/queue/timer_wheel.h"
#include "core/smtp/client_session.h"
#include "core/smtp/envelope.h"
#include "io/io.h"
#include "io/stream.h"

namespace backstay {

class OutboundConnection;

class OutboundEvents {
 public:
  // EHLO is over, or the last transaction is: outcomes are there, the next may start.
  virtual void OnOutboundReady(OutboundConnection& connection) = 0;
  // 354 came, or what was written is with the kernel: WriteContent or EndContent is wanted.
  virtual void OnOutboundContentWanted(OutboundConnection& connection) = 0;
  // The end. An open transaction's outcomes are complete (deferred where nothing else was said).
  virtual void OnOutboundClosed(OutboundConnection& connection) = 0;

 protected:
  ~OutboundEvents() = default;
};

class OutboundConnection final : public ListNode, private StreamEvents {
 public:
  OutboundConnection(Io& io, TimerWheel& wheel, List<Stream>& outbox, std::string_view hostname,
                     OutboundEvents& events);
  ~OutboundConnection();  // closed, or the simulated host crashed

  void Connect(const PrimaryHost& to);
  void StartTransaction(const Envelope& envelope, const std::vector<uint32_t>& indexes,
                        uint64_t content_bytes, bool has_dot_lines);
  // See ClientSession; over when OnOutboundReady comes, or at once with ready().
  void StartQuestion(const Envelope& envelope, const std::vector<uint32_t>& indexes);
  void WriteContent(Bytes stored);
  void EndContent();
  void AbortContent();
  void Quit();   // orderly: QUIT, a short wait, close
  void Close();  // now

  const SocketAddress& address() const { return host_.address; }
  bool ready() const;
  size_t unsent_bytes() const { return stream_.queued_bytes(); }
  // It answered EHLO once: what happened later is not the host being down.
  bool greeted() const { return greeted_; }
  // Why the socket did not come up; kNone when it did.
  IoError connect_error() const { return connect_error_; }
  bool deadline_passed() const { return deadline_passed_; }
  const ClientSession& session() const { return session_; }

 private:
  class Deadline : public Timer {
   public:
    explicit Deadline(OutboundConnection* owner) : owner_(owner) {}
    void OnTimer() override { owner_->OnDeadline(); }

   private:
    OutboundConnection* const owner_;
  };

  size_t OnStreamBytes(Bytes bytes) override;
  void OnStreamEnd(IoError error) override;
  void OnStreamDrained() override;
  void OnStreamClosed() override;
  void OnConnected(const IoResult& result);
  void OnDeadline();
  void Pump();
  void React();
  void SetDeadline();
  void Finished();

  Io& io_;
  TimerWheel& wheel_;
  List<Stream>& outbox_;
  OutboundEvents& events_;
  PrimaryHost host_;
  ClientSession session_;
  Stream stream_;
  Deadline deadline_{this};
  Completion<&OutboundConnection::OnConnected> connect_{this};
  ClientSession::Phase told_ = ClientSession::Phase::kGreeting;  // the phase React() last acted on
  IoError connect_error_ = IoError::kNone;
  bool greeted_ = false;
  bool deadline_passed_ = false;
  bool closing_ = false;
};

}  // namespace backstay
