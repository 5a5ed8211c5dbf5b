// tests/support/line_client.cc -- sends what it is told, keeps what it gets.
#include "tests/support/line_client.h"

#include "io/tls/session.h"

namespace backstay {

LineClient::LineClient(World& world, Host& host, const SocketAddress& server)
    : world_(world), io_(world.MakeIo(host)), outbox_(*io_), stream_(outbox_, *this) {
  world_.Attach(*io_, *this);
  io_->Connect(&connect_, server);
  io_->Wake();
}

LineClient::~LineClient() {
  Disconnect();
  world_.RunUntil([this] { return closed_ || !connected_; }, absl::Seconds(30));
  world_.Detach(*io_);
}

void LineClient::OnConnected(const IoResult& result) {
  if (!result.ok()) {
    ended_ = true;
    return;
  }
  connected_ = true;
  stream_.Start(result.fd());
  stream_.Queue(AsBytes(waiting_));
  waiting_.clear();
  stream_.Flush();
}

void LineClient::Send(const std::string& bytes) {
  if (!connected_) {
    waiting_ += bytes;
  } else if (stream_.open()) {
    stream_.Queue(AsBytes(bytes));
    stream_.Flush();
  }
  io_->Wake();
}

void LineClient::Disconnect() {
  if (connected_ && !closed_) {
    stream_.Close();
    io_->Wake();
  }
}

bool LineClient::StartTls(const TlsContext& context, absl::Duration at_most) {
  stream_.StartTls(std::make_unique<TlsSession>(context, TlsSession::Client{"mx2.example.net"}),
                   turns_);
  io_->Wake();
  world_.RunUntil([this] { return secure_ || ended_; }, at_most);
  return secure_;
}

void LineClient::CloseAfterSend() {
  stream_.CloseAfterSend();
  io_->Wake();
}

void LineClient::Turn() {
  io_->Turn(Instant::Max());
  while (PendingHandshake* next = turns_.PopFront()) {
    next->Step();
  }
  outbox_.Flush();
}

size_t LineClient::OnStreamBytes(Bytes bytes) {
  input_.append(AsText(bytes));
  return bytes.size();
}

void LineClient::OnStreamEnd(IoError) {
  ended_ = true;
  stream_.Close();
}

std::optional<std::string> LineClient::NextLine(absl::Duration at_most) {
  world_.RunUntil([this] { return input_.find("\r\n") != std::string::npos || ended_; }, at_most);
  const size_t end = input_.find("\r\n");
  if (end == std::string::npos) {
    return std::nullopt;
  }
  std::string line = input_.substr(0, end);
  input_.erase(0, end + 2);
  return line;
}

bool LineClient::WaitClosed(absl::Duration at_most) {
  world_.RunUntil([this] { return ended_; }, at_most);
  return ended_ && input_.empty();
}

}  // namespace backstay
