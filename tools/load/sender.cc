// tools/load/sender.cc -- replies in order, each to the step that it was owed for.
#include "tools/load/sender.h"

#include <fmt/format.h>

#include <utility>

#include "core/base/check.h"

namespace backstay {

std::string_view Describe(LoadPhase phase) {
  switch (phase) {
    case LoadPhase::kConnect:
      return "connect";
    case LoadPhase::kGreeting:
      return "greeting";
    case LoadPhase::kEhlo:
      return "ehlo";
    case LoadPhase::kTls:
      return "tls";
    case LoadPhase::kMail:
      return "mail";
    case LoadPhase::kRcpt:
      return "rcpt";
    case LoadPhase::kData:
      return "data";
    case LoadPhase::kEnd:
      return "end";
  }
  UNREACHABLE();
}

std::string Describe(const Ending& ending) {
  if (ending.kind == Ending::Kind::kRefused) {
    return fmt::format("{} {}", Describe(ending.phase), ending.code);
  }
  const bool orderly = ending.error == IoError::kNone;
  return fmt::format("{} lost: {}", Describe(ending.phase),
                     orderly ? "the server hung up" : Describe(ending.error));
}

Sender::Sender(const World& world, const SocketAddress& source)
    : world_(world), source_(source), stream_(world.outbox, *this) {}

Sender::~Sender() = default;

// ---- a session's life ----

void Sender::Start(const std::optional<Draft>& first) {
  ASSERT(phase_ == Phase::kClosed);
  ASSERT(!ending_.has_value());
  phase_ = Phase::kConnecting;
  parser_ = ReplyParser();
  secure_ = false;
  was_ready_ = false;
  sent_ = 0;
  first_ = first;
  steps_.clear();
  next_step_ = 0;
  reset_owed_ = false;
  cutting_ = false;
  session_ending_.reset();
  last_progress_ = world_.io.Now();
  world_.wheel.Insert(&patience_, last_progress_ + world_.plan.reply_timeout);
  world_.io.ConnectFrom(&connect_, source_, world_.plan.server);
}

void Sender::OnConnected(const IoResult& result) {
  if (!result.ok()) {
    phase_ = Phase::kClosing;
    const Ending ending{
        .kind = Ending::Kind::kLost, .phase = LoadPhase::kConnect, .error = result.error()};
    EndDrafts(ending);
    session_ending_ = session_ending_.value_or(ending);
    OnStreamClosed();
    return;
  }
  if (phase_ == Phase::kClosing) {  // given up meanwhile
    stream_.Start(result.fd());
    stream_.Close();
    return;
  }
  phase_ = Phase::kGreeting;
  last_progress_ = world_.io.Now();
  stream_.Start(result.fd());
}

void Sender::Give(const Draft& draft) {
  ASSERT(phase_ == Phase::kIdle);
  phase_ = Phase::kSending;
  current_ = draft;
  last_progress_ = world_.io.Now();
  SendEnvelope();
}

void Sender::Stop() {
  if (phase_ == Phase::kIdle) {
    Quit();
  } else if (phase_ != Phase::kClosed && phase_ != Phase::kClosing && phase_ != Phase::kQuitting) {
    End({.kind = Ending::Kind::kLost, .phase = phase_of_loss(), .error = IoError::kCanceled});
  }
}

// The end of the session: drafts first, then, once nothing is in flight, the session.
void Sender::End(const Ending& ending) {
  if (phase_ == Phase::kClosing || phase_ == Phase::kClosed) {
    return;
  }
  const bool connecting = phase_ == Phase::kConnecting;
  phase_ = Phase::kClosing;
  Unlink();  // of the list of those that wait for a draft
  session_ending_ = ending;
  EndDrafts(ending);
  if (connecting) {
    world_.io.Cancel(&connect_);
  } else {
    stream_.Close();
  }
}

void Sender::EndDrafts(const Ending& ending) {
  for (std::optional<Draft>* draft : {&ending_, &current_, &first_}) {
    if (draft->has_value()) {
      world_.home.OnDraftEnded(**draft, ending);
      draft->reset();
    }
  }
}

void Sender::OnStreamClosed() {
  phase_ = Phase::kClosed;
  world_.wheel.Cancel(&patience_);
  ASSERT(session_ending_.has_value());
  world_.home.OnSenderClosed(*this, *session_ending_);
}

void Sender::OnStreamEnd(IoError error) {
  if (phase_ == Phase::kQuitting || phase_ == Phase::kIdle) {
    End({.kind = Ending::Kind::kAcknowledged});
    return;
  }
  End({.kind = Ending::Kind::kLost, .phase = phase_of_loss(), .error = error});
}

void Sender::OnStreamDrained() {
  if (cutting_) {
    End({.kind = Ending::Kind::kCut, .phase = LoadPhase::kData});
  }
}

void Sender::OnStreamSecure() {
  secure_ = true;
  phase_ = Phase::kEhlo;
  Command("EHLO load.test\r\n", std::nullopt);
}

// Looks when it fires; it is not moved at every reply.
void Sender::OnTimeout() {
  const Instant due = last_progress_ + world_.plan.reply_timeout;
  const bool waits = phase_ != Phase::kIdle && phase_ != Phase::kClosing;
  if (waits && world_.io.Now() >= due) {
    End({.kind = Ending::Kind::kLost, .phase = phase_of_loss(), .error = IoError::kTimedOut});
    return;
  }
  world_.wheel.Insert(&patience_, waits ? due : world_.io.Now() + world_.plan.reply_timeout);
}

LoadPhase Sender::phase_of_loss() const {
  switch (phase_) {
    case Phase::kConnecting:
      return LoadPhase::kConnect;
    case Phase::kGreeting:
      return LoadPhase::kGreeting;
    case Phase::kEhlo:
      return LoadPhase::kEhlo;
    case Phase::kStartTls:
    case Phase::kHandshake:
      return LoadPhase::kTls;
    default:
      break;
  }
  if (next_step_ == steps_.size()) {
    return LoadPhase::kMail;
  }
  switch (steps_[next_step_]) {
    case Step::kReset:
    case Step::kMail:
      return LoadPhase::kMail;
    case Step::kRcpt:
      return LoadPhase::kRcpt;
    case Step::kData:
      return LoadPhase::kData;
    case Step::kEnd:
      return LoadPhase::kEnd;
  }
  UNREACHABLE();
}

// ---- replies ----

size_t Sender::OnStreamBytes(Bytes bytes) {
  const size_t taken = bytes.size();
  last_progress_ = world_.io.Now();
  while (!bytes.empty() && phase_ != Phase::kClosing) {
    switch (parser_.Consume(bytes)) {
      case ReplyParser::Result::kIncomplete:
        break;
      case ReplyParser::Result::kReply:
        OnReply(parser_.reply());
        break;
      case ReplyParser::Result::kError:
        End({.kind = Ending::Kind::kLost, .phase = phase_of_loss(), .error = IoError::kInvalid});
        break;
    }
  }
  return taken;
}

void Sender::OnReply(const PrimaryReply& reply) {
  if (reply.code == 421) {
    End({.kind = Ending::Kind::kRefused, .phase = phase_of_loss(), .code = reply.code});
    return;
  }
  switch (phase_) {
    case Phase::kGreeting:
    case Phase::kEhlo:
    case Phase::kStartTls:
      OnHello(reply);
      return;
    case Phase::kSending:
    case Phase::kIdle:
      if (next_step_ == steps_.size()) {  // nobody asked
        End({.kind = Ending::Kind::kLost, .phase = phase_of_loss(), .error = IoError::kInvalid});
        return;
      }
      OnStep(steps_[next_step_++], reply);
      return;
    case Phase::kQuitting:
      End({.kind = Ending::Kind::kAcknowledged});
      return;
    case Phase::kClosed:
    case Phase::kConnecting:
    case Phase::kHandshake:
    case Phase::kClosing:
      return;
  }
  UNREACHABLE();
}

void Sender::OnHello(const PrimaryReply& reply) {
  if (!reply.positive()) {
    End({.kind = Ending::Kind::kRefused, .phase = phase_of_loss(), .code = reply.code});
    return;
  }
  if (phase_ == Phase::kGreeting) {
    phase_ = Phase::kEhlo;
    Command("EHLO load.test\r\n", std::nullopt);
  } else if (phase_ == Phase::kStartTls) {
    phase_ = Phase::kHandshake;
    stream_.StartTls(world_.home.MakeTlsSession(), world_.handshakes);
  } else if (world_.plan.tls && !secure_) {
    phase_ = Phase::kStartTls;
    Command("STARTTLS\r\n", std::nullopt);
  } else {
    Ready();
  }
}

void Sender::OnStep(Step step, const PrimaryReply& reply) {
  if (next_step_ == steps_.size()) {
    steps_.clear();
    next_step_ = 0;
  }
  switch (step) {
    case Step::kReset:
      Next();
      return;
    case Step::kMail:
      OnMailReply(reply);
      return;
    case Step::kRcpt:
      OnRcptReply(reply);
      return;
    case Step::kData:
      OnDataReply(reply);
      return;
    case Step::kEnd:
      OnEndReply(reply);
      return;
  }
  UNREACHABLE();
}

// Of a pipelined envelope the replies behind a refusal are read too: the one to DATA decides.
void Sender::OnMailReply(const PrimaryReply& reply) {
  current_->taken = reply.positive();
  if (!reply.positive()) {
    first_refusal_ = reply.code;
  }
  if (world_.plan.pipelining != Pipelining::kOff) {
    return;
  }
  if (!reply.positive()) {
    RefuseCurrent(LoadPhase::kMail, reply.code);
    return;
  }
  world_.scratch.clear();
  world_.maker.AppendRcpt(current_->number, recipients_sent_++, world_.scratch);
  Command(world_.scratch, Step::kRcpt);
}

void Sender::OnRcptReply(const PrimaryReply& reply) {
  const auto index = current_->accepted + static_cast<uint32_t>(current_->refused.size());
  if (reply.positive()) {
    ++current_->accepted;
  } else {
    current_->refused.push_back(index);
    first_refusal_ = first_refusal_ == 0 ? reply.code : first_refusal_;
  }
  if (world_.plan.pipelining != Pipelining::kOff) {
    return;
  }
  if (recipients_sent_ < world_.maker.recipients()) {
    world_.scratch.clear();
    world_.maker.AppendRcpt(current_->number, recipients_sent_++, world_.scratch);
    Command(world_.scratch, Step::kRcpt);
  } else if (current_->accepted > 0) {
    Command("DATA\r\n", Step::kData);
  } else {
    RefuseCurrent(LoadPhase::kRcpt, first_refusal_);
  }
}

void Sender::OnDataReply(const PrimaryReply& reply) {
  if (reply.code == 354) {
    SendContent();
    return;
  }
  const LoadPhase phase = !current_->taken          ? LoadPhase::kMail
                          : current_->accepted == 0 ? LoadPhase::kRcpt
                                                    : LoadPhase::kData;
  RefuseCurrent(phase, first_refusal_ != 0 ? first_refusal_ : reply.code);
}

void Sender::OnEndReply(const PrimaryReply& reply) {
  const Draft draft = *std::exchange(ending_, std::nullopt);
  if (reply.positive() && draft.accepted > 0) {
    world_.home.OnDraftEnded(draft, {.kind = Ending::Kind::kAcknowledged});
  } else {
    world_.home.OnDraftEnded(
        draft, {.kind = Ending::Kind::kRefused, .phase = LoadPhase::kEnd, .code = reply.code});
  }
  if (!current_.has_value() && phase_ == Phase::kSending) {
    Next();
  }
}

// ---- commands ----

bool Sender::HasQuota() const {
  return world_.plan.messages_max == 0 || sent_ < world_.plan.messages_max;
}

void Sender::Ready() {
  phase_ = Phase::kSending;
  was_ready_ = true;
  world_.home.OnSenderReady(*this);
  if (world_.plan.purpose != SenderPlan::Purpose::kSend) {
    phase_ = Phase::kIdle;
    if (world_.plan.purpose == SenderPlan::Purpose::kLeave) {
      Quit();
    }
    return;
  }
  if (first_.has_value()) {
    current_ = std::exchange(first_, std::nullopt);
    SendEnvelope();
    return;
  }
  Next();
}

// Nothing is owed on this connection: the next message, a rest, or the end.
void Sender::Next() {
  ASSERT(!current_.has_value());
  if (std::exchange(reset_owed_, false)) {
    Command("RSET\r\n", Step::kReset);
    return;
  }
  if (!HasQuota()) {
    Quit();
    return;
  }
  Draft draft;
  switch (world_.home.NextDraft(*this, draft)) {
    case SenderHome::Supply::kDraft:
      phase_ = Phase::kSending;
      current_ = draft;
      SendEnvelope();
      return;
    case SenderHome::Supply::kNothing:
      phase_ = Phase::kIdle;
      world_.home.OnSenderIdle(*this);
      return;
    case SenderHome::Supply::kDone:
      Quit();
      return;
  }
  UNREACHABLE();
}

void Sender::SendEnvelope() {
  ++sent_;
  recipients_sent_ = 0;
  first_refusal_ = 0;
  world_.scratch.clear();
  world_.maker.AppendMail(current_->number, world_.scratch);
  steps_.push_back(Step::kMail);
  if (world_.plan.pipelining != Pipelining::kOff) {
    for (size_t index = 0; index < world_.maker.recipients(); ++index) {
      world_.maker.AppendRcpt(current_->number, index, world_.scratch);
      steps_.push_back(Step::kRcpt);
    }
    world_.scratch += "DATA\r\n";
    steps_.push_back(Step::kData);
  }
  Command(world_.scratch, std::nullopt);
}

// Behind 354. Without a recipient the server should not have said it; an empty message ends that.
void Sender::SendContent() {
  ASSERT(!ending_.has_value());
  world_.scratch.clear();
  if (current_->accepted > 0) {
    world_.maker.AppendContent(current_->number, world_.scratch);
  }
  if (current_->cut) {
    SendCut();
    return;
  }
  world_.scratch += ".\r\n";
  ending_ = std::exchange(current_, std::nullopt);
  ending_->ended = world_.io.Now();
  Command(world_.scratch, Step::kEnd);
  Draft draft;
  if (world_.plan.pipelining == Pipelining::kChained && HasQuota() &&
      world_.home.NextDraft(*this, draft) == SenderHome::Supply::kDraft) {
    current_ = draft;
    SendEnvelope();
  }
}

void Sender::SendCut() {
  cutting_ = true;
  stream_.Queue(AsBytes(world_.scratch).first(world_.scratch.size() / 2));
}

void Sender::RefuseCurrent(LoadPhase phase, int code) {
  ASSERT(!ending_.has_value());  // it was answered before
  reset_owed_ = current_->taken;
  const Draft draft = *std::exchange(current_, std::nullopt);
  world_.home.OnDraftEnded(draft, {.kind = Ending::Kind::kRefused, .phase = phase, .code = code});
  Next();
}

void Sender::Quit() {
  phase_ = Phase::kQuitting;
  last_progress_ = world_.io.Now();
  Command("QUIT\r\n", std::nullopt);
}

void Sender::Command(std::string_view text, std::optional<Step> step) {
  stream_.Queue(AsBytes(text));
  if (step.has_value()) {
    steps_.push_back(*step);
  }
}

}  // namespace backstay
