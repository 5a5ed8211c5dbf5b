// core/shard/verifier.h -- asks a primary whom it takes: MAIL FROM:<>, RCPT, no DATA.
//
// Questions that come together go in one transaction, those of addresses in UTF-8 in one of their
// own: a primary without SMTPUTF8 is asked the others. What the primary says of the null
// reverse-path is no verdict on anybody, nor is a 4xx, nor a refusal of anything but the address.
// What is refused here does not feed the breaker, as DESIGN 7 has it: strangers choose what is
// asked, and whoever tries twenty names that do not exist would stop the mail of a domain.
//
// Where a primary falls silent, mail would wait for minutes. Here all other questions stand behind
// the one connection: what was asked on it is soon not known, what waits goes on over the next one.
// Strangers make that queue as long as they may: who has hung up is not asked for, and without room
// those go first whom nobody waits for.
//
// Life:     Ask() connects when it must; an idle connection says QUIT by itself. Each question is
//           answered once, in a later turn, unless it unlinks itself.
// Owns:     one connection, one transaction, kWaitingMax questions behind it.
// Turn:     events come from Io::Turn or the wheel.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/list.h"
#include "core/queue/timer_wheel.h"
#include "core/shard/outbound.h"

namespace backstay {

enum class PrimaryVerdict : uint8_t {
  kTaken,
  kRefused,
  kNeedsUtf8,  // the address does, and the primary offers no SMTPUTF8: it was not asked
  kNone
};

// Embedded in whoever asks. Unlinks itself when it dies; a question that is under way is then
// answered to nobody.
class RecipientQuestion : public ListNode {
 public:
  // What becomes of it before it is asked.
  enum class Interest : uint8_t {
    kNone,      // who asked has gone before he was told anything: it is not asked any more
    kLearning,  // nobody waits, but the answer is worth knowing: it makes room for others
    kWaiting
  };
  virtual std::string_view address() const = 0;
  virtual Interest interest() const = 0;
  virtual void OnPrimarySaid(PrimaryVerdict verdict) = 0;

 protected:
  ~RecipientQuestion() = default;
};

// What a verifier asks of its route.
class VerifierHome {
 public:
  // Null: there is none to connect to now.
  virtual const PrimaryHost* VerifierHost() = 0;
  // It is still one of the primary's.
  virtual bool HasHost(const SocketAddress& address) const = 0;
  virtual const std::string& VerifierHostname() = 0;
  virtual void OnVerifierGreeted() = 0;
  // It never got so far.
  virtual void OnVerifierFailed(const OutboundConnection& connection) = 0;

 protected:
  ~VerifierHome() = default;
};

class Verifier : private OutboundEvents {
 public:
  // Without a reply to what was asked; behind one up to twice as long. Whoever waits at RCPT hears
  // 451 before that; an answer in between is still learned.
  static constexpr absl::Duration kSilentMax = absl::Seconds(10);
  // The same until it has answered EHLO. There are hosts that greet late on purpose: they are asked
  // for as long as a question lives (RecipientClerk).
  static constexpr absl::Duration kGreetsWithin = absl::Seconds(35);
  static_assert(kSilentMax < kGreetsWithin);
  // Behind those that are asked. Two transactions: further behind nobody is told in time.
  static constexpr size_t kWaitingMax = 100;

  Verifier(const OutboundParts& parts, VerifierHome& home);
  ~Verifier();

  // Without room for it: it has no answer, at once.
  void Ask(RecipientQuestion& question);
  // The connection leads nowhere any more, which is nobody's fault: what is asked on it has no
  // answer, what waits connects anew. From any event.
  void LeaveBehind();
  // Whatever is asked has no answer.
  void Stop();
  bool idle() const { return connection_ == nullptr || is_closed_; }
  // Where the connection goes. Not if idle().
  const SocketAddress& address() const { return connection_->address(); }

 private:
  void OnOutboundReady(OutboundConnection& connection) override;
  void OnOutboundContentWanted(OutboundConnection& connection) override;
  void OnOutboundClosed(OutboundConnection& connection) override;
  bool MakeRoom();
  size_t DropForsaken();
  void Continue();
  void StartTransaction();
  bool FitsTransaction(std::string_view address) const;
  void Connect();
  void Watch();
  void OnSilence();
  void TakeOutcomes();
  void AnswerAll(PrimaryVerdict verdict);

  const OutboundParts parts_;
  VerifierHome& home_;
  List<RecipientQuestion> waiting_;
  List<RecipientQuestion> asked_;  // in the transaction, in its order; some may be gone
  Envelope envelope_;
  bool is_asking_ = false;
  bool is_stopped_ = false;
  bool is_closed_ = false;
  bool is_left_ = false;  // LeaveBehind, of the connection
  uint64_t replies_ = 0;  // of the connection, when it was looked at last
  Alarm<&Verifier::OnSilence> patience_{this};
  std::unique_ptr<OutboundConnection> connection_;
  std::unique_ptr<OutboundConnection> previous_;  // destroyed later than from its own last event
};

}  // namespace backstay
