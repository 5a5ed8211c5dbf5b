// core/shard/outbound.cc -- drives a ClientSession over a Stream.
#include "core/shard/outbound.h"

#include "core/base/check.h"

namespace backstay {
namespace {

using Phase = ClientSession::Phase;

// DESIGN 6: a host that does not answer SYN is down, long before TCP gives up.
constexpr absl::Duration kConnectDeadline = absl::Seconds(5);
// RFC 5321 s4.5.3.2, the minimum a client must wait in each phase.
constexpr absl::Duration kCommandDeadline = absl::Minutes(5);  // greeting, EHLO, MAIL, RCPT
constexpr absl::Duration kContentDeadline = absl::Minutes(3);  // each block
constexpr absl::Duration kFinalDeadline = absl::Minutes(10);   // the reply to the end of data
// How long an idle connection waits for the next message before it says QUIT.
constexpr absl::Duration kIdleKeep = absl::Seconds(2);
constexpr absl::Duration kQuitDeadline = absl::Seconds(5);  // courtesy only

absl::Duration DeadlineOf(Phase phase) {
  switch (phase) {
    case Phase::kGreeting:
    case Phase::kEhlo:
    case Phase::kEnvelope:
      return kCommandDeadline;
    case Phase::kReady:
      return kIdleKeep;
    case Phase::kContent:
      return kContentDeadline;
    case Phase::kFinal:
      return kFinalDeadline;
    case Phase::kQuit:
    case Phase::kFailed:
      return kQuitDeadline;
  }
  UNREACHABLE();
}

}  // namespace

OutboundConnection::OutboundConnection(Io& io, TimerWheel& wheel, List<Stream>& outbox,
                                       std::string_view hostname, OutboundEvents& events)
    : io_(io),
      wheel_(wheel),
      outbox_(outbox),
      events_(events),
      session_(hostname),
      stream_(io, *this) {}

OutboundConnection::~OutboundConnection() = default;

void OutboundConnection::Connect(const PrimaryHost& to) {
  ASSERT(!connect_.in_flight);
  host_ = to;
  io_.Connect(&connect_, to.address);
  wheel_.Insert(&deadline_, io_.Now() + kConnectDeadline);
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
    io_.Close(result.fd());
    connect_error_ = deadline_passed_ ? IoError::kTimedOut : IoError::kCanceled;
    Finished();
    return;
  }
  stream_.Start(result.fd());
  SetDeadline();
}

bool OutboundConnection::ready() const {
  return !closing_ && session_.phase() == Phase::kReady;
}

void OutboundConnection::StartTransaction(const Envelope& envelope,
                                          const std::vector<uint32_t>& indexes,
                                          uint64_t content_bytes, bool has_dot_lines) {
  ASSERT(ready());
  session_.StartTransaction(envelope, indexes, content_bytes, has_dot_lines);
  told_ = Phase::kEnvelope;
  Pump();
  SetDeadline();
}

void OutboundConnection::StartQuestion(const Envelope& envelope,
                                       const std::vector<uint32_t>& indexes) {
  ASSERT(ready());
  session_.StartQuestion(envelope, indexes);
  told_ = Phase::kEnvelope;
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
  if (closing_) {
    return;
  }
  closing_ = true;
  wheel_.Cancel(&deadline_);
  session_.ConnectionLost();
  if (connect_.in_flight) {
    io_.Cancel(&connect_);
    return;
  }
  stream_.Close();
}

size_t OutboundConnection::OnStreamBytes(Bytes bytes) {
  if (!closing_) {
    session_.Consume(bytes);
    Pump();
    SetDeadline();
    React();
  }
  return bytes.size();
}

void OutboundConnection::React() {
  const Phase phase = session_.phase();
  if (phase == told_) {
    return;
  }
  told_ = phase;
  switch (phase) {
    case Phase::kReady:
      greeted_ = true;
      events_.OnOutboundReady(*this);
      return;
    case Phase::kContent:
      events_.OnOutboundContentWanted(*this);
      return;
    case Phase::kFailed:
      Close();
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

void OutboundConnection::OnStreamEnd(IoError) {
  Close();
}

void OutboundConnection::OnStreamClosed() {
  Finished();
}

void OutboundConnection::OnDeadline() {
  if (!connect_.in_flight && session_.phase() == Phase::kReady) {
    Quit();
    return;
  }
  deadline_passed_ = true;
  Close();
}

void OutboundConnection::Finished() {
  closing_ = true;
  wheel_.Cancel(&deadline_);
  session_.ConnectionLost();
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
  if (!stream_.linked()) {
    outbox_.PushBack(&stream_);
  }
}

void OutboundConnection::SetDeadline() {
  if (closing_) {
    return;
  }
  wheel_.Cancel(&deadline_);
  wheel_.Insert(&deadline_, io_.Now() + DeadlineOf(session_.phase()));
}

}  // namespace backstay
