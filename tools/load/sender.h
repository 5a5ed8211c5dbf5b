// tools/load/sender.h -- one client: connects, greets, sends message after message in its manner.
//
// Life:     Start() connects; then drafts come from the home, or by Give() when it is idle. The
//           last event of a session is OnSenderClosed; Start() may follow.
// Owns:     its socket, at most two drafts: one being sent and one whose end of data is unanswered.
// Outlives: the home outlives it. Not destroyed before it is closed.
// Turn:     what it queues leaves when the home flushes its outbox.
// See:      RFC 5321, RFC 2920 (what may stand in one group), RFC 3207.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/inlined_vector.h"
#include "core/base/list.h"
#include "core/queue/timer_wheel.h"
#include "core/smtp/reply_parser.h"
#include "io/io.h"
#include "io/stream.h"
#include "io/tls/session.h"
#include "tools/load/draft.h"
#include "tools/load/message_maker.h"

namespace backstay {

class Sender;

// How far commands run ahead of their replies.
enum class Pipelining : uint8_t {
  kOff,
  kEnvelope,  // MAIL, RCPT and DATA in one piece
  kChained    // and behind an end of data the next envelope
};

struct SenderPlan {
  SocketAddress server;
  Pipelining pipelining = Pipelining::kOff;
  uint64_t messages_max = 0;  // of a session; 0: no limit
  absl::Duration reply_timeout = absl::Seconds(60);
  bool tls = false;
  // Behind the greetings: send, leave, or stay without a word.
  enum class Purpose : uint8_t { kSend, kLeave, kStay };
  Purpose purpose = Purpose::kSend;
};

class SenderHome {
 public:
  // Nothing: there is none now; kDone: nor will there be.
  enum class Supply : uint8_t { kNothing, kDraft, kDone };
  virtual Supply NextDraft(Sender& sender, Draft& draft) = 0;
  virtual void OnSenderIdle(Sender& sender) = 0;
  // The greeting is over, with TLS the second one.
  virtual void OnSenderReady(Sender& sender) = 0;
  virtual void OnDraftEnded(const Draft& draft, const Ending& ending) = 0;
  // Once a session, behind its drafts. kAcknowledged: it was ended by us or between messages.
  virtual void OnSenderClosed(Sender& sender, const Ending& ending) = 0;
  virtual std::unique_ptr<TlsSession> MakeTlsSession() = 0;

 protected:
  ~SenderHome() = default;
};

class Sender : public ListNode, private StreamEvents {
 public:
  struct World {
    Io& io;
    TimerWheel& wheel;
    Outbox& outbox;
    List<PendingHandshake>& handshakes;
    const MessageMaker& maker;
    const SenderPlan& plan;
    std::string& scratch;  // commands and content on their way into a stream
    SenderHome& home;
  };
  Sender(const World& world, const SocketAddress& source);
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;
  ~Sender();

  // With a draft it is the first to be sent.
  void Start(const std::optional<Draft>& first);
  void Give(const Draft& draft);  // idle only
  // QUIT when it is idle, else what is being sent is given up.
  void Stop();
  bool closed() const { return phase_ == Phase::kClosed; }
  bool stays() const { return world_.plan.purpose == SenderPlan::Purpose::kStay; }
  bool was_ready() const { return was_ready_; }  // this session, or the last one

 private:
  enum class Phase : uint8_t {
    kClosed,
    kConnecting,
    kGreeting,
    kEhlo,
    kStartTls,  // sent
    kHandshake,
    kIdle,
    kSending,
    kQuitting,
    kClosing
  };
  enum class Step : uint8_t { kReset, kMail, kRcpt, kData, kEnd };
  void OnConnected(const IoResult& result);
  size_t OnStreamBytes(Bytes bytes) override;
  void OnStreamEnd(IoError error) override;
  void OnStreamDrained() override;
  void OnStreamSecure() override;
  void OnStreamClosed() override;
  void OnTimeout();

  void OnReply(const PrimaryReply& reply);
  void OnHello(const PrimaryReply& reply);
  void OnStep(Step step, const PrimaryReply& reply);
  void OnMailReply(const PrimaryReply& reply);
  void OnRcptReply(const PrimaryReply& reply);
  void OnDataReply(const PrimaryReply& reply);
  void OnEndReply(const PrimaryReply& reply);

  void Ready();
  void Next();
  void SendEnvelope();
  void SendContent();
  void SendCut();
  void RefuseCurrent(LoadPhase phase, int code);
  void Quit();
  void Command(std::string_view text, std::optional<Step> step);
  void End(const Ending& ending);
  void EndDrafts(const Ending& ending);
  LoadPhase phase_of_loss() const;
  bool HasQuota() const;

  World world_;
  const SocketAddress source_;
  Stream stream_;
  ReplyParser parser_;
  Phase phase_ = Phase::kClosed;
  bool secure_ = false;
  bool was_ready_ = false;
  uint64_t sent_ = 0;                    // messages of this session
  std::optional<Draft> first_;           // to be sent once it is ready
  std::optional<Draft> current_;         // its envelope is sent, its content not
  std::optional<Draft> ending_;          // its end of data is not answered
  absl::InlinedVector<Step, 16> steps_;  // replies owed from next_step_ on
  size_t next_step_ = 0;
  uint32_t recipients_sent_ = 0;
  int first_refusal_ = 0;
  bool reset_owed_ = false;
  bool cutting_ = false;
  std::optional<Ending> session_ending_;  // told once it is closed
  Instant last_progress_;
  Alarm<&Sender::OnTimeout> patience_{this};
  Completion<&Sender::OnConnected> connect_{this};
};

}  // namespace backstay
