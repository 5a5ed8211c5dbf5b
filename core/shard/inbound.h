// core/shard/inbound.h -- one client: a Stream, what is remembered of it, and while it talks more.
//
// Life:     Start() once with an accepted socket; InboundHome::OnInboundClosed is the last event,
//           after which the connection may be destroyed (not from inside that call).
//           A proxy says first whom it speaks for; until then nobody is greeted.
// Owns:     the socket. Borrows a Conversation while something is begun, awaited or unsent, and a
//           Transaction from MAIL to the end: a million idle clients own neither.
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
#include "core/base/spares.h"
#include "core/queue/conduct.h"
#include "core/queue/idle_watch.h"
#include "core/queue/relay_policy.h"
#include "core/queue/timer_wheel.h"
#include "core/shard/arrival.h"
#include "core/shard/conversation.h"
#include "core/shard/recipient_clerk.h"
#include "core/shard/transaction.h"
#include "core/smtp/server_session.h"
#include "core/smtp/session_memory.h"
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

// Whom a verdict is about.
struct ClientIdentity {
  const SocketAddress& address;
  std::string_view helo;  // empty: not known
};

// What a connection asks of its shard.
class InboundHome : public TransactionHome {
 public:
  virtual Transaction& TakeTransaction() = 0;
  virtual const RelayPolicy& Relay() const = 0;
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
  virtual std::optional<Reply> JudgeClient(const ClientIdentity& client, std::string_view recipient,
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
  // The place that it took at the door is free.
  virtual void OnInboundLeft() = 0;
  virtual void OnInboundClosed(InboundConnection& connection) = 0;

 protected:
  ~InboundHome() = default;
};

// What the connections of a shard share.
struct InboundParts {
  // As many as talk at the same time between two turns, and some.
  static constexpr size_t kSpareConversations = 512;

  // In each idle timeout; 110 bytes a second with five minutes. A message that is shorter has one
  // idle timeout in all.
  static constexpr uint32_t kContentBytesMin = 32 * 1024;

  // How long a client is waited for, and what is content at a pace; `idle` as configured. O(1), and
  // for those too who wait already: the ones whose time is over now are told so soon.
  static IdleWatch::Limits Limits(absl::Duration idle, bool under_stress);
  void SetPatience(absl::Duration idle, bool under_stress);

  Io& io;
  TimerWheel& wheel;
  IdleWatch& watch;
  Spool& spool;
  Outbox& outbox;
  const ServerParams& params;
  InboundHome& home;
  uint32_t content_bytes_min = kContentBytesMin;  // in the time of Patience::kIdle
  Spares<Conversation, kSpareConversations> conversations = {};
};

class InboundConnection final : public Watched,
                                private StreamEvents,
                                private Intake,
                                private TransactionOwner {
 public:
  explicit InboundConnection(InboundParts& parts);
  InboundConnection(const InboundConnection&) = delete;
  InboundConnection& operator=(const InboundConnection&) = delete;
  ~InboundConnection();  // closed, or the simulated host crashed

  void Start(const Arrival& arrival);
  // 421 and close, unless a message is being received or committed and `now_too` is false.
  void ShutDown(bool now_too);
  void CutOff() { Close(); }

 private:
  friend struct Conversation;
  void OnSilence() override;

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

  // Of its conversation.
  void OnUncongested();
  void OnPauseEnd();
  void OnRecipientJudged(const Reply& judged);

  Conversation& conversation();
  void Settle();
  size_t Hear(Bytes bytes);
  void GoOn();
  void Pause();
  void Charge(Offence offence);
  ClientKey client_key() const { return ClientKey::Of(client_.bytes(), client_.is_v6()); }
  std::optional<Reply> GoOnWithPending();
  bool IsProgress(size_t taken);

  void Greet();
  void TakeProxyHeader(Bytes& bytes);
  void Refuse(const Reply& reply);
  void Leave();
  void ForgetClient();
  void Pump();
  void SayGoodbye();
  void StartTls();
  void GiveUpCommit();
  void Watch(Patience patience) { parts_.watch.Watch(*this, patience, parts_.io.Now()); }
  // While our disk is waited for nothing that the client does is one.
  void Progress() {
    if (patience() != Patience::kCommit) {
      parts_.watch.Progress(*this, parts_.io.Now());
    }
  }
  void Close();
  void DropTransaction();
  std::string_view Helo() const;
  std::string_view TlsProtocol() const;
  void Log(EventKind kind, std::string_view name, const Reply& reply,
           const Command* command = nullptr);

  // What an idle client has is these, and nothing that they own but the name in `memory_`.
  InboundParts& parts_;
  Stream stream_;
  SessionMemory memory_;                        // good while it has no conversation
  std::unique_ptr<Conversation> conversation_;  // null: nothing is begun, awaited or unsent
  std::unique_ptr<ToldClient> told_;            // by XCLIENT
  uint64_t number_ = 0;                         // in the log
  SocketAddress client_;                        // the peer, or whom a trusted peer speaks for
  uint32_t listener_ = 0;
  bool entered_ = false;     // OnInboundLeft is owed
  bool identified_ = false;  // Forget(client_) is owed
  bool admitted_ = false;    // was greeted; the log has a line of its end, too
  bool greeting_sent_ = false;
  bool handshake_owed_ = false;  // OnHandshake
  bool closing_ = false;
};
static_assert(sizeof(InboundConnection) <= 216, "a million idle connections are a promise");

}  // namespace backstay
