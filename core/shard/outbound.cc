// core/shard/outbound.cc -- drives a ClientSession over a Stream.
#include "core/shard/outbound.h"

#include "core/base/check.h"
#include "core/base/mark.h"
#include "core/shard/failure_text.h"

namespace backstay {
namespace {

using Phase = ClientSession::Phase;

// From the 220 to the end of the handshake: a few round trips, and a server that is busy.
constexpr absl::Duration kHandshakeDeadline = absl::Minutes(1);
// TLS that took less, from STARTTLS on, when the owner lost patience: the host was slow before.
constexpr absl::Duration kTlsPatience = absl::Seconds(10);
// How long an idle connection waits for the next message before it says QUIT.
constexpr absl::Duration kIdleKeep = absl::Seconds(2);
constexpr absl::Duration kQuitDeadline = absl::Seconds(5);  // courtesy only

absl::Duration DeadlineOf(Phase phase, const DeliveryTimes& times) {
  switch (phase) {
    case Phase::kGreeting:
    case Phase::kEhlo:
    case Phase::kStartTls:
    case Phase::kEnvelope:
      return times.reply;
    case Phase::kHandshake:
      return kHandshakeDeadline;
    case Phase::kReady:
      return kIdleKeep;
    case Phase::kContent:
      return times.content;
    case Phase::kFinal:
      return times.final;
    case Phase::kQuit:
    case Phase::kFailed:
      return kQuitDeadline;
  }
  UNREACHABLE();
}

}  // namespace

OutboundConnection::OutboundConnection(const OutboundParts& parts, std::string_view hostname,
                                       OutboundEvents& events)
    : parts_(parts), events_(events), session_(hostname), stream_(parts.outbox, *this) {}

OutboundConnection::~OutboundConnection() = default;

void OutboundConnection::Connect(const PrimaryHost& to) {
  ASSERT(!connect_.in_flight);
  host_ = to;
  wanted_ = parts_.tls.Wanted(to.address);
  session_.WantTls(wanted_);
  parts_.io.Connect(&connect_, to.address);
  parts_.wheel.Insert(&deadline_, parts_.io.Now() + parts_.times.connect);
}

void OutboundConnection::OnConnected(const IoResult& result) {
  if (!result.ok()) {
    connect_error_ = result.error();
    if (deadline_passed_) {
      connect_error_ = IoError::kTimedOut;
    }
    Finished();
    return;
  }
  if (closing_) {  // the cancel lost the race
    parts_.io.Close(result.fd());
    connect_error_ = deadline_passed_ ? IoError::kTimedOut : IoError::kCanceled;
    Finished();
    return;
  }
  stream_.Start(result.fd());
  SetDeadline();
}

bool OutboundConnection::ready() const {
  return !closing_ && session_.phase() == Phase::kReady && parts_.tls.Suffices(level_);
}

bool OutboundConnection::tls_failed() const {
  const ClientSession::Failure failure = session_.failure();
  return tls_is_judged_ && (failure == ClientSession::Failure::kTlsNotOffered ||
                            failure == ClientSession::Failure::kTlsRefused ||
                            failure == ClientSession::Failure::kTlsFailed);
}

void OutboundConnection::StartTransaction(const Envelope& envelope,
                                          const std::vector<uint32_t>& indexes,
                                          uint64_t content_bytes, bool has_dot_lines) {
  ASSERT(ready());
  session_.StartTransaction(envelope, indexes, content_bytes, has_dot_lines);
  told_ = session_.phase();  // it may be over: whoever began it looks
  Pump();
  SetDeadline();
}

bool OutboundConnection::Chain(const Envelope& envelope, const std::vector<uint32_t>& indexes,
                               uint64_t content_bytes, bool has_dot_lines) {
  if (closing_ || session_.phase() != Phase::kFinal || !parts_.tls.Suffices(level_) ||
      !session_.Chain(envelope, indexes, content_bytes, has_dot_lines)) {
    return false;
  }
  told_ = Phase::kFinal;
  chained_ = true;
  Pump();
  return true;
}

void OutboundConnection::StartQuestion(const Envelope& envelope,
                                       const std::vector<uint32_t>& indexes) {
  ASSERT(ready());
  session_.StartQuestion(envelope, indexes);
  told_ = session_.phase();  // as above
  Pump();
  SetDeadline();
}

void OutboundConnection::WriteContent(Bytes stored) {
  session_.WriteContent(stored);
  Pump();
  SetDeadline();
}

void OutboundConnection::EndContent() {
  session_.EndContent();
  Pump();
  SetDeadline();
}

void OutboundConnection::AbortContent() {
  session_.AbortContent();
  Close();
}

void OutboundConnection::Quit() {
  if (closing_) {
    return;
  }
  if (session_.phase() != Phase::kReady) {
    Close();
    return;
  }
  session_.Quit();
  told_ = Phase::kQuit;
  Pump();
  SetDeadline();
}

void OutboundConnection::Close() {
  tls_is_judged_ = tls_is_judged_ && closing_;
  End();
}

void OutboundConnection::TimeOut() {
  deadline_passed_ = deadline_passed_ || !closing_;
  tls_is_judged_ = tls_is_judged_ && (closing_ || parts_.io.Now() - tls_began_ >= kTlsPatience);
  End();
}

void OutboundConnection::End() {
  if (!closing_) {
    closing_ = true;
    parts_.wheel.Cancel(&deadline_);
    session_.ConnectionLost();
    if (connect_.in_flight) {
      parts_.io.Cancel(&connect_);
      return;
    }
  }
  stream_.Close();
}

// What is wrong with its TLS is told to the peer, too: its operator may be the one who can mend it.
void OutboundConnection::CloseAfterAlert() {
  closing_ = true;
  session_.ConnectionLost();
  stream_.CloseAfterSend();
  parts_.wheel.Cancel(&deadline_);
  parts_.wheel.Insert(&deadline_, parts_.io.Now() + kQuitDeadline);
}

size_t OutboundConnection::OnStreamBytes(Bytes bytes) {
  if (!closing_) {
    const uint64_t replies = session_.replies();
    session_.Consume(bytes);
    Pump();
    if (session_.replies() != replies) {
      SetDeadline();  // a byte now and then is no answer
    }
    React();
  }
  return bytes.size();
}

void OutboundConnection::React() {
  if (chained_ && !session_.chained()) {
    chained_ = false;
    events_.OnOutboundEnded(*this);
  }
  const Phase phase = session_.phase();
  if (phase == told_) {
    return;
  }
  told_ = phase;
  switch (phase) {
    case Phase::kReady:
      greeted_ = true;
      if (session_.secure()) {
        parts_.tls.OnSecure(host_.address);
      }
      events_.OnOutboundReady(*this);
      return;
    case Phase::kContent:
      events_.OnOutboundContentWanted(*this);
      return;
    case Phase::kStartTls:
      tls_began_ = parts_.io.Now();
      return;
    case Phase::kHandshake:
      StartTls();
      return;
    case Phase::kFailed:
      End();
      return;
    case Phase::kGreeting:
    case Phase::kEhlo:
    case Phase::kEnvelope:
    case Phase::kFinal:
    case Phase::kQuit:
      return;
  }
  UNREACHABLE();
}

void OutboundConnection::OnStreamDrained() {
  if (!closing_ && session_.phase() == Phase::kContent) {
    SetDeadline();  // a block went out
    events_.OnOutboundContentWanted(*this);
  }
}

void OutboundConnection::StartTls() {
  std::unique_ptr<TlsSession> tls = parts_.tls.MakeSession(host_.name);
  if (tls == nullptr) {
    MARK("tls_turned_off_meanwhile");
    Close();  // nobody's fault
    return;
  }
  level_ = parts_.tls.level();
  stream_.StartTls(std::move(tls), parts_.tls.turns());
}

void OutboundConnection::OnStreamSecure() {
  tls_protocol_ = stream_.tls()->protocol();
  session_.Secured();
  Pump();
  SetDeadline();
}

void OutboundConnection::OnStreamEnd(IoError error) {
  if (error == IoError::kTls && !closing_) {
    MARK("outbound_tls_failed");
    tls_failure_ = stream_.tls()->failure();
    CloseAfterAlert();
    return;
  }
  End();
}

void OutboundConnection::OnStreamClosed() {
  Finished();
}

void OutboundConnection::OnDeadline() {
  if (!closing_ && !connect_.in_flight && session_.phase() == Phase::kReady) {
    Quit();
  } else if (session_.phase() == Phase::kQuit) {
    MARK("no_reply_to_quit");
    End();  // nobody's fault
  } else {
    TimeOut();
  }
}

void OutboundConnection::Finished() {
  closing_ = true;
  parts_.wheel.Cancel(&deadline_);
  session_.ConnectionLost();
  if (tls_failed()) {
    parts_.tls.OnFailed(host_.address, session_.failure(), FailureText(*this));
  }
  if (session_.failure() == ClientSession::Failure::kNotAdmitted) {
    parts_.tls.OnDemanded(host_.address);
  }
  events_.OnOutboundClosed(*this);
}

// Moves the session's output to the stream; the shard flushes all streams at the end of the turn.
void OutboundConnection::Pump() {
  const std::string_view output = session_.output();
  if (output.empty() || closing_) {
    return;
  }
  stream_.Queue(AsBytes(output));
  session_.DropOutput(output.size());
}

void OutboundConnection::SetDeadline() {
  if (closing_) {
    return;
  }
  parts_.wheel.Cancel(&deadline_);
  parts_.wheel.Insert(&deadline_, parts_.io.Now() + DeadlineOf(session_.phase(), parts_.times));
}

}  // namespace backstay
