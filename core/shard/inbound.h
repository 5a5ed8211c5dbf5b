// core/shard/inbound.h -- one client: Stream + ServerSession + the transaction it is sending.
//
// Life:     Start() once with an accepted socket; InboundHome::OnInboundClosed is the last event,
//           after which the connection may be destroyed (not from inside that call).
//           A proxy says first whom it speaks for; until then nobody is greeted.
// Owns:     the socket, the session; borrows a Transaction from its home from MAIL to the end.
// Turn:     bytes in and replies out; the shard sends all replies of a turn in Outbox order at its
//           end.
// See:      DESIGN 7; reliability rows 18-22, 55, 74, 79, 97-100.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/list.h"
#include "core/queue/conduct.h"
#include "core/queue/relay_policy.h"
#include "core/queue/timer_wheel.h"
#include "core/shard/recipient_clerk.h"
#include "core/shard/transaction.h"
#include "core/smtp/proxy_header.h"
#include "core/smtp/server_session.h"
#include "io/io.h"
#include "io/stream.h"
#include "io/tls/session.h"
#include "spool/spool.h"

namespace backstay {

class InboundConnection;

// What a proxy said beside the address.
struct ToldClient {
  SocketAddress proxy;  // who said it, and may say more
  std::string name;     // empty: unknown
  std::optional<std::string> helo;
  std::optional<bool> extended;
};

// What a connection asks of its shard.
class InboundHome : public TransactionHome {
 public:
  virtual Transaction& TakeTransaction() = 0;
  virtual const RelayPolicy& Relay() const = 0;
  virtual absl::Duration IdleTimeout() const = 0;
  // The answer to a new transaction: positive, or why not (spool full, closed, shutting down).
  virtual Reply MayReceive() const = 0;
  // The answer to one more recipient of this domain of ours: positive, or it has its quota waiting.
  virtual Reply MayQueue(std::string_view domain) = 0;
  // See RecipientClerk::Judge.
  virtual std::optional<Reply> JudgeRecipient(std::string_view address, std::string_view domain,
                                              RecipientWaiter& waiter) = 0;
  // It is greeted, or a proxy named it: the DNS is asked about it. See ClientClerk.
  virtual void OnClientKnown(const SocketAddress& client) = 0;
  virtual std::string_view ClientName(const SocketAddress& client) const = 0;
  virtual std::optional<Reply> JudgeClient(const SocketAddress& client, std::string_view recipient,
                                           RecipientWaiter& waiter) = 0;
  virtual void OnMessageStored(CommitResult result) = 0;
  // For a client of that listener. Null: the configuration has no certificate any more.
  virtual std::unique_ptr<TlsSession> MakeTlsSession(uint32_t listener) = 0;
  virtual List<PendingHandshake>& Handshakes() = 0;
  virtual void OnHandshake(bool completed) = 0;
  virtual Conduct& ClientConduct() = 0;
  // The greeting was said, or a refusal instead of it.
  virtual void OnWelcome(bool admitted) = 0;
  // One more connection of this client: positive, and Forget is owed, or why not.
  virtual Reply Identify(const SocketAddress& client) = 0;
  virtual void Forget(const SocketAddress& client) = 0;
  virtual Intake::Rights RightsOf(const SocketAddress& client) const = 0;
  // The answer to ETRN, whose text is good until the next one.
  virtual Reply StartQueue(std::string_view domain, bool subdomains) = 0;
  // What OnAccepted took at the door is given back.
  virtual void OnInboundLeft() = 0;
  virtual void OnInboundClosed(InboundConnection& connection) = 0;

 protected:
  ~InboundHome() = default;
};

// An accepted socket.
struct InboundArrival {
  Fd socket;
  uint32_t listener = 0;  // the number of the one that accepted it
  SocketAddress peer;
  Reply verdict;         // not positive: sent instead of the greeting, and then the end
  bool proxied = false;  // it begins with a PROXY header
};

class InboundConnection final : public ListNode,
                                private StreamEvents,
                                private Intake,
                                private TransactionOwner {
 public:
  InboundConnection(Io& io, TimerWheel& wheel, Spool& spool, List<Stream>& outbox,
                    const ServerParams& params, InboundHome& home);
  ~InboundConnection();  // closed, or the simulated host crashed

  void Start(const InboundArrival& arrival);
  // 421 and close, unless a message is being received or committed and `now_too` is false.
  void ShutDown(bool now_too);
  void CutOff() { Close(); }

 private:
  size_t OnStreamBytes(Bytes bytes) override;
  void OnStreamEnd(IoError error) override;
  void OnStreamDrained() override;
  void OnStreamSecure() override;
  void OnStreamClosed() override;

  Reply OnMail(std::string_view reverse_path, const MailParams& params) override;
  std::optional<Reply> OnRcpt(std::string_view address, const RcptParams& params) override;
  Reply OnData() override;
  void OnContent(Bytes decoded) override;
  void OnEndOfData(bool has_dot_lines) override;
  void OnRefused(const Command* command, const Reply& reply) override;
  void OnReset() override;
  Rights ClientRights() const override;
  Reply OnStartTls() override;
  Reply OnEtrn(std::string_view domain, bool subdomains) override;
  Reply OnXclient(const XclientAttributes& attributes) override;

  void OnTransactionStored(CommitResult result, std::string_view id) override;
  class IdleTimer : public Timer {
   public:
    explicit IdleTimer(InboundConnection* owner) : owner_(owner) {}
    void OnTimer() override { owner_->OnIdle(); }

   private:
    InboundConnection* const owner_;
  };
  class PauseTimer final : public Timer {
   public:
    explicit PauseTimer(InboundConnection* owner) : owner_(owner) {}
    void OnTimer() override { owner_->OnPauseEnd(); }

   private:
    InboundConnection* const owner_;
  };
  class Uncongested : public CongestionWaiter {
   public:
    explicit Uncongested(InboundConnection* owner) : owner_(owner) {}
    void OnUncongested() override { owner_->OnUncongested(); }

   private:
    InboundConnection* const owner_;
  };

  class Judged : public RecipientWaiter {
   public:
    explicit Judged(InboundConnection* owner) : owner_(owner) {}
    void OnRecipientJudged(const Reply& reply) override { owner_->OnRecipientJudged(reply); }

   private:
    InboundConnection* const owner_;
  };

  void OnUncongested();
  void Pause();
  void OnPauseEnd();
  void Charge(Offence offence);
  ClientKey client_key() const { return ClientKey::Of(client_.bytes(), client_.is_v6()); }
  void OnRecipientJudged(const Reply& judged);
  std::optional<Reply> GoOnWithPending();
  void OnIdle();
  bool IsProgress(size_t taken);

  void Welcome();
  void TakeProxyHeader(Bytes& bytes);
  void Refuse(const Reply& reply);
  void Leave();
  void ForgetClient();
  absl::Duration Patience() const;
  void Pump();
  void SayGoodbye();
  void StartTls();
  void SetDeadline(absl::Duration delay);
  void Close();
  void DropTransaction();
  std::string_view TlsProtocol() const;
  void Log(EventKind kind, std::string_view name, const Reply& reply,
           const Command* command = nullptr);

  Io& io_;
  TimerWheel& wheel_;
  Spool& spool_;
  List<Stream>& outbox_;
  const ServerParams& params_;
  InboundHome& home_;
  ServerSession session_;
  Stream stream_;
  IdleTimer idle_timer_{this};
  Uncongested uncongested_{this};
  Judged judged_{this};
  SocketAddress client_;                       // the peer, or whom a trusted peer speaks for
  std::unique_ptr<ProxyHeader> proxy_header_;  // not whole yet
  std::unique_ptr<ToldClient> told_;           // by XCLIENT
  std::unique_ptr<PauseTimer> pause_;          // of clients who make many mistakes
  uint64_t number_ = 0;                        // in the log
  Transaction* transaction_ = nullptr;
  Instant last_progress_;
  uint32_t listener_ = 0;
  uint32_t content_bytes_ = 0;  // since the last progress
  bool entered_ = false;        // OnInboundLeft is owed
  bool identified_ = false;     // Forget(client_) is owed
  bool admitted_ = false;       // was greeted; the log has a line of its end, too
  bool greeting_sent_ = false;
  bool handshake_owed_ = false;  // OnHandshake
  bool in_message_ = false;      // 354 was said
  bool awaits_client_ = false;   // what is judged is the client, and then the recipient
  bool closing_ = false;
};

}  // namespace backstay
