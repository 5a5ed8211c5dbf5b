// core/shard/reporter.cc -- head, header section, report, record.
#include "core/shard/reporter.h"

#include <algorithm>
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
// What is read of a message for its header section.
constexpr size_t kHeaderBytesMax = 64 * 1024;

// RFC 3461 s4.1: without NOTIFY a failure is told.
bool WantsFailures(const Recipient& recipient) {
  return recipient.notify == 0 || (recipient.notify & Notify::kFailure) != 0;
}

bool HasDotLines(std::string_view text) {
  return text.starts_with('.') || text.find("\r\n.") != std::string_view::npos;
}

}  // namespace

Reporter::Reporter(Io& io, Spool& spool, const Snapshot*& snapshot)
    : io_(io), spool_(spool), snapshot_(snapshot), reader_(spool, *this), writer_(spool) {}

void Reporter::Step() {
  if (io_.Now() < NextDue() || reader_.busy() || spool_.Congested()) {
    return;
  }
  message_ = *owing_.begin();
  owing_.erase(owing_.begin());
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
  const bool has_work = phase_ == Phase::kIdle && !stopped_ && !owing_.empty();
  // Without a way for them failed mail is kept.
  return has_work && snapshot_->reports.has_value() ? wait_until_ : Instant::Max();
}

void Reporter::End() {
  reader_.Close();
  writer_.Abandon();
  headers_.clear();
  phase_ = Phase::kIdle;
}

void Reporter::TryLater() {
  owing_.insert(message_);
  wait_until_ = io_.Now() + kTryAgain;
  End();
}

// ---- reading ----

void Reporter::OnHead(ReadOutcome outcome) {
  if (outcome == ReadOutcome::kUnreadable) {
    return TryLater();
  }
  std::optional<Envelope> envelope = outcome == ReadOutcome::kOk
                                         ? DecodeEnvelope(reader_.head().envelope)
                                         : std::optional<Envelope>();
  if (!envelope.has_value() || envelope->recipients.size() != spool_.Recipients(message_)) {
    MARK("nobody_to_report_to");
    SettleDebts(SettleKind::kQuarantined, /*only_unwanted=*/false);
    return End();
  }
  envelope_ = *std::move(envelope);
  arrival_ = reader_.head().arrival_wall;
  SettleDebts(SettleKind::kDiscarded, /*only_unwanted=*/!envelope_.reverse_path.empty());
  recipients_.clear();
  for (uint32_t i = 0; i < envelope_.recipients.size(); ++i) {
    if (spool_.IsPending(message_, i)) {
      recipients_.push_back(i);
    }
  }
  if (recipients_.empty()) {
    return End();
  }
  headers_end_ = false;
  reader_.NextContent();
}

// By a rule: nobody asked to be told, or there is nobody.
void Reporter::SettleDebts(SettleKind kind, bool only_unwanted) {
  for (uint32_t i = 0; i < spool_.Recipients(message_); ++i) {
    const bool is_wanted = only_unwanted && WantsFailures(envelope_.recipients[i]);
    if (spool_.IsPending(message_, i) && !is_wanted) {
      const RecipientSettle settle{i, kind, Bytes()};
      spool_.Settle(message_, {&settle, 1});
    }
  }
}

void Reporter::OnContent(ReadOutcome outcome, Bytes content) {
  if (outcome == ReadOutcome::kUnreadable) {
    return TryLater();
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

void Reporter::Build() {
  reader_.Close();
  const auto id = spool_.Id(message_).ToText();
  DeliveryReport report;
  report.hostname = snapshot_->hostname;
  report.queue_id = std::string_view(id.data(), id.size());
  report.envelope = &envelope_;
  report.arrival = arrival_;
  report.now = io_.WallNow();
  report.headers = AsBytes(headers_);
  report.headers_are_cut = !headers_end_;
  std::vector<Deferral> failures(recipients_.size());
  for (size_t i = 0; i < recipients_.size(); ++i) {
    const Bytes note = spool_.FailureOf(message_, recipients_[i]);
    failures[i] = DecodeDeferralNote(note).value_or(Deferral());
    const std::string_view text = failures[i].text;
    ReportedRecipient told;
    told.recipient = &envelope_.recipients[recipients_[i]];
    told.code = failures[i].code;
    told.enhanced = LeadingEnhancedCode(text);
    told.text = Trimmed(text.substr(told.enhanced.size()));
    report.recipients.push_back(told);
  }
  const std::string text = BuildReport(report);
  own_flags_ = static_cast<uint16_t>(MessageFlags::kNullReversePath |
                                     (HasDotLines(text) ? MessageFlags::kDotLines : 0));
  own_envelope_.Clear();
  own_envelope_.AddRecipient().address = envelope_.reverse_path;
  own_envelope_.body = IsAscii(text) ? BodyType::k7Bit : BodyType::k8BitMime;
  own_envelope_.smtputf8 = envelope_.smtputf8;
  phase_ = Phase::kStoring;
  writer_.Append(AsBytes(text));
  writer_.Finish(*this);
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
    domain_.insert(domain_.begin(), kReportDomain);
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
  description.report_of = ReportOf{message_, recipients_};
  return description;
}

void Reporter::OnCommitted(CommitResult result, MessageRef) {
  if (result != CommitResult::kStored) {
    return TryLater();
  }
  ++reports_;
  End();
}

}  // namespace backstay
