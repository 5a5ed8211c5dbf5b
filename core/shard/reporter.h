// core/shard/reporter.h -- tells senders what failed, and what was relayed to a primary that tells
// them nothing: one report a message, stored like any other mail.
//
// A recipient of whom a report is owed stays "dsn pending" until it is on disk; the record
// of the report ends the debt, so no crash loses a report or makes a second one. A failure that
// nobody wants to hear of (NOTIFY) is discarded by that rule. A report over budget
// (core/queue/report_budget.h) waits for its turn, and expiry waits with those of failures.
//
// What was relayed is told of when nothing has failed; what is late (core/shard/late_watch.h), when
// nothing else is owed.
//
// Owns:  the lists of messages with debts; one report under way.
// Turn:  Step() comes once a turn and begins the next report. Nothing waits.
// Errors: what cannot be stored now is tried again; a message that cannot be read any more has
//         nobody to be told and is quarantined.
// See:   DESIGN 9; RFC 3461 s6, RFC 3464.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "core/queue/deferral_table.h"
#include "core/queue/report_budget.h"
#include "core/shard/debt_list.h"
#include "core/shard/snapshot.h"
#include "core/smtp/delivery_report.h"
#include "core/smtp/envelope.h"
#include "spool/message_reader.h"
#include "spool/message_writer.h"

namespace backstay {

// The domain that reports to senders elsewhere are kept under, whoever they are for: a name for
// each would stay for the life of the process. Spools of older versions have it before the sender's
// domain.
constexpr std::string_view kReportDomain = "@";
constexpr bool IsReportDomain(std::string_view name) {
  return name.starts_with(kReportDomain);
}

// Mail whose sender is to be told that it is late.
struct LateMail {
  MessageRef message;
  DomainId domain{};                 // that was looked at
  std::vector<uint32_t> recipients;  // who wait
  bool is_for_several = false;       // domains
  SpoolTime end;                     // of the first of them; Max(): they are kept
  std::string reason;                // where no reply says why
};

class LateMailSource {
 public:
  virtual std::optional<LateMail> NextLate() = 0;
  // After nothing came: ask again in the next turn.
  virtual bool has_more() const = 0;
  // Not stored: nobody wants to be told.
  virtual void OnTold(const LateMail& late, bool is_stored) = 0;
  // It cannot be now; the next one is another domain's.
  virtual void OnNotTold() = 0;

 protected:
  ~LateMailSource() = default;
};

class Reporter : private MessageReaderEvents, private MessageSource {
 public:
  Reporter(Io& io, Spool& spool, const Snapshot*& snapshot, size_t shards);

  // Some recipient of it has failed.
  void OnFailed(MessageRef message) { owing_.Add(message, io_.Now()); }
  // Or was relayed (RFC 3461 s5.2.2), and its sender asked to be told.
  void OnRelayed(MessageRef message) { relayed_.Add(message, io_.Now()); }
  // What a start has found and told of as failed: its notes, which are there now, say which it is.
  void OnQueueReady();
  void UseLateMail(LateMailSource& source) { late_source_ = &source; }
  // The source may have some. Failures are told first.
  void OnLateMail() { is_late_wanted_ = true; }
  void Step();
  void Stop();
  bool idle() const { return phase_ == Phase::kIdle && !reader_.busy(); }
  // When Step() is wanted although nothing happens.
  Instant NextDue() const;
  uint64_t reports() const { return reports_; }  // stored since start
  // So many failures are to be told of already that nothing more should be given up.
  bool IsFull() const;

 private:
  enum class Phase : uint8_t { kIdle, kReading, kStoring };
  // Whom a sender's budget makes wait counts for itself, so that one sender with many does not keep
  // the others from being told.
  static constexpr size_t kBookedMax = 65'536;
  // What was relayed takes no place that a failure may need.
  static constexpr size_t kBookedForRelayedMax = kBookedMax / 2;

  void OnHead(ReadOutcome outcome) override;
  void OnContent(ReadOutcome outcome, Bytes content) override;
  MessageDescription Describe(const QueueId& id) override;
  void OnCommitted(CommitResult result, MessageRef message) override;
  void SettleDebts(SettleKind kind, bool only_unwanted);
  void DropSettled();
  void Build();
  void End();
  void TryLater();
  void ReadLater();
  bool IsInBudget();
  uint64_t Sender() const;  // as the budget knows him
  bool OwesFailure(MessageRef message) const;
  Deferral DebtOf(MessageRef message, uint32_t recipient) const;
  bool MayTellRelayed() const { return booked_.size() < kBookedForRelayedMax; }
  std::optional<MessageRef> NextOwed();
  void TakeNext();
  void OnOwedHead();
  void OnLateHead();
  ReportedRecipient Tell(uint32_t recipient, const Deferral& last) const;

  Io& io_;
  Spool& spool_;
  const Snapshot*& snapshot_;  // the shard's, in force
  ReportBudget budget_;
  DebtList owing_;
  // Nothing of them has failed, or they are in owing_ as well.
  DebtList relayed_;
  // Those that have a place in their sender's budget, and when it is; one of them may be in owing_
  // again, if more of it failed meanwhile.
  absl::btree_set<std::pair<Instant, MessageRef>> booked_;
  Phase phase_ = Phase::kIdle;
  bool stopped_ = false;
  Instant wait_until_;
  uint64_t reports_ = 0;

  LateMailSource* late_source_ = nullptr;
  bool is_late_wanted_ = false;

  // The report under way.
  std::optional<LateMail> late_;  // nothing: of what is owed
  MessageRef message_;
  bool is_booked_ = false;
  WallTime arrival_;
  Envelope envelope_;                 // of the message
  std::vector<uint32_t> recipients_;  // whose debts end with it
  std::vector<Debt> debts_;
  std::vector<Deferral> last_;  // parallel: what became of each
  std::string headers_;
  bool headers_end_ = false;
  Envelope own_envelope_;
  std::string encoded_;
  std::string received_;
  std::string domain_;
  std::string_view domain_view_;
  uint16_t own_flags_ = 0;
  MessageReader reader_;
  MessageWriter writer_;
};

}  // namespace backstay
