// core/shard/inbound.cc -- joins a client's stream, its session and the spool.
#include "core/shard/inbound.h"

#include <fmt/format.h>

#include <utility>

#include "core/base/check.h"
#include "core/base/mark.h"

namespace backstay {
namespace {

// After our last word: how long a client may take to read it, and then to hang up. Enough for what
// it had on its way, short enough for a client that means to stay.
constexpr absl::Duration kGoodbyeMax = absl::Seconds(2);

// In each idle timeout; 110 bytes a second with five minutes. A message that is shorter has one
// idle timeout in all.
constexpr uint32_t kContentBytesMin = 32 * 1024;

// From the 220 to the end of the handshake: a few round trips, however bad the line is.
constexpr absl::Duration kHandshakeMax = absl::Seconds(30);

// Of "TO:<a@b> NOTIFY=NEVER": a@b. What is no path is shown as it is.
std::string_view AddressOf(std::string_view argument) {
  const size_t begin = argument.find('<');
  const size_t end = argument.rfind('>');
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) {
    return argument;
  }
  return argument.substr(begin + 1, end - begin - 1);
}

}  // namespace

InboundConnection::InboundConnection(Io& io, TimerWheel& wheel, Spool& spool, List<Stream>& outbox,
                                     const ServerParams& params, InboundHome& home)
    : io_(io),
      wheel_(wheel),
      spool_(spool),
      outbox_(outbox),
      params_(params),
      home_(home),
      session_(params, *this),
      stream_(io, *this) {}

InboundConnection::~InboundConnection() = default;

void InboundConnection::Start(Fd socket, uint32_t listener, const SocketAddress& client,
                              const Reply& refusal) {
  ASSERT(transaction_ == nullptr);
  listener_ = listener;
  client_ = client;
  admitted_ = refusal.positive();
  number_ = home_.Log().NextConnection();
  Log(admitted_ ? EventKind::kConnected : EventKind::kTurnedAway, "CONNECT", refusal);
  last_progress_ = io_.Now();
  stream_.Start(socket);
  if (refusal.positive()) {
    session_.Greet();
  } else {
    session_.GreetWith(refusal);
  }
  wheel_.Insert(&idle_timer_, io_.Now() + home_.IdleTimeout());
  Pump();
}

size_t InboundConnection::OnStreamBytes(Bytes bytes) {
  if (closing_) {
    return bytes.size();
  }
  if (!greeting_sent_) {
    MARK("early_talker");
    session_.TalkedTooEarly();
    Pump();
    return bytes.size();
  }
  if (spool_.Congested() && session_.in_data()) {
    MARK("inbound_congested");
    if (!uncongested_.linked()) {
      spool_.WaitUncongested(&uncongested_);
    }
    return 0;
  }
  const size_t taken = session_.Consume(bytes);
  if (IsProgress(taken)) {
    last_progress_ = io_.Now();
  }
  Pump();
  return closing_ ? bytes.size() : taken;
}

// A byte now and then keeps nobody's place: what counts is a whole command, or content at a pace.
bool InboundConnection::IsProgress(size_t taken) {
  if (!session_.in_data()) {
    content_bytes_ = 0;
    return !session_.has_partial_line();
  }
  content_bytes_ += static_cast<uint32_t>(taken);
  if (content_bytes_ < kContentBytesMin) {
    return false;
  }
  content_bytes_ = 0;
  return true;
}

// Moves replies to the stream, but only when the last ones are with the kernel: what a client does
// not read stays in the session, whose bound then stops the reading (reliability row 22).
void InboundConnection::Pump() {
  if (closing_ || stream_.handshaking()) {
    return;
  }
  const std::string_view output = session_.output();
  if (!output.empty() && stream_.queued_bytes() == 0) {
    stream_.Queue(AsBytes(output));
    session_.DropOutput(output.size());
    if (!stream_.linked()) {
      outbox_.PushBack(&stream_);
    }
  }
  if (!session_.output().empty()) {
    return;
  }
  if (session_.wants_close()) {
    SayGoodbye();
  } else if (session_.wants_tls()) {
    StartTls();
  }
}

void InboundConnection::SayGoodbye() {
  closing_ = true;
  DropTransaction();
  stream_.CloseAfterSend();
  SetDeadline(kGoodbyeMax);
}

// Instead of when the idle timer happens to look next.
void InboundConnection::SetDeadline(absl::Duration delay) {
  last_progress_ = io_.Now();
  wheel_.Cancel(&idle_timer_);
  wheel_.Insert(&idle_timer_, last_progress_ + delay);
}

// The 220 is queued and leaves in clear text, the last to do so.
void InboundConnection::StartTls() {
  std::unique_ptr<TlsSession> tls = home_.MakeTlsSession(listener_);
  if (tls == nullptr) {
    Close();  // a reload took TLS away while the 220 waited for a client that did not read
    return;
  }
  stream_.StartTls(std::move(tls), home_.Handshakes());
  session_.StartedTls();
  handshake_owed_ = true;
  SetDeadline(kHandshakeMax);
}

void InboundConnection::OnStreamSecure() {
  handshake_owed_ = false;
  home_.OnHandshake(/*completed=*/true);
  last_progress_ = io_.Now();
}

void InboundConnection::OnStreamDrained() {
  if (stream_.handshaking()) {
    return;  // no progress of a kind that moves the deadline
  }
  greeting_sent_ = true;
  last_progress_ = io_.Now();
  if (closing_) {
    if (!admitted_) {
      stream_.Close();  // who was turned away at the door holds no descriptor of ours
    }
    return;
  }
  Pump();
  if (!closing_ && !uncongested_.linked()) {
    stream_.Resume();
  }
}

void InboundConnection::OnStreamEnd(IoError error) {
  if (error == IoError::kTls && !closing_) {
    MARK("inbound_tls_failed");
    SayGoodbye();  // the alert
    return;
  }
  Close();
}

void InboundConnection::Close() {
  if (!closing_) {
    closing_ = true;
    DropTransaction();
  }
  stream_.Close();
}

void InboundConnection::OnStreamClosed() {
  closing_ = true;
  DropTransaction();
  wheel_.Cancel(&idle_timer_);
  uncongested_.Unlink();
  if (std::exchange(handshake_owed_, false)) {
    home_.OnHandshake(/*completed=*/false);
  }
  if (admitted_) {
    Log(EventKind::kDisconnected, "", replies::kOk);
  }
  home_.OnInboundClosed(*this);
}

void InboundConnection::DropTransaction() {
  judged_.Unlink();
  if (transaction_ != nullptr) {
    std::exchange(transaction_, nullptr)->Abandon();
  }
}

Reply InboundConnection::OnMail(std::string_view reverse_path, const MailParams& params) {
  const Reply verdict = home_.MayReceive();
  if (!verdict.positive()) {
    return verdict;
  }
  ASSERT(transaction_ == nullptr);
  transaction_ = &home_.TakeTransaction();
  transaction_->Begin(*this, reverse_path, params.body);
  return replies::kMailOk;
}

std::optional<Reply> InboundConnection::OnRcpt(std::string_view address) {
  const RelayVerdict verdict = home_.Relay().Judge(address);
  if (!verdict.reply.positive()) {
    return verdict.reply;
  }
  const Reply room = home_.MayQueue(verdict.domain);
  if (!room.positive()) {
    return room;
  }
  if (verdict.is_asked) {
    const std::optional<Reply> known =
        home_.JudgeRecipient(verdict.address, verdict.domain, judged_);
    if (!known.has_value()) {
      transaction_->SetPending(verdict.address);
    }
    if (!known.has_value() || !known->positive()) {
      return known;
    }
  }
  transaction_->AddRecipient(verdict.address);
  return replies::kRcptOk;
}

void InboundConnection::OnRecipientJudged(const Reply& reply) {
  ASSERT(transaction_ != nullptr);
  const std::string_view address = transaction_->pending();
  if (reply.positive()) {
    transaction_->AddRecipient(address);
  }
  session_.FinishRcpt(address, reply);
  last_progress_ = io_.Now();
  Pump();
  if (!closing_) {
    stream_.Resume();
  }
}

Reply InboundConnection::OnData() {
  return home_.MayReceive();
}

void InboundConnection::OnContent(Bytes decoded) {
  transaction_->Append(decoded);
}

void InboundConnection::OnEndOfData(bool has_dot_lines) {
  Transaction::Client client;
  const std::string address = client_.AddressString();
  const std::string literal = client_.AddressLiteral();
  client.hostname = params_.hostname;
  client.helo = session_.helo();
  client.address = address;
  client.address_literal = literal;
  client.extended = session_.extended();
  client.tls = TlsProtocol();
  client.connection = number_;
  transaction_->Finish(client, has_dot_lines);
}

std::string_view InboundConnection::TlsProtocol() const {
  return stream_.tls() != nullptr ? stream_.tls()->protocol() : std::string_view();
}

void InboundConnection::OnRefused(const Command* command, const Reply& reply) {
  Log(EventKind::kRejected,
      command != nullptr ? NameOf(command->verb)
      : greeting_sent_   ? "END-OF-MESSAGE"
                         : "CONNECT",
      reply, command);
}

// `command`: the one that `reply` refuses.
void InboundConnection::Log(EventKind kind, std::string_view name, const Reply& reply,
                            const Command* command) {
  EventLog& log = home_.Log();
  if (!log.is_on()) {
    return;
  }
  Event event;
  const std::string address = client_.AddressString();
  event.kind = kind;
  event.connection = number_;
  event.client = address;
  if (kind == EventKind::kTurnedAway || kind == EventKind::kRejected) {
    event.helo = session_.helo();
    event.protocol = ProtocolName(session_.extended(), session_.secure());
    event.tls = TlsProtocol();
    event.command = name;
    event.reply = reply;
  }
  if (transaction_ != nullptr) {
    event.sender = transaction_->reverse_path();
  }
  if (command != nullptr && command->verb == Verb::kMail) {
    event.sender = AddressOf(command->argument);
  } else if (command != nullptr && command->verb == Verb::kRcpt) {
    event.recipient = AddressOf(command->argument);
  }
  log.Add(event);
}

void InboundConnection::OnReset() {
  DropTransaction();
}

void InboundConnection::OnTransactionStored(CommitResult result, std::string_view id) {
  home_.OnMessageStored(result);
  switch (result) {
    case CommitResult::kStored: {
      fmt::memory_buffer text;  // on the stack: no allocation per message
      fmt::format_to(std::back_inserter(text), "Ok: queued as {}", id);
      session_.FinishData({250, "2.0.0", std::string_view(text.data(), text.size())});
      break;
    }
    case CommitResult::kFailed:
      session_.FinishData(replies::kCommitFailed);
      break;
    case CommitResult::kNoSpace:
      session_.FinishData(replies::kNoSpace);
      break;
  }
  transaction_ = nullptr;
  last_progress_ = io_.Now();
  Pump();
  if (!closing_) {
    stream_.Resume();
  }
}

void InboundConnection::OnUncongested() {
  if (!closing_) {
    last_progress_ = io_.Now();  // it was not the client that was slow
    stream_.Resume();
  }
}

void InboundConnection::ShutDown(bool now_too) {
  if (closing_) {
    return;
  }
  const bool busy = session_.in_data() || session_.awaiting_finish();
  if (busy && !now_too) {
    return;
  }
  if (stream_.handshaking()) {
    Close();  // no word of ours would be understood
    return;
  }
  session_.ShutDown();
  Pump();
}

// One timer for the life of the connection: it is not moved at every byte, it looks when it fires.
void InboundConnection::OnIdle() {
  const absl::Duration patience = closing_                ? kGoodbyeMax
                                  : stream_.handshaking() ? kHandshakeMax
                                                          : home_.IdleTimeout();
  const Instant due = last_progress_ + patience;
  const Instant now = io_.Now();
  if (now < due) {
    wheel_.Insert(&idle_timer_, due);
    return;
  }
  // The commit has its own end, and a congested spool is our fault, not the client's.
  if (!closing_ &&
      (session_.awaiting_finish() || session_.awaiting_rcpt() || uncongested_.linked())) {
    wheel_.Insert(&idle_timer_, now + home_.IdleTimeout());
    return;
  }
  if (closing_ || stream_.queued_bytes() > 0) {
    MARK("client_does_not_read");
    Close();
    return;
  }
  if (stream_.handshaking()) {
    MARK("handshake_deadline");
    Close();
    return;
  }
  session_.TimedOut();
  wheel_.Insert(&idle_timer_, now + home_.IdleTimeout());
  Pump();
}

}  // namespace backstay
