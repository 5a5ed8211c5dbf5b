// tools/sink/sink_server.cc -- one turn: outages, timers, replies.
#include "tools/sink/sink_server.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace backstay {
namespace {

constexpr int kBacklog = 4096;
// After our last word, for a client that does not hang up.
constexpr absl::Duration kGoodbyeMax = absl::Seconds(2);
// Replies that a client does not read: beyond it nothing more of it is read.
constexpr size_t kUnreadBytesMax = 64_KiB;
constexpr absl::Duration kTurnMax = absl::Milliseconds(50);

}  // namespace

// ---- one client ----

class SinkServer::Connection final : public ListNode, private StreamEvents, private SinkJudge {
 public:
  explicit Connection(SinkServer& server)
      : server_(server), session_(server.plan_.manners, *this), stream_(server.outbox_, *this) {}

  void Start(Fd socket, bool refused) {
    stream_.Start(socket);
    if (refused) {
      session_.Refuse("421 4.7.0 Too many connections");
      OnRefused(SinkPhase::kConnect, 421);
    } else {
      session_.Greet();
    }
    Pump();
  }
  void Cut() { stream_.Close(); }

 private:
  size_t OnStreamBytes(Bytes bytes) override {
    if (leaving_) {
      return bytes.size();
    }
    if (stream_.queued_bytes() > kUnreadBytesMax) {
      return 0;
    }
    const size_t taken = session_.Consume(bytes);
    Pump();
    return leaving_ ? bytes.size() : taken;
  }
  void OnStreamEnd(IoError) override { stream_.Close(); }
  void OnStreamDrained() override {
    if (!leaving_ && !stream_.handshaking()) {
      stream_.Resume();
    }
  }
  void OnStreamSecure() override { server_.tally_.OnSecure(); }
  void OnStreamClosed() override {
    server_.wheel_.Cancel(&delay_);
    server_.OnClosed(*this);
  }

  void OnTimer() {
    if (leaving_) {
      stream_.Close();
      return;
    }
    session_.Continue();
    Pump();
    if (!leaving_) {
      stream_.Resume();
    }
  }

  // What the session wants, in the order in which it wants it.
  void Pump() {
    std::string& output = session_.output();
    if (!output.empty()) {
      stream_.Queue(AsBytes(output));
      output.clear();
    }
    if (session_.wants_cut()) {
      leaving_ = true;
      stream_.Close();
    } else if (session_.wants_close()) {
      leaving_ = true;
      stream_.CloseAfterSend();
      server_.wheel_.Insert(&delay_, server_.io_.Now() + kGoodbyeMax);
    } else if (session_.wants_tls()) {
      stream_.StartTls(std::make_unique<TlsSession>(
                           *server_.tls_, TlsSession::Server{.tickets = *server_.ticket_keys_}),
                       server_.handshakes_);
      session_.StartedTls();
    } else if (session_.waits() && session_.delay() < absl::InfiniteDuration() && !delay_.armed()) {
      server_.wheel_.Insert(&delay_, server_.io_.Now() + session_.delay());
    }
  }

  SinkVerdict Judge(SinkPhase phase, std::string_view argument) override {
    const SinkVerdict verdict =
        server_.plan_.script.Judge(phase, argument, server_.elapsed(), server_.random_);
    server_.tally_.OnVerdict(phase, verdict);
    return verdict;
  }
  void OnTaken(const StampReader& stamp, uint64_t bytes,
               const std::vector<std::string>& recipients) override {
    server_.tally_.OnTaken(stamp, bytes, recipients, server_.io_.Now());
  }
  void OnRefused(SinkPhase phase, int code) override { server_.tally_.OnRefusal(phase, code); }
  void OnViolations(uint64_t count) override { server_.tally_.OnViolations(count); }

  SinkServer& server_;
  SinkSession session_;
  Stream stream_;
  bool leaving_ = false;
  Alarm<&Connection::OnTimer> delay_{this};
};

// ---- one listener ----

class SinkServer::Door {
 public:
  Door(SinkServer& server, Fd listener) : server_(server), listener_(listener) { Arm(); }
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

  void Close() {
    closing_ = true;
    server_.io_.Cancel(&accept_);
  }
  bool closed() const { return !listener_.valid(); }

 private:
  void Arm() { server_.io_.Accept(&accept_, listener_); }
  void OnAccept(const IoResult& result) {
    if (result.ok() && closing_) {
      server_.io_.Close(result.fd());  // came too late: nobody would cut it
    } else if (result.ok()) {
      server_.OnAccepted(result.fd());
    }
    if (result.more()) {
      return;
    }
    if (closing_) {
      server_.io_.Close(std::exchange(listener_, Fd()));
    } else {
      Arm();
    }
  }

  SinkServer& server_;
  Fd listener_;
  bool closing_ = false;
  Completion<&Door::OnAccept> accept_{this};
};

// ---- all of them ----

SinkServer::SinkServer(Io& io, SinkPlan plan)
    : io_(io), plan_(std::move(plan)), wheel_(io.Now()), random_(plan_.seed), outbox_(io) {}

SinkServer::~SinkServer() = default;

absl::Status SinkServer::Start() {
  if (plan_.certificate.has_value()) {
    ASSIGN_OR_RETURN(tls_, TlsContext::MakeServer({.certificates = {*plan_.certificate},
                                                   .hostname = plan_.manners.hostname}));
    ticket_keys_.emplace(NewTicketSecret(), io_.Now());
    plan_.manners.starttls = true;
  }
  RETURN_IF_ERROR(tally_.OpenLedger(plan_.ledger));
  io_.Turn(io_.Now());
  begin_ = io_.Now();
  tally_.Begin(begin_, io_.WallNow());
  return plan_.script.Up(elapsed()) ? OpenDoors() : absl::OkStatus();
}

absl::Status SinkServer::OpenDoors() {
  for (SocketAddress& address : plan_.listen) {
    ASSIGN_OR_RETURN(const Fd listener, io_.Listen(address, kBacklog));
    address = io_.LocalAddress(listener);  // the same port behind an outage
    doors_.push_back(std::make_unique<Door>(*this, listener));
  }
  address_ = plan_.listen.front();
  return absl::OkStatus();
}

// As a machine that goes away: nobody is told.
void SinkServer::CloseDoors() {
  for (std::unique_ptr<Door>& door : std::exchange(doors_, {})) {
    door->Close();
    old_doors_.push_back(std::move(door));
  }
  for (Connection* connection = connections_.front(); connection != nullptr;
       connection = connections_.Next(connection)) {
    connection->Cut();
  }
}

void SinkServer::Turn() {
  gone_.clear();
  std::erase_if(old_doors_, [](const auto& door) { return door->closed(); });
  const bool wanted = !stopping_ && plan_.script.Up(elapsed());
  if (wanted && doors_.empty() && old_doors_.empty()) {
    static_cast<void>(OpenDoors());  // taken meanwhile: tried again at the next turn
  } else if (!wanted && !doors_.empty()) {
    CloseDoors();
  }
  if (ticket_keys_.has_value()) {
    ticket_keys_->AdvanceTo(io_.Now());
  }
  while (PendingHandshake* handshake = handshakes_.PopFront()) {
    handshake->Step();
  }
  wheel_.Advance(io_.Now());
  outbox_.Flush();
  const bool busy = !handshakes_.empty() || !gone_.empty();
  io_.Turn(busy ? io_.Now() : std::min(wheel_.NextDue(), io_.Now() + kTurnMax));
}

void SinkServer::Stop() {
  stopping_ = true;
  tally_.FlushLedger();
}

bool SinkServer::finished() const {
  return stopping_ && doors_.empty() && old_doors_.empty() && connections_.empty() && gone_.empty();
}

void SinkServer::OnAccepted(Fd socket) {
  auto* connection = new Connection(*this);  // owned by connections_
  connections_.PushBack(connection);
  ++open_;
  tally_.OnConnection(open_);
  connection->Start(socket, plan_.connections_max > 0 && open_ > plan_.connections_max);
}

void SinkServer::OnClosed(Connection& connection) {
  connection.Unlink();
  --open_;
  gone_.emplace_back(&connection);
}

}  // namespace backstay
