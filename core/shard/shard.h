// core/shard/shard.h -- one thread's world: its ring, listeners, connections, spool and routes.
//
// Turn() is the table of contents of the engine. Everything a shard owns is touched by its thread
// only; other shards post to its inbox.
//
// Life:     Start() reads the tail of the spool and then accepts: serving(). What else the spool
//           holds joins the queue when all of it is read: queue_ready(). kStop in the inbox begins
//           the drain; finished() at its end. A start that fails ends in finished() with status()
//           set.
// Outlives: `setup.snapshot` lives until the shard has taken the next one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "core/base/list.h"
#include "core/queue/catch_up.h"
#include "core/queue/conduct.h"
#include "core/queue/idle_watch.h"
#include "core/queue/timer_wheel.h"
#include "core/shard/client_clerk.h"
#include "core/shard/door.h"
#include "core/shard/event_log.h"
#include "core/shard/expiry.h"
#include "core/shard/inbound.h"
#include "core/shard/inbox.h"
#include "core/shard/late_watch.h"
#include "core/shard/primary_keeper.h"
#include "core/shard/question_clerk.h"
#include "core/shard/quota_clerk.h"
#include "core/shard/recipient_clerk.h"
#include "core/shard/reporter.h"
#include "core/shard/route_table.h"
#include "core/shard/rule_clerk.h"
#include "core/shard/snapshot.h"
#include "core/shard/transaction.h"
#include "io/io.h"
#include "io/tls/session.h"
#include "io/tls/ticket_keys.h"
#include "spool/spool.h"

namespace backstay {

struct ShardSetup {
  size_t index = 0;
  Fd spool_directory;
  std::vector<Fd> listeners;  // the shard's from now on, see OpenListeners; none: it only drains
  size_t intake_shards = 1;   // that listen, and share the limits of connections
  uint16_t node = 0;
  PostOffice& post;
  SharedCounts& shared;
  const Snapshot& snapshot;
  const TicketKeys& ticket_keys;  // copied: the same in every shard
  Fd standard_error = Fd();       // see EventLog
  RecipientFiles recipients = {};
  PrimaryFiles primaries = {};
};

class Shard : private SpoolEvents,
              private InboundHome,
              private DoorHome,
              private QuestionHome,
              private RecipientHome {
 public:
  Shard(Io& io, const ShardSetup& setup);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  void Start();
  void Turn();
  bool serving() const { return serving_; }
  bool queue_ready() const { return queue_ready_; }  // all that was on disk is in the queue
  bool finished() const;
  const absl::Status& status() const { return status_; }

  const Spool& spool() const { return spool_; }
  const RouteTable& routes() const { return routes_; }
  const ShardCounters& counters() const { return counters_; }
  // Nothing is being received, sent or delivered; for tests.
  bool quiet() const;

 private:
  void OnSpoolReady(const absl::Status& status) override;
  void OnQueueReady() override;
  void OnLiveMessage(DomainId domain, MessageRef message) override;
  void OnSettlesDecided() override { routes_.OnSettlesDecided(); }
  void OnRecoveredDeferral(MessageRef message, uint32_t recipient, DomainId domain,
                           Bytes note) override;
  void OnRecoveredFailure(MessageRef message) override { reporter_.OnFailed(message); }

  absl::Duration CommitDelay() const override { return spool_.CommitDelay(); }
  bool IsProxy(const SocketAddress& peer) const override;
  void OnArrival(const Arrival& arrival) override;
  void OnTurnedAway() override { OnWelcome(/*admitted=*/false); }
  void OnStress(const Stress& stress) override;
  void OnInboundLeft() override { door_.Leave(); }
  void OnInboundClosed(InboundConnection& connection) override;
  void OnWelcome(bool admitted) override;
  Reply Identify(const SocketAddress& client) override { return door_.Identify(client); }
  void Forget(const SocketAddress& client) override { door_.Forget(client); }
  Intake::Rights RightsOf(const SocketAddress& client) const override;
  Reply StartQueue(std::string_view domain, bool subdomains) override;
  EventLog& Log() override { return event_log_; }
  Transaction& TakeTransaction() override;
  void OnTransactionFree(Transaction& transaction) override;
  const RelayPolicy& Relay() const override;
  Reply MayReceive() const override;
  Reply MayQueue(std::string_view domain) override;
  std::optional<Reply> JudgeRecipient(std::string_view address, std::string_view domain,
                                      RecipientWaiter& waiter) override {
    return recipients_.Judge(address, domain, waiter);
  }
  Conduct& ClientConduct() override { return door_.conduct(); }
  void OnClientKnown(const SocketAddress& client) override { clients_.Ask(client); }
  std::string_view ClientName(const SocketAddress& client) const override {
    return clients_.NameOf(client);
  }
  std::optional<Reply> JudgeClient(const ClientIdentity& client, std::string_view recipient,
                                   RecipientWaiter& waiter) override {
    return IsPostmaster(recipient) ? replies::kRcptOk
                                   : clients_.Judge(client.address, client.helo, waiter);
  }
  PrimaryHealth HealthOf(std::string_view domain) override;
  void AskPrimary(std::string_view domain, RecipientQuestion& question) override;
  Route* RouteOf(std::string_view domain) const;
  void OnMessageStored(CommitResult result) override;
  std::unique_ptr<TlsSession> MakeTlsSession(uint32_t listener) override;
  List<PendingHandshake>& Handshakes() override { return handshakes_; }
  void OnHandshake(bool completed) override;
  ShardView View() override;

  void DrainInbox();
  void OnShardMessage(const ShardMessage& message);
  void UseSnapshot(const Snapshot& snapshot);
  void SetPatience();
  void BeginDrain();
  void OnDrainLimit();
  void ContinueDrain();
  void BuryClosed();
  void StepHandshakes();
  void VisitInbound(absl::FunctionRef<void(InboundConnection&)> visit);
  Instant NextWake() const;

  Io& io_;
  const Instant started_;
  const size_t index_;
  PostOffice& post_;
  const Snapshot* snapshot_;
  ServerParams server_params_;  // refreshed in place: sessions hold a reference
  TimerWheel wheel_;
  Outbox outbox_;
  IdleWatch idle_watch_;
  TicketKeys ticket_keys_;
  List<PendingHandshake> handshakes_;
  Spool spool_;
  EventLog event_log_;
  const size_t intake_shards_;
  Door door_;
  RecipientClerk recipients_;
  ClientClerk clients_;
  QuotaClerk quotas_;
  Reporter reporter_;
  RouteTable routes_;
  Expiry expiry_;
  LateWatch late_watch_;
  RuleClerk rule_clerk_;
  QuestionClerk question_clerk_;
  InboundParts inbound_parts_;
  // Owned while idle_watch_ has it, see OnArrival, and here until the start of the next turn.
  List<InboundConnection> closed_;
  std::vector<std::unique_ptr<Transaction>> transactions_;  // all of them
  std::vector<Transaction*> transactions_free_;
  Alarm<&Shard::OnDrainLimit> drain_limit_{this};
  ShardCounters counters_;
  std::string queue_answer_;  // the text of the last answer to ETRN
  absl::Status status_;
  bool serving_ = false;
  bool queue_ready_ = false;
  CatchUp catch_up_;
  bool draining_ = false;
  bool spool_closed_ = false;
  bool drain_limit_passed_ = false;
};

}  // namespace backstay
