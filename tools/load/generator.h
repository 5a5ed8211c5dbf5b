// tools/load/generator.h -- the run: arrivals, connections, the clock; closed loop and open loop.
//
// Closed loop: every connection sends its next message when the last one is answered, so a server
// that stalls is asked less. Open loop: messages become due at a fixed rate whatever the server
// does, and their latency counts from that moment, whenever a connection was free to send them.
//
// An open loop connects whatever the server does: SYNs beyond a listen backlog are between the
// kernel and the server. A closed loop opens its connections in portions.
//
// Messages of the warm-up do not count, except for those under way at its end. A closed loop that
// only its number of messages would end gives up a server that greets nobody.
//
// Life:     Start(), Turn() until finished().
// Owns:     all connections.
// Turn:     one enter of the ring sends all that the turn has queued.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/base/random.h"
#include "core/queue/timer_wheel.h"
#include "io/io.h"
#include "io/tls/context.h"
#include "tools/load/message_maker.h"
#include "tools/load/nuisance.h"
#include "tools/load/score.h"
#include "tools/load/sender.h"
#include "tools/traffic/ledger_file.h"

namespace backstay {

struct LoadPlan {
  SenderPlan sender;
  MessageMaker::Plan messages;
  size_t connections = 1;
  uint64_t messages_max = 0;  // that count; 0: no limit
  double rate = 0;            // messages/s that become due; 0: closed loop
  // So many connections wait for their greeting at the same time; 0: no limit with a rate, else
  // Generator::kOpeningMax. Of those that only stay, never more than that.
  size_t connecting_max = 0;
  bool poisson = false;  // at random moments instead of even ones
  absl::Duration warm_up = absl::ZeroDuration();
  absl::Duration duration = absl::InfiniteDuration();  // behind the warm-up
  size_t idle = 0;
  size_t slow_drips = 0;
  size_t unread = 0;
  uint32_t cut_percent = 0;
  uint32_t sources = 0;  // 0: the kernel chooses; else 127.1.0.1 and so many that follow it
  std::string ledger;
};

class Generator : private SenderHome {
 public:
  // A server's backlog is finite, and a SYN that it drops comes again a second later.
  static constexpr size_t kOpeningMax = 256;
  // Nobody was past the greeting for so long, and as many sessions in a row failed as there are
  // connections: there is nothing to wait for. A daemon that starts is there sooner.
  static constexpr absl::Duration kHopelessAfter = absl::Seconds(10);

  // What cannot be run, as a sentence; Start() says the same.
  static absl::Status Check(const LoadPlan& plan);
  Generator(Io& io, LoadPlan plan);
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;
  ~Generator();

  absl::Status Start();
  void Turn();
  // No new message; what is on its way is waited for, then the connections end.
  void Stop();
  bool finished() const { return phase_ == Phase::kDone; }

  const Score& score() const { return score_; }
  uint64_t unsent() const { return score_.unsent() + arrivals_.size(); }
  size_t ready() const { return ready_; }  // sessions that are past their greeting
  // A session was lost while there was work, and no answer to anybody has come behind that.
  bool server_gone() const { return server_gone_; }
  // Why it ended before its messages were sent; else OK.
  const absl::Status& given_up() const { return given_up_; }
  std::string Text() const;  // the score's, and what became of the server
  std::string ExtraJson() const;

 private:
  enum class Phase : uint8_t {
    kWarmUp,
    kRunning,
    kAwaiting,  // answers to what was sent
    kClosing,
    kDone
  };
  Supply NextDraft(Sender& sender, Draft& draft) override;
  void OnSenderIdle(Sender& sender) override;
  void OnSenderReady(Sender& sender) override;
  void OnDraftEnded(const Draft& draft, const Ending& ending) override;
  void OnSenderClosed(Sender& sender, const Ending& ending) override;
  std::unique_ptr<TlsSession> MakeTlsSession() override;

  bool open_loop() const { return plan_.rate > 0; }
  bool issuing() const { return phase_ == Phase::kWarmUp || phase_ == Phase::kRunning; }
  bool exhausted() const;
  bool hopeless() const;
  void GiveUp();
  void CountFailures(const Sender& sender, const Ending& ending);
  void OnHeard();
  void OnLost(const Ending& ending);
  void LeaveConnecting(const Sender& sender);
  SocketAddress SourceOf(size_t index) const;
  void MakeClients();
  void AdvancePhase();
  void TakeArrivals();
  void AssignArrivals();
  void StartCold();
  Draft MakeDraft(Instant intended);
  Instant NextWake() const;
  void CloseAll();
  bool AllClosed() const;

  Io& io_;
  const LoadPlan plan_;
  const SenderPlan staying_;
  MessageMaker maker_;
  TimerWheel wheel_;
  Random random_;
  std::unique_ptr<const TlsContext> tls_;
  LedgerFile ledger_;
  Score score_;
  Phase phase_ = Phase::kWarmUp;
  Instant phase_end_;
  uint64_t next_number_ = 0;
  uint64_t counted_from_ = 0;  // the first number of messages_max
  uint64_t outstanding_ = 0;   // drafts that have not ended
  size_t connecting_ = 0;
  size_t staying_connecting_ = 0;  // of connecting_, those that only stay
  size_t ready_ = 0;
  Instant last_heard_;
  bool server_gone_ = false;
  // Of the sessions that are to send: past their greeting, and what failed since one was.
  size_t serving_ = 0;
  size_t failed_in_a_row_ = 0;
  Instant last_serving_;  // or the start of the run
  Ending last_failure_;
  absl::Status given_up_;
  Instant next_arrival_;
  std::deque<Instant> arrivals_;  // due, not sent
  struct Resting {
    Instant until;
    Sender* sender;
  };
  std::deque<Resting> resting_;  // thrown out, in order
  List<Sender> cold_;            // closed, may start
  List<Sender> absent_;          // the same of those that only stay
  List<Sender> idle_;            // greeted, without a message
  Outbox outbox_;
  List<PendingHandshake> handshakes_;
  std::string scratch_;
  std::vector<std::unique_ptr<Sender>> senders_;
  std::vector<std::unique_ptr<Nuisance>> nuisances_;
};

}  // namespace backstay
