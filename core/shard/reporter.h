// core/shard/reporter.h -- tells senders what failed: one report a message, stored like any other
// mail.
//
// A failed recipient stays "held (dsn pending)" until its report is on disk; the record of the
// report ends the debt, so no crash loses a report or makes a second one. What nobody wants to hear
// of (NOTIFY) is discarded by that rule.
//
// Owns:  the list of messages with debts; one report under way.
// Turn:  Step() comes once a turn and begins the next report. Nothing waits.
// Errors: what cannot be stored now is tried again; a message that cannot be read any more has
//         nobody to be told and is quarantined.
// See:   DESIGN 9; RFC 3461 s6, RFC 3464.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_set.h"
#include "core/shard/snapshot.h"
#include "core/smtp/delivery_report.h"
#include "core/smtp/envelope.h"
#include "spool/message_reader.h"
#include "spool/message_writer.h"

namespace backstay {

// Before a domain's name: reports to senders there, who are none of ours, take dsn.route.
constexpr char kReportDomain = '@';

class Reporter : private MessageReaderEvents, private MessageSource {
 public:
  Reporter(Io& io, Spool& spool, const Snapshot*& snapshot);

  // Some recipient of it has failed.
  void OnFailed(MessageRef message) { owing_.insert(message); }
  void Step();
  void Stop();
  bool idle() const { return !reader_.busy(); }
  // When Step() is wanted although nothing happens.
  Instant NextDue() const;
  uint64_t reports() const { return reports_; }  // stored since start

 private:
  enum class Phase : uint8_t { kIdle, kReading, kStoring };

  void OnHead(ReadOutcome outcome) override;
  void OnContent(ReadOutcome outcome, Bytes content) override;
  MessageDescription Describe(const QueueId& id) override;
  void OnCommitted(CommitResult result, MessageRef message) override;
  void SettleDebts(SettleKind kind, bool only_unwanted);
  void Build();
  void End();
  void TryLater();

  Io& io_;
  Spool& spool_;
  const Snapshot*& snapshot_;  // the shard's, in force
  absl::btree_set<MessageRef> owing_;
  Phase phase_ = Phase::kIdle;
  bool stopped_ = false;
  Instant wait_until_;
  uint64_t reports_ = 0;

  // The report under way.
  MessageRef message_;
  WallTime arrival_;
  Envelope envelope_;                 // of the message
  std::vector<uint32_t> recipients_;  // whose debts end with it
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
