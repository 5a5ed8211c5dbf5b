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
constexpr uint32_t kCommandsOnTheirWayMax = 64 * 1024;

// From the 220 to the end of the handshake: a few round trips, however bad the line is.
constexpr absl::Duration kHandshakeMax = absl::Seconds(30);

// Under stress: whoever has something to say says it in less, and a line that carries no more than
// this has no use for mail.
constexpr absl::Duration kIdleMaxUnderStress = absl::Seconds(10);
constexpr absl::Duration kHandshakeMaxUnderStress = absl::Seconds(10);
constexpr int64_t kContentPerSecondUnderStress = 500;
static_assert(kHandshakeMaxUnderStress < kHandshakeMax);

// A client waits ten minutes for the reply to its message (RFC 5321 4.5.3.2.6). Who is told in time
// that it is not stored sends it elsewhere, or again, and knows that it has to.
constexpr absl::Duration kCommitMax = absl::Minutes(5);

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

// Who waits for our disk has the same time for that always.
IdleWatch::Limits InboundParts::Limits(absl::Duration idle, bool under_stress) {
  if (under_stress) {
    return {std::min(idle, kIdleMaxUnderStress), kGoodbyeMax, kHandshakeMaxUnderStress, kCommitMax,
            kProxyHeaderMax};
  }
  return {idle, kGoodbyeMax, kHandshakeMax, kCommitMax, kProxyHeaderMax};
}

// The pace is never a lower one than it is without stress.
void InboundParts::SetPatience(absl::Duration idle, bool under_stress) {
  watch.SetLimits(Limits(idle, under_stress));
  content_bytes_min = kContentBytesMin;
  if (under_stress && idle > kIdleMaxUnderStress) {
    const int64_t as_before = kContentBytesMin * absl::ToInt64Milliseconds(kIdleMaxUnderStress) /
                              absl::ToInt64Milliseconds(idle);
    const int64_t at_least =
        kContentPerSecondUnderStress * absl::ToInt64Seconds(kIdleMaxUnderStress);
    content_bytes_min = static_cast<uint32_t>(std::max(as_before, at_least));
  }
}

InboundConnection::InboundConnection(InboundParts& parts)
    : parts_(parts), stream_(parts.outbox, *this) {}

InboundConnection::~InboundConnection() = default;

void InboundConnection::Start(const Arrival& arrival) {
  listener_ = arrival.listener;
  client_ = arrival.peer;
  entered_ = true;
  identified_ = !arrival.proxied;
  number_ = parts_.home.Log().NextConnection();
  stream_.Start(arrival.socket);
  if (arrival.proxied) {
    Watch(Patience::kProxyHeader);
    conversation().proxy_header = std::make_unique<ProxyHeader>();
  } else {
    Watch(Patience::kIdle);
    Greet();
  }
  Settle();
}

// Of which there is none while nothing is said.
Conversation& InboundConnection::conversation() {
  if (conversation_ == nullptr) {
    Intake& intake = *this;
    conversation_ = parts_.conversations.Take();
    if (conversation_ == nullptr) {
      conversation_ = std::make_unique<Conversation>(parts_.params, intake);
    }
    conversation_->Begin(*this);
    conversation_->session.Wake(memory_, intake);
  }
  return *conversation_;
}

// Last in every event: what is not needed any more goes back. Nobody may be inside the session.
void InboundConnection::Settle() {
  if (conversation_ == nullptr || !(closing_ || conversation_->at_rest())) {
    return;
  }
  if (!closing_) {
    conversation_->session.Rest(memory_);
  }
  conversation_->Clear();
  parts_.conversations.GiveBack(std::move(conversation_));
}

// The client is known and counted.
void InboundConnection::Greet() {
  admitted_ = true;
  Log(EventKind::kConnected, "CONNECT", replies::kOk);
  parts_.home.OnWelcome(/*admitted=*/true);
  parts_.home.OnClientKnown(client_);
  conversation().session.Greet();
  Pump();
}

void InboundConnection::TakeProxyHeader(Bytes& bytes) {
  ProxyHeader& header = *conversation_->proxy_header;
  switch (header.Consume(bytes)) {
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
  if (const std::optional<ProxySource>& source = header.source(); source.has_value()) {
    client_ = ToSocketAddress(source->address, source->port);
  }
  conversation_->proxy_header.reset();
  Watch(Patience::kIdle);
  const Reply verdict = parts_.home.Identify(client_);
  identified_ = verdict.positive();
  if (identified_) {
    Greet();
    return;
  }
  Leave();  // its place is for others
  Refuse(verdict);
}

// Instead of a greeting.
void InboundConnection::Refuse(const Reply& reply) {
  Conversation& refused = conversation();
  refused.proxy_header.reset();
  Log(EventKind::kTurnedAway, "CONNECT", reply);
  parts_.home.OnWelcome(/*admitted=*/false);
  refused.session.GreetWith(reply);
  Pump();
}

void InboundConnection::Leave() {
  if (std::exchange(entered_, false)) {
    parts_.home.OnInboundLeft();
  }
}

void InboundConnection::ForgetClient() {
  if (std::exchange(identified_, false)) {
    parts_.home.Forget(client_);
  }
}

size_t InboundConnection::OnStreamBytes(Bytes bytes) {
  if (closing_) {
    return bytes.size();
  }
  const size_t taken = Hear(bytes);
  Settle();
  return taken;
}

size_t InboundConnection::Hear(Bytes bytes) {
  const size_t given = bytes.size();
  Conversation& heard = conversation();
  if (heard.proxy_header != nullptr) {
    TakeProxyHeader(bytes);
    if (bytes.empty() || closing_) {
      return given;
    }
  }
  if (!greeting_sent_) {
    MARK("early_talker");
    heard.session.TalkedTooEarly();
    Pump();
    return given;
  }
  if (parts_.spool.Congested() && heard.session.in_data()) {
    MARK("inbound_congested");
    if (!heard.uncongested.linked()) {
      parts_.spool.WaitUncongested(&heard.uncongested);
    }
    return 0;
  }
  const size_t taken = heard.session.Consume(bytes);
  if (IsProgress(taken)) {
    Progress();
  }
  Pump();
  return closing_ ? bytes.size() : taken;
}

// A byte now and then keeps nobody's place: what counts is a whole command, or content at a pace.
bool InboundConnection::IsProgress(size_t taken) {
  Conversation& heard = *conversation_;
  if (!heard.session.in_data()) {
    heard.content_bytes = 0;
    return !heard.session.has_partial_line();
  }
  heard.content_bytes += static_cast<uint32_t>(taken);
  if (heard.content_bytes < parts_.content_bytes_min) {
    return false;
  }
  heard.content_bytes %= parts_.content_bytes_min;  // what is over counts for the next time
  return true;
}

// Moves replies to the stream, but only when the last ones are with the kernel: what a client does
// not read stays in the session, whose bound then stops the reading (reliability row 22).
void InboundConnection::Pump() {
  if (closing_ || conversation_ == nullptr || stream_.handshaking()) {
    return;
  }
  ServerSession& session = conversation_->session;
  if (session.wants_pause()) {
    return Pause();
  }
  const std::string_view output = session.output();
  if (!output.empty() && stream_.queued_bytes() == 0) {
    stream_.Queue(AsBytes(output));
    session.DropOutput(output.size());
  }
  if (!session.output().empty()) {
    return;
  }
  if (session.wants_close()) {
    SayGoodbye();
  } else if (session.wants_tls()) {
    StartTls();
  }
}

// Whoever tries names until one fits has ten for nothing, and then one a second.
void InboundConnection::Pause() {
  Timer& pause = conversation_->pause;
  if (!pause.armed()) {
    MARK("inbound_paused");
    parts_.wheel.Insert(&pause, parts_.io.Now() + kPauseAfterError);
  }
}

void InboundConnection::OnPauseEnd() {
  conversation_->session.EndPause();
  Pump();  // first what was held back, then what came behind it
  GoOn();
  Settle();
}

// A message may have been under way for a while; of commands nobody has so many on their way.
void InboundConnection::SayGoodbye() {
  const bool in_content = conversation_ != nullptr && conversation_->content_bytes > 0;
  closing_ = true;
  DropTransaction();
  stream_.CloseAfterSend(in_content ? Stream::kLingerBytesMax : kCommandsOnTheirWayMax);
  Watch(Patience::kGoodbye);
}

// The 220 is queued and leaves in clear text, the last to do so.
void InboundConnection::StartTls() {
  std::unique_ptr<TlsSession> tls = parts_.home.MakeTlsSession(listener_);
  if (tls == nullptr) {
    Close();  // a reload took TLS away while the 220 waited for a client that did not read
    return;
  }
  stream_.StartTls(std::move(tls), parts_.home.Handshakes());
  conversation_->session.StartedTls();
  handshake_owed_ = true;
  Watch(Patience::kHandshake);
}

void InboundConnection::OnStreamSecure() {
  handshake_owed_ = false;
  parts_.home.OnHandshake(/*completed=*/true);
  Watch(Patience::kIdle);
}

void InboundConnection::OnStreamDrained() {
  if (stream_.handshaking()) {
    return;  // no progress of a kind that moves the deadline
  }
  greeting_sent_ = true;
  Progress();
  if (closing_) {
    if (!identified_) {
      stream_.Close();  // who was turned away at the door holds no descriptor of ours
    }
    return;
  }
  Pump();
  const bool congested = conversation_ != nullptr && conversation_->uncongested.linked();
  if (!closing_ && !congested) {
    stream_.Resume();
  }
  Settle();
}

void InboundConnection::OnStreamEnd(IoError error) {
  if (error == IoError::kTls && !closing_) {
    MARK("inbound_tls_failed");
    SayGoodbye();  // the alert
  } else {
    Close();
  }
  Settle();
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
  Settle();
  parts_.watch.Leave(*this);
  if (std::exchange(handshake_owed_, false)) {
    parts_.home.OnHandshake(/*completed=*/false);
  }
  if (admitted_) {
    Log(EventKind::kDisconnected, "", replies::kOk);
  }
  ForgetClient();
  Leave();
  parts_.home.OnInboundClosed(*this);
}

void InboundConnection::DropTransaction() {
  if (conversation_ == nullptr) {
    return;
  }
  conversation_->judged.Unlink();
  conversation_->awaits_client = false;
  if (std::exchange(conversation_->in_message, false)) {
    Charge(Offence::kBrokenMessage);
  }
  if (conversation_->transaction != nullptr) {
    std::exchange(conversation_->transaction, nullptr)->Abandon();
  }
}

void InboundConnection::Charge(Offence offence) {
  parts_.home.ClientConduct().Charge(client_key(), offence, parts_.io.Now());
}

Reply InboundConnection::OnStartTls() {
  const Reply verdict = parts_.home.ClientConduct().MayHandshake(client_key(), parts_.io.Now());
  if (verdict.positive()) {
    Charge(Offence::kHandshake);
  }
  return verdict;
}

Intake::Rights InboundConnection::ClientRights() const {
  Rights rights = parts_.home.RightsOf(client_);
  if (told_ != nullptr) {
    rights.xclient = parts_.home.RightsOf(told_->proxy).xclient;
  }
  return rights;
}

Reply InboundConnection::OnEtrn(std::string_view domain, bool subdomains) {
  return parts_.home.StartQueue(domain, subdomains);
}

// HELO and PROTO are of one session of the client, name and address stay until others are told.
Reply InboundConnection::OnXclient(const XclientAttributes& attributes) {
  SocketAddress client = client_.WithPort(attributes.port.value_or(0));
  if (attributes.address.has_value()) {
    client = ToSocketAddress(*attributes.address, client.port());
  }
  ForgetClient();
  const Reply verdict = parts_.home.Identify(client);
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
  parts_.home.OnClientKnown(client_);
  return replies::kOk;
}

void InboundConnection::OnUncongested() {
  GoOn();
  Settle();
}

// It was not the client that was slow.
void InboundConnection::GoOn() {
  if (!closing_) {
    Progress();
    stream_.Resume();
  }
}

void InboundConnection::ShutDown(bool now_too) {
  if (closing_) {
    return;
  }
  const bool busy = conversation_ != nullptr &&
                    (conversation_->session.in_data() || conversation_->session.awaiting_finish());
  if (busy && !now_too) {
    return;
  }
  if (stream_.handshaking()) {
    Close();  // no word of ours would be understood
  } else {
    conversation().session.ShutDown();
    Pump();
  }
  Settle();
}

void InboundConnection::OnSilence() {
  // A verdict has its own end, and a congested spool is our fault, not the client's.
  if (!closing_ && conversation_ != nullptr &&
      (conversation_->session.awaiting_rcpt() || conversation_->uncongested.linked())) {
    return;
  }
  if (!closing_ && conversation_ != nullptr && conversation_->session.awaiting_finish()) {
    return GiveUpCommit();
  }
  if (!closing_ && conversation_ != nullptr && conversation_->session.in_data() &&
      IsProgress(/*taken=*/0)) {
    MARK("at_a_pace_when_stress_began");
    return;  // it was counted in larger pieces until then
  }
  if (closing_ || stream_.queued_bytes() > 0) {
    MARK("client_does_not_read");
    Close();
  } else if (stream_.handshaking()) {
    MARK("handshake_deadline");
    Close();
  } else if (patience() == Patience::kProxyHeader) {
    MARK("proxy_header_deadline");
    Watch(Patience::kIdle);
    Refuse(replies::kNoProxyHeader);
  } else {
    conversation().session.TimedOut();
    Pump();
  }
  Settle();
}

}  // namespace backstay
