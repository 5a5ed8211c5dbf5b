// core/shard/door.cc -- let in, or told why not.
#include "core/shard/door.h"

#include <algorithm>

#include "core/base/mark.h"
#include "core/smtp/trace_fields.h"

namespace backstay {

Door::Door(Io& io, TimerWheel& wheel, EventLog& log, const std::vector<Fd>& listeners,
           const AdmissionLimits& limits, ClientCensus& census, DoorHome& home)
    : io_(io), log_(log), home_(home), admission_(limits, census), conduct_(limits.conduct_scale) {
  ListenerEvents& events = *this;
  for (const Fd socket : listeners) {
    const auto number = static_cast<uint32_t>(listeners_.size());
    listeners_.push_back(std::make_unique<Listener>(io, wheel, events, socket, number));
  }
}

Door::~Door() = default;

void Door::SetLimits(const AdmissionLimits& limits) {
  admission_.SetLimits(limits);
  conduct_.SetLimit(limits.conduct_scale);
}

void Door::Open() {
  for (const std::unique_ptr<Listener>& listener : listeners_) {
    listener->Start();
  }
}

void Door::Close() {
  closing_ = true;
  for (const std::unique_ptr<Listener>& listener : listeners_) {
    listener->Stop();
  }
}

bool Door::closed() const {
  return waiting_.empty() &&
         std::all_of(listeners_.begin(), listeners_.end(),
                     [](const std::unique_ptr<Listener>& listener) { return listener->closed(); });
}

void Door::OnAccepted(Fd socket, uint32_t listener) {
  waiting_.push_back({socket, listener});
}

void Door::Step() {
  const size_t count = std::min(waiting_.size(), kPerStep);
  for (size_t index = 0; index < count; ++index) {
    Receive(waiting_[index]);
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
  const bool full = waiting_.size() >= kWaitingMax;
  for (const std::unique_ptr<Listener>& listener : listeners_) {
    if (full) {
      MARK("door_full");
      listener->Hold();
    } else {
      listener->GoOn();
    }
  }
  const IntakeLoad load = {admission_.connections(), admission_.connections_max(),
                           home_.CommitDelay()};
  if (stress_.Look(load, io_.Now())) {
    home_.OnStress(stress_);
  }
}

void Door::Receive(const Stranger& stranger) {
  Arrival arrival;
  arrival.socket = stranger.socket;
  arrival.listener = stranger.listener;
  arrival.peer = io_.PeerAddress(stranger.socket);
  if (arrival.peer == SocketAddress()) {
    MARK("gone_before_it_was_looked_at");
    io_.Close(stranger.socket);
    return;
  }
  arrival.proxied = home_.IsProxy(arrival.peer);
  const Reply verdict = Judge(arrival.peer, arrival.proxied);
  if (verdict.positive()) {
    home_.OnArrival(arrival);
  } else {
    TurnAway(stranger.socket, arrival.peer, verdict);
  }
}

// Positive: counted.
Reply Door::Judge(const SocketAddress& peer, bool proxied) {
  if (closing_) {
    return replies::kShuttingDown;
  }
  const Reply entered = admission_.Enter(home_.CommitDelay());
  if (!entered.positive() || proxied) {
    return entered;
  }
  const Reply known = Identify(peer);
  if (!known.positive()) {
    admission_.Leave();  // its place is for others
  }
  return known;
}

// Whoever is turned away holds no descriptor of ours, and nothing waits for it to hang up.
void Door::TurnAway(Fd socket, const SocketAddress& peer, const Reply& reply) {
  const uint64_t number = log_.NextConnection();
  if (log_.is_on()) {
    const std::string address = peer.AddressString();
    Event event;
    event.kind = EventKind::kTurnedAway;
    event.connection = number;
    event.client = address;
    event.protocol = ProtocolName(/*extended=*/false, /*secure=*/false, /*smtputf8=*/false);
    event.command = "CONNECT";
    event.reply = reply;
    log_.Add(event);
  }
  home_.OnTurnedAway();
  last_words_.clear();
  AppendReply(reply, last_words_);
  io_.Dismiss(socket, AsBytes(last_words_));
}

Reply Door::Identify(const SocketAddress& client) {
  const ClientKey key = ClientKey::Of(client.bytes(), client.is_v6());
  const Reply verdict = conduct_.MayConnect(key, io_.Now());
  return verdict.positive() ? admission_.Identify(key) : verdict;
}

void Door::Forget(const SocketAddress& client) {
  admission_.Forget(ClientKey::Of(client.bytes(), client.is_v6()));
}

}  // namespace backstay
