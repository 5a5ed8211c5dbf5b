// core/shard/inbound.cc -- joins a client's stream, its session and the spool.
#include "core/shard/inbound.h"

#include <algorithm>
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

constexpr absl::Duration kPauseAfterError = absl::Seconds(1);

// A proxy has its header ready when it connects.
constexpr absl::Duration kProxyHeaderMax = absl::Seconds(5);

SocketAddress ToSocketAddress(const NumericAddress& address, uint16_t port) {
  if (address.is_v6) {
    return SocketAddress::V6(address.bytes, port);
  }
  const auto& bytes = address.bytes;
  return SocketAddress::V4({bytes[0], bytes[1], bytes[2], bytes[3]}, port);
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

void InboundConnection::Start(const InboundArrival& arrival) {
  ASSERT(transaction_ == nullptr);
  listener_ = arrival.listener;
  client_ = arrival.peer;
  entered_ = arrival.verdict.positive();
  number_ = home_.Log().NextConnection();
  last_progress_ = io_.Now();
  if (entered_ && arrival.proxied) {
    proxy_header_ = std::make_unique<ProxyHeader>();
  }
  stream_.Start(arrival.socket);
  wheel_.Insert(&idle_timer_, io_.Now() + Patience());
  if (!entered_) {
    Refuse(arrival.verdict);
  } else if (proxy_header_ == nullptr) {
    Welcome();
  }
}

// The client is known.
void InboundConnection::Welcome() {
  const Reply verdict = home_.Identify(client_);
  identified_ = verdict.positive();
  if (!identified_) {
    Leave();  // its place is for others
    Refuse(verdict);
    return;
  }
  admitted_ = true;
  Log(EventKind::kConnected, "CONNECT", verdict);
  home_.OnWelcome(/*admitted=*/true);
  home_.OnClientKnown(client_);
  session_.Greet();
  Pump();
}

void InboundConnection::TakeProxyHeader(Bytes& bytes) {
  switch (proxy_header_->Consume(bytes)) {
    case ProxyHeader::Result::kIncomplete:
      return;
    case ProxyHeader::Result::kError:
      MARK("no_proxy_header");
      Refuse(replies::kNoProxyHeader);
      bytes = {};
      return;
    case ProxyHeader::Result::kDone:
      break;
  }
  if (const std::optional<ProxySource>& source = proxy_header_->source(); source.has_value()) {
    client_ = ToSocketAddress(source->address, source->port);
  }
  proxy_header_.reset();
  SetDeadline(home_.IdleTimeout());
  Welcome();
}

// Instead of a greeting.
void InboundConnection::Refuse(const Reply& reply) {
  proxy_header_.reset();
  Log(EventKind::kTurnedAway, "CONNECT", reply);
  home_.OnWelcome(/*admitted=*/false);
  session_.GreetWith(reply);
  Pump();
}

void InboundConnection::Leave() {
  if (std::exchange(entered_, false)) {
    home_.OnInboundLeft();
  }
}

void InboundConnection::ForgetClient() {
  if (std::exchange(identified_, false)) {
    home_.Forget(client_);
  }
}

size_t InboundConnection::OnStreamBytes(Bytes bytes) {
  if (closing_) {
    return bytes.size();
  }
  const size_t given = bytes.size();
  if (proxy_header_ != nullptr) {
    TakeProxyHeader(bytes);
    if (bytes.empty() || closing_) {
      return given;
    }
  }
  if (!greeting_sent_) {
    MARK("early_talker");
    session_.TalkedTooEarly();
    Pump();
    return given;
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
  if (session_.wants_pause()) {
    return Pause();
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

// Whoever tries names until one fits has ten for nothing, and then one a second.
void InboundConnection::Pause() {
  if (pause_ == nullptr) {
    pause_ = std::make_unique<PauseTimer>(this);
  }
  if (!pause_->armed()) {
    MARK("inbound_paused");
    wheel_.Insert(pause_.get(), io_.Now() + kPauseAfterError);
  }
}

void InboundConnection::OnPauseEnd() {
  session_.EndPause();
  Pump();  // first what was held back, then what came behind it
  OnUncongested();
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
    if (!identified_) {
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
  if (pause_ != nullptr) {
    wheel_.Cancel(pause_.get());
  }
  if (std::exchange(handshake_owed_, false)) {
    home_.OnHandshake(/*completed=*/false);
  }
  if (admitted_) {
    Log(EventKind::kDisconnected, "", replies::kOk);
  }
  ForgetClient();
  Leave();
  home_.OnInboundClosed(*this);
}

void InboundConnection::DropTransaction() {
  judged_.Unlink();
  awaits_client_ = false;
  if (std::exchange(in_message_, false)) {
    Charge(Offence::kBrokenMessage);
  }
  if (transaction_ != nullptr) {
    std::exchange(transaction_, nullptr)->Abandon();
  }
}

void InboundConnection::Charge(Offence offence) {
  home_.ClientConduct().Charge(client_key(), offence, io_.Now());
}

Reply InboundConnection::OnStartTls() {
  const Reply verdict = home_.ClientConduct().MayHandshake(client_key(), io_.Now());
  if (verdict.positive()) {
    Charge(Offence::kHandshake);
  }
  return verdict;
}

Intake::Rights InboundConnection::ClientRights() const {
  Rights rights = home_.RightsOf(client_);
  if (told_ != nullptr) {
    rights.xclient = home_.RightsOf(told_->proxy).xclient;
  }
  return rights;
}

Reply InboundConnection::OnEtrn(std::string_view domain, bool subdomains) {
  return home_.StartQueue(domain, subdomains);
}

// HELO and PROTO are of one session of the client, name and address stay until others are told.
Reply InboundConnection::OnXclient(const XclientAttributes& attributes) {
  SocketAddress client = client_.WithPort(attributes.port.value_or(0));
  if (attributes.address.has_value()) {
    client = ToSocketAddress(*attributes.address, client.port());
  }
  ForgetClient();
  const Reply verdict = home_.Identify(client);
  identified_ = verdict.positive();
  if (!identified_) {
    return verdict;
  }
  if (told_ == nullptr) {
    told_ = std::make_unique<ToldClient>();
    told_->proxy = client_;
  }
  client_ = client;
  if (attributes.name.has_value() || attributes.address.has_value()) {
    told_->name = attributes.name.value_or("");  // the name before was another address's
  }
  told_->helo = attributes.helo;
  told_->extended = attributes.extended;
  home_.OnClientKnown(client_);
  return replies::kOk;
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

absl::Duration InboundConnection::Patience() const {
  if (closing_) {
    return kGoodbyeMax;
  }
  if (proxy_header_ != nullptr) {
    return kProxyHeaderMax;
  }
  return stream_.handshaking() ? kHandshakeMax : home_.IdleTimeout();
}

// One timer for the life of the connection: it is not moved at every byte, it looks when it fires.
void InboundConnection::OnIdle() {
  const Instant due = last_progress_ + Patience();
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
  wheel_.Insert(&idle_timer_, now + home_.IdleTimeout());
  if (proxy_header_ != nullptr) {
    MARK("proxy_header_deadline");
    Refuse(replies::kNoProxyHeader);
    return;
  }
  session_.TimedOut();
  Pump();
}

}  // namespace backstay
