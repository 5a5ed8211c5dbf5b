// core/shard/outbound.h -- one connection to a primary: Connect + Stream + ClientSession + TLS +
// deadlines.
//
// Life:     Connect() once; OnOutboundReady each time a transaction may start; OnOutboundClosed
//           last, exactly once, after which the object may be destroyed. Close() and Quit() lead
//           there too.
// Owns:     the socket and the session. No mail: a Delivery brings envelope and content.
// Outlives: its parts and `events` outlive it; the envelope of an open transaction must live until
//           it is over.
// Turn:     events come from Io::Turn or the timer wheel, never from inside a call of the owner.
// See:      RFC 5321 s4.5.3.2 (deadlines), DESIGN 6 (connect deadline 5 s), 8.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/base/list.h"
#include "core/dns/primary_host.h"
#include "core/queue/timer_wheel.h"
#include "core/shard/primary_tls.h"
#include "core/smtp/client_session.h"
#include "core/smtp/envelope.h"
#include "io/io.h"
#include "io/stream.h"

namespace backstay {

class OutboundConnection;

// What the connections of a route share.
struct OutboundParts {
  Io& io;
  TimerWheel& wheel;
  Outbox& outbox;
  PrimaryTls& tls;
  const DeliveryTimes& times;  // as they are when a wait begins
};

class OutboundEvents {
 public:
  // EHLO is over, or the last transaction is: outcomes are there, the next may start.
  virtual void OnOutboundReady(OutboundConnection& connection) = 0;
  // The end of data has its reply, and the transaction that was chained to it is the one at hand:
  // outcomes_before() are there. Comes before any other event of that one.
  virtual void OnOutboundEnded(OutboundConnection&) {}
  // 354 came, or what was written is with the kernel: WriteContent or EndContent is wanted.
  virtual void OnOutboundContentWanted(OutboundConnection& connection) = 0;
  // The end. An open transaction's outcomes are complete (deferred where nothing else was said).
  virtual void OnOutboundClosed(OutboundConnection& connection) = 0;

 protected:
  ~OutboundEvents() = default;
};

class OutboundConnection final : public ListNode, private StreamEvents {
 public:
  OutboundConnection(const OutboundParts& parts, std::string_view hostname, OutboundEvents& events);
  ~OutboundConnection();  // closed, or the simulated host crashed

  void Connect(const PrimaryHost& to);
  void StartTransaction(const Envelope& envelope, const std::vector<uint32_t>& indexes,
                        uint64_t content_bytes, bool has_dot_lines);
  // See ClientSession: behind EndContent, while its reply is not here. False: OnOutboundReady will
  // come, and it is to be started then.
  bool Chain(const Envelope& envelope, const std::vector<uint32_t>& indexes, uint64_t content_bytes,
             bool has_dot_lines);
  // See ClientSession; over when OnOutboundReady comes, or at once with ready().
  void StartQuestion(const Envelope& envelope, const std::vector<uint32_t>& indexes);
  void WriteContent(Bytes stored);
  void EndContent();
  void AbortContent();
  void Quit();   // orderly: QUIT, a short wait, close
  void Close();  // now; says nothing about the primary
  // The owner has waited long enough, as if a deadline had passed. That its TLS failed it says only
  // of a host that was at it for a while.
  void TimeOut();

  const SocketAddress& address() const { return host_.address; }
  const std::string& host_name() const { return host_.name; }
  // A transaction may start. Not on a connection that is less than what a reload demands.
  bool ready() const;
  size_t unsent_bytes() const { return stream_.queued_bytes(); }
  // It answered EHLO once: what happened later is not the host being down.
  bool greeted() const { return greeted_; }
  // Why the socket did not come up; kNone when it did.
  IoError connect_error() const { return connect_error_; }
  bool deadline_passed() const { return deadline_passed_; }
  // Its TLS did not work. Where `tls_fallback`, the next connection to this host does without.
  bool tls_failed() const;
  bool tls_fallback() const { return tls_failed() && wanted_ == ClientSession::Tls::kIfOffered; }
  // Why, in a few words of BoringSSL; empty: it was not told.
  std::string_view tls_failure() const { return tls_failure_; }
  // "TLSv1.3"; empty: clear text.
  std::string_view tls_protocol() const { return tls_protocol_; }
  const ClientSession& session() const { return session_; }

 private:
  size_t OnStreamBytes(Bytes bytes) override;
  void OnStreamEnd(IoError error) override;
  void OnStreamDrained() override;
  void OnStreamSecure() override;
  void OnStreamClosed() override;
  void OnConnected(const IoResult& result);
  void OnDeadline();
  void End();
  void StartTls();
  void CloseAfterAlert();
  void Pump();
  void React();
  void SetDeadline();
  void Finished();

  const OutboundParts parts_;
  OutboundEvents& events_;
  PrimaryHost host_;
  ClientSession session_;
  Stream stream_;
  Alarm<&OutboundConnection::OnDeadline> deadline_{this};
  Completion<&OutboundConnection::OnConnected> connect_{this};
  ClientSession::Phase told_ = ClientSession::Phase::kGreeting;  // the phase React() last acted on
  ClientSession::Tls wanted_ = ClientSession::Tls::kNever;
  TlsLevel level_ = TlsLevel::kClear;
  std::string_view tls_failure_;
  std::string_view tls_protocol_;
  IoError connect_error_ = IoError::kNone;
  Instant tls_began_;  // from STARTTLS on
  bool greeted_ = false;
  bool deadline_passed_ = false;
  bool chained_ = false;  // OnOutboundEnded is owed
  bool closing_ = false;
  bool tls_is_judged_ = true;  // false: the owner left it, its end says nothing of its TLS
};

}  // namespace backstay
