// core/shard/reporter.cc -- head, header section, report, record.
#include "core/shard/reporter.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"
#include "core/queue/deferral_table.h"
#include "core/shard/message_flags.h"
#include "core/smtp/ascii.h"
#include "core/smtp/reply_parser.h"
#include "core/smtp/trace_fields.h"

namespace backstay {
namespace {

constexpr absl::Duration kTryAgain = absl::Seconds(10);
constexpr absl::Duration kReadAgain = absl::Minutes(10);
// Expiry gives up a minute's worth of reports at a time.
constexpr size_t kOwingMax = 2'000;
// What is read of a message for its header section.
constexpr size_t kHeaderBytesMax = 64 * 1024;

// RFC 3461 s4.1: without NOTIFY a failure is told.
bool WantsFailures(const Recipient& recipient) {
  return recipient.notify == 0 || (recipient.notify & Notify::kFailure) != 0;
}

bool WantsDelays(const Recipient& recipient) {
  return recipient.notify == 0 || (recipient.notify & Notify::kDelay) != 0;
}

bool HasDotLines(std::string_view text) {
  return text.starts_with('.') || text.find("\r\n.") != std::string_view::npos;
}

}  // namespace

Reporter::Reporter(Io& io, Spool& spool, const Snapshot*& snapshot, size_t shards)
    : io_(io),
      spool_(spool),
      snapshot_(snapshot),
      budget_(shards),
      reader_(spool, *this),
      writer_(spool) {}

// A failure that left no note is one all the same.
Deferral Reporter::DebtOf(MessageRef message, uint32_t recipient) const {
  return DecodeDeferralNote(spool_.FailureOf(message, recipient)).value_or(Deferral());
}

bool Reporter::OwesFailure(MessageRef message) const {
  bool has_failed = false;
  for (uint32_t i = 0; i < spool_.Recipients(message) && !has_failed; ++i) {
    has_failed = spool_.IsPending(message, i) && !DebtOf(message, i).is_relayed;
  }
  return has_failed;
}

void Reporter::OnQueueReady() {
  for (const MessageRef message : owing_.TakeAll()) {
    OwesFailure(message) ? OnFailed(message) : OnRelayed(message);
  }
}

bool Reporter::IsFull() const {
  return owing_.size() >= kOwingMax || booked_.size() >= kBookedMax;
}

void Reporter::Step() {
  if (io_.Now() < NextDue() || reader_.busy() || spool_.Congested()) {
    return;
  }
  TakeNext();
}

// What has its place in a sender's budget, then what has failed, and what was relayed.
std::optional<MessageRef> Reporter::NextOwed() {
  const Instant now = io_.Now();
  is_booked_ = !booked_.empty() && booked_.begin()->first <= now;
  if (is_booked_) {
    const MessageRef booked = booked_.begin()->second;
    booked_.erase(booked_.begin());
    return booked;
  }
  const std::optional<MessageRef> failed = owing_.Take(now);
  if (failed.has_value()) {
    relayed_.Remove(*failed);  // one report tells of both
    return failed;
  }
  return MayTellRelayed() ? relayed_.Take(now) : std::nullopt;
}

void Reporter::TakeNext() {
  std::optional<MessageRef> next = NextOwed();
  if (!next.has_value() && is_late_wanted_) {
    late_ = late_source_->NextLate();
    is_late_wanted_ = late_.has_value() || late_source_->has_more();
    next = late_.has_value() ? std::optional(late_->message) : std::nullopt;
  }
  if (!next.has_value()) {
    return;
  }
  message_ = *next;
  phase_ = Phase::kReading;
  reader_.Open(message_);
}

void Reporter::Stop() {
  stopped_ = true;
  if (phase_ == Phase::kReading) {
    End();
  }
}

Instant Reporter::NextDue() const {
  // Without a way for them failed mail is kept. What Step() waits for ends in a turn of its own.
  if (phase_ != Phase::kIdle || stopped_ || !snapshot_->reports.has_value() || reader_.busy() ||
      spool_.Congested()) {
    return Instant::Max();
  }
  Instant next = is_late_wanted_ ? io_.Now() : owing_.NextDue();
  if (MayTellRelayed()) {
    next = std::min(next, relayed_.NextDue());
  }
  if (!booked_.empty()) {
    next = std::min(next, booked_.begin()->first);
  }
  return next == Instant::Max() ? next : std::max({next, wait_until_, budget_.NextAt()});
}

void Reporter::End() {
  reader_.Close();
  writer_.Abandon();
  headers_.clear();
  late_.reset();
  phase_ = Phase::kIdle;
}

void Reporter::TryLater() {
  if (late_.has_value()) {
    late_source_->OnNotTold();
  } else if (is_booked_) {
    booked_.insert({io_.Now(), message_});
  } else {
    OwesFailure(message_) ? OnFailed(message_) : OnRelayed(message_);
  }
  wait_until_ = io_.Now() + kTryAgain;
  End();
}

// The others do not wait for it: the device may never give it back.
void Reporter::ReadLater() {
  MARK("report_unreadable");
  if (late_.has_value()) {
    late_source_->OnTold(*late_, /*is_stored=*/false);
  } else {
    booked_.insert({io_.Now() + kReadAgain, message_});
  }
  End();
}

// ---- reading ----

void Reporter::OnHead(ReadOutcome outcome) {
  if (outcome == ReadOutcome::kUnreadable) {
    return ReadLater();
  }
  std::optional<Envelope> envelope = outcome == ReadOutcome::kOk
                                         ? DecodeEnvelope(reader_.head().envelope)
                                         : std::optional<Envelope>();
  const bool is_known =
      envelope.has_value() && envelope->recipients.size() == spool_.Recipients(message_);
  if (!is_known && late_.has_value()) {
    late_source_->OnTold(*late_, /*is_stored=*/false);  // its next delivery says what it is
    return End();
  }
  if (!is_known) {
    MARK("nobody_to_report_to");
    SettleDebts(SettleKind::kQuarantined, /*only_unwanted=*/false);
    return End();
  }
  envelope_ = *std::move(envelope);
  arrival_ = reader_.head().arrival_wall;
  recipients_.clear();
  headers_end_ = false;
  late_.has_value() ? OnLateHead() : OnOwedHead();
}

void Reporter::OnLateHead() {
  for (const uint32_t recipient : late_->recipients) {
    const bool is_wanted = WantsDelays(envelope_.recipients[recipient]);
    if (is_wanted && !envelope_.reverse_path.empty() && spool_.IsLive(message_, recipient)) {
      recipients_.push_back(recipient);
    }
  }
  const uint64_t sender = Sender();
  if (recipients_.empty()) {
    late_source_->OnTold(*late_, /*is_stored=*/false);
    return End();
  }
  if (budget_.NextFor(sender, io_.Now()) > io_.Now()) {
    MARK("late_report_over_budget");
    late_source_->OnNotTold();
    return End();
  }
  budget_.Book(sender, io_.Now());
  reader_.NextContent();
}

void Reporter::OnOwedHead() {
  SettleDebts(SettleKind::kDiscarded, /*only_unwanted=*/!envelope_.reverse_path.empty());
  for (uint32_t i = 0; i < envelope_.recipients.size(); ++i) {
    if (spool_.IsPending(message_, i)) {
      recipients_.push_back(i);
    }
  }
  if (recipients_.empty() || !IsInBudget()) {
    return End();
  }
  reader_.NextContent();
}

// It has its turn, or a place for later.
bool Reporter::IsInBudget() {
  if (is_booked_) {
    return true;
  }
  const Instant at = budget_.Book(Sender(), io_.Now());
  is_booked_ = true;
  if (at > io_.Now()) {
    MARK("report_over_budget");
    booked_.insert({at, message_});
    return false;
  }
  return true;
}

uint64_t Reporter::Sender() const {
  return std::hash<std::string_view>()(envelope_.reverse_path);
}

// By a rule: nobody asked to be told, or there is nobody. What was relayed is owed to those who
// asked only, and is delivered whatever becomes of its report.
void Reporter::SettleDebts(SettleKind kind, bool only_unwanted) {
  for (uint32_t i = 0; i < spool_.Recipients(message_); ++i) {
    if (!spool_.IsPending(message_, i)) {
      continue;
    }
    const bool is_relayed = DebtOf(message_, i).is_relayed;
    if (only_unwanted && (is_relayed || WantsFailures(envelope_.recipients[i]))) {
      continue;
    }
    const RecipientSettle settle{i, is_relayed ? SettleKind::kDelivered : kind, Bytes()};
    spool_.Settle(message_, {&settle, 1});
  }
}

void Reporter::OnContent(ReadOutcome outcome, Bytes content) {
  if (outcome == ReadOutcome::kUnreadable) {
    return ReadLater();
  }
  headers_.append(AsText(content));
  const size_t end = headers_.find("\r\n\r\n");
  if (end != std::string::npos) {
    headers_end_ = true;
    headers_.resize(end + 2);
  }
  // A damaged message has a sender all the same: what could be read of it is sent.
  const bool is_over = outcome == ReadOutcome::kDamaged || content.empty();
  if (headers_end_ || is_over || headers_.size() >= kHeaderBytesMax) {
    headers_end_ = headers_end_ || (is_over && outcome == ReadOutcome::kOk);
    return Build();
  }
  reader_.NextContent();
}

// ---- the report ----

// What was settled while the header was read is told of by nobody: a deletion, say.
void Reporter::DropSettled() {
  std::erase_if(recipients_, [this](uint32_t recipient) {
    return late_.has_value() ? !spool_.IsLive(message_, recipient)
                             : !spool_.IsPending(message_, recipient);
  });
}

void Reporter::Build() {
  reader_.Close();
  DropSettled();
  if (recipients_.empty()) {
    MARK("settled_before_its_report");
    if (late_.has_value()) {
      late_source_->OnTold(*late_, /*is_stored=*/false);
    }
    return End();
  }
  const auto id = spool_.Id(message_).ToText();
  DeliveryReport report;
  report.hostname = snapshot_->hostname;
  report.queue_id = std::string_view(id.data(), id.size());
  report.envelope = &envelope_;
  report.arrival = arrival_;
  report.now = io_.WallNow();
  report.headers = AsBytes(headers_);
  report.headers_are_cut = !headers_end_;
  if (late_.has_value() && late_->end < SpoolTime::Max()) {
    report.retried_until = report.now + (late_->end - spool_.Clock());
  }
  last_.clear();
  last_.reserve(recipients_.size());  // the report's views point into it
  for (const uint32_t recipient : recipients_) {
    last_.push_back(DebtOf(message_, recipient));
    if (late_.has_value() && last_.back().text.empty()) {
      last_.back().text = late_->reason;
    }
    report.recipients.push_back(Tell(recipient, last_.back()));
  }
  const std::string text = BuildReport(report);
  own_flags_ = static_cast<uint16_t>(MessageFlags::kNullReversePath |
                                     (HasDotLines(text) ? MessageFlags::kDotLines : 0));
  own_envelope_.Clear();
  own_envelope_.AddRecipient().address = envelope_.reverse_path;
  own_envelope_.body = IsAscii(text) ? BodyType::k7Bit : BodyType::k8BitMime;
  // UTF-8 in the parts is content of 8 bits; only in the envelope and the header it needs more.
  own_envelope_.smtputf8 = !IsAscii(envelope_.reverse_path);
  phase_ = Phase::kStoring;
  writer_.Append(AsBytes(text));
  writer_.Finish(*this);
}

ReportedRecipient Reporter::Tell(uint32_t recipient, const Deferral& last) const {
  ReportedRecipient told;
  told.recipient = &envelope_.recipients[recipient];
  told.action = late_.has_value() ? ReportAction::kDelayed
                : last.is_relayed ? ReportAction::kRelayed
                                  : ReportAction::kFailed;
  told.code = last.code;
  told.enhanced = LeadingEnhancedCode(last.text);
  told.text = Trimmed(std::string_view(last.text).substr(told.enhanced.size()));
  told.remote = last.remote;
  if (last.last_try != SpoolTime()) {
    told.last_attempt = io_.WallNow() - (spool_.Clock() - last.last_try);
  }
  return told;
}

MessageDescription Reporter::Describe(const QueueId& id) {
  const WallTime now = io_.WallNow();
  own_envelope_.arrival_wall_nanoseconds = now.nanoseconds();
  encoded_.clear();
  EncodeEnvelope(own_envelope_, encoded_);
  const auto text = id.ToText();
  received_ = "Received: by " + snapshot_->hostname + " (backstay) id ";
  received_.append(text.data(), text.size()).append("; ");
  AppendDate(now, received_);
  received_.append("\r\n");
  domain_ = own_envelope_.recipients[0].Domain();
  if (snapshot_->FindDomain(domain_) == nullptr) {
    domain_.assign(kReportDomain);
  }
  domain_view_ = domain_;
  static constexpr uint16_t kFirst = 0;
  MessageDescription description;
  description.envelope = AsBytes(encoded_);
  description.prefix = AsBytes(received_);
  description.domains = {&domain_view_, 1};
  description.recipient_domains = {&kFirst, 1};
  description.arrival_wall = now;
  description.flags = own_flags_;
  description.is_ours = true;
  if (!late_.has_value()) {
    debts_.clear();
    for (size_t i = 0; i < recipients_.size(); ++i) {
      debts_.emplace_back(recipients_[i], /*was_delivered=*/last_[i].is_relayed);
    }
    description.report_of = ReportOf{message_, debts_};
  }
  return description;
}

void Reporter::OnCommitted(CommitResult result, MessageRef) {
  if (result != CommitResult::kStored) {
    return TryLater();
  }
  if (late_.has_value()) {
    late_source_->OnTold(*late_, /*is_stored=*/true);
  }
  ++reports_;
  budget_.Charge(io_.Now());
  End();
}

}  // namespace backstay
