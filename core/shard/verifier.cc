// core/shard/verifier.cc -- one transaction after another, none with a message.
#include "core/shard/verifier.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/mark.h"
#include "core/smtp/address.h"
#include "core/smtp/ascii.h"

namespace backstay {
namespace {

constexpr size_t kQuestionsPerTransactionMax = 50;
static_assert(Verifier::kWaitingMax % kQuestionsPerTransactionMax == 0);

// A refusal for other reasons says nothing of who is known: "504 5.5.2 Helo command rejected" is
// about us, "552 5.2.2 Mailbox full" about today, 5.7.Y about who asks.
bool IsOfTheAddress(const Outcome& outcome) {
  const std::string_view enhanced = outcome.enhanced;
  if (enhanced.empty()) {  // RFC 5321 s4.2.3
    return outcome.code == 550 || outcome.code == 551 || outcome.code == 553;
  }
  if (enhanced == "5.4.1") {  // Exchange Online says so of whom it does not know
    return outcome.text.find("Recipient address rejected") != std::string::npos;
  }
  // 5.1.7 and 5.1.8 are about the sender's (RFC 3463 s3.2).
  return enhanced.starts_with("5.1.") && enhanced != "5.1.7" && enhanced != "5.1.8";
}

PrimaryVerdict VerdictOf(const Outcome& outcome) {
  if (outcome.kind == Outcome::Kind::kFailed && outcome.code == 0 && outcome.enhanced == "5.6.7") {
    return PrimaryVerdict::kNeedsUtf8;
  }
  if (outcome.phase != Outcome::Phase::kRcpt || outcome.code == 0) {
    return PrimaryVerdict::kNone;
  }
  if (outcome.kind == Outcome::Kind::kDelivered) {
    return PrimaryVerdict::kTaken;
  }
  const bool is_refused = outcome.kind == Outcome::Kind::kFailed && IsOfTheAddress(outcome);
  return is_refused ? PrimaryVerdict::kRefused : PrimaryVerdict::kNone;
}

}  // namespace

Verifier::Verifier(const OutboundParts& parts, VerifierHome& home) : parts_(parts), home_(home) {}

Verifier::~Verifier() = default;

void Verifier::Ask(RecipientQuestion& question) {
  if (!MakeRoom()) {
    MARK("questions_without_room");
    question.OnPrimarySaid(PrimaryVerdict::kNone);
    return;
  }
  waiting_.PushBack(&question);
  Continue();
}

// The oldest of those that nobody waits for makes it. False: there is none.
bool Verifier::MakeRoom() {
  if (DropForsaken() < kWaitingMax) {
    return true;
  }
  RecipientQuestion* question = waiting_.front();
  while (question != nullptr && question->interest() == RecipientQuestion::Interest::kWaiting) {
    question = waiting_.Next(question);
  }
  if (question == nullptr) {
    return false;
  }
  question->Unlink();
  question->OnPrimarySaid(PrimaryVerdict::kNone);
  return true;
}

// Returns how many are left. Nobody hears of these, so nothing is asked by it.
size_t Verifier::DropForsaken() {
  size_t left = 0;
  for (RecipientQuestion* question = waiting_.front(); question != nullptr;) {
    RecipientQuestion* const next = waiting_.Next(question);
    if (question->interest() == RecipientQuestion::Interest::kNone) {
      MARK("question_forsaken");
      question->Unlink();
      question->OnPrimarySaid(PrimaryVerdict::kNone);
    } else {
      ++left;
    }
    question = next;
  }
  return left;
}

void Verifier::LeaveBehind() {
  if (!idle()) {
    is_left_ = true;
    connection_->Close();
  }
}

void Verifier::Stop() {
  is_stopped_ = true;
  if (!idle()) {
    connection_->Close();
  }
  AnswerAll(PrimaryVerdict::kNone);
}

void Verifier::Continue() {
  if (is_asking_ || DropForsaken() == 0) {
    return;
  }
  if (is_stopped_) {
    AnswerAll(PrimaryVerdict::kNone);
    return;
  }
  if (idle()) {
    Connect();
    return;
  }
  while (connection_->ready() && !waiting_.empty()) {
    if (connection_->session().exhausted() || !home_.HasHost(connection_->address())) {
      MARK("questions_go_on_elsewhere");
      connection_->Quit();  // behind it the next connection
      return;
    }
    StartTransaction();
    if (connection_->ready()) {
      MARK("question_over_before_it_began");  // of what is no address
      TakeOutcomes();
    }
  }
}

void Verifier::StartTransaction() {
  envelope_.Clear();
  envelope_.smtputf8 = !IsAscii(waiting_.front()->address());
  std::vector<uint32_t> indexes;
  while (!waiting_.empty() && FitsTransaction(waiting_.front()->address())) {
    RecipientQuestion* question = waiting_.PopFront();
    indexes.push_back(static_cast<uint32_t>(indexes.size()));
    envelope_.AddRecipient().address.assign(question->address());
    asked_.PushBack(question);
  }
  is_asking_ = true;
  connection_->StartQuestion(envelope_, indexes);
  Watch();
}

// One question more. A primary may take fewer recipients (RFC 9422), or of one domain only; of more
// than one it is not asked here. Without SMTPUTF8 what needs it takes a whole transaction along.
bool Verifier::FitsTransaction(std::string_view address) const {
  const PrimaryExtensions& offered = connection_->session().extensions();
  const std::vector<Recipient>& recipients = envelope_.recipients;
  if (recipients.empty()) {
    return true;
  }
  if (envelope_.smtputf8 == IsAscii(address)) {
    MARK("question_of_the_other_kind");
    return false;
  }
  if (recipients.size() >= std::min<uint64_t>(kQuestionsPerTransactionMax,
                                              offered.recipients_max.value_or(UINT64_MAX))) {
    return false;
  }
  return !offered.recipient_domains_max.has_value() ||
         DomainOf(address) == recipients.front().Domain();
}

void Verifier::Connect() {
  const PrimaryHost* host = home_.VerifierHost();
  if (host == nullptr) {
    AnswerAll(PrimaryVerdict::kNone);
    return;
  }
  OutboundEvents& events = *this;
  previous_ = std::move(connection_);
  connection_ = std::make_unique<OutboundConnection>(parts_, home_.VerifierHostname(), events);
  is_closed_ = false;
  connection_->Connect(*host);
  Watch();
}

void Verifier::Watch() {
  replies_ = connection_->session().replies();
  parts_.wheel.Insert(&patience_,
                      parts_.io.Now() + (connection_->greeted() ? kSilentMax : kGreetsWithin));
}

// Silence before the end of EHLO is trouble of that host, and the next one of the list has its
// turn. Later it may be this connection's alone: the host lost it and does not know.
void Verifier::OnSilence() {
  if (connection_->session().replies() != replies_) {
    MARK("primary_answers_slowly");
    Watch();
  } else if (connection_->greeted()) {
    MARK("primary_silent_to_questions");
    LeaveBehind();
  } else {
    MARK("primary_greets_too_late");
    connection_->TimeOut();
  }
}

void Verifier::OnOutboundReady(OutboundConnection&) {
  if (is_asking_) {
    TakeOutcomes();
  } else {
    parts_.wheel.Cancel(&patience_);
    home_.OnVerifierGreeted();
  }
  Continue();
}

void Verifier::TakeOutcomes() {
  parts_.wheel.Cancel(&patience_);
  List<RecipientQuestion> asked;
  asked.TakeAll(asked_);
  const std::vector<Outcome> outcomes = connection_->session().outcomes();
  for (size_t position = 0; position < outcomes.size() && !asked.empty(); ++position) {
    // One that has gone meanwhile leaves a gap: its address is not the next one's.
    if (asked.front()->address() == envelope_.recipients[position].address) {
      asked.PopFront()->OnPrimarySaid(VerdictOf(outcomes[position]));
    }
  }
  is_asking_ = false;  // not before: an answer may bring the next question
}

void Verifier::AnswerAll(PrimaryVerdict verdict) {
  List<RecipientQuestion> all;
  all.TakeAll(asked_);
  while (RecipientQuestion* question = waiting_.PopFront()) {
    all.PushBack(question);
  }
  while (RecipientQuestion* question = all.PopFront()) {
    question->OnPrimarySaid(verdict);
  }
}

void Verifier::OnOutboundContentWanted(OutboundConnection&) {
  UNREACHABLE();  // no message is sent
}

void Verifier::OnOutboundClosed(OutboundConnection& connection) {
  is_closed_ = true;
  parts_.wheel.Cancel(&patience_);
  const bool was_left = std::exchange(is_left_, false);
  const bool was_asking = is_asking_;
  if (was_asking) {
    TakeOutcomes();  // what was said before it ended counts
  }
  if (was_left || (connection.tls_fallback() && !is_stopped_)) {
    Continue();
    return;
  }
  if (!connection.greeted() && !is_stopped_) {
    home_.OnVerifierFailed(connection);
    AnswerAll(PrimaryVerdict::kNone);
    return;
  }
  if (was_asking) {
    AnswerAll(PrimaryVerdict::kNone);  // not again and again to one that hangs up on it
  }
  Continue();  // others came while it said QUIT
}

}  // namespace backstay
