// tests/io/sim_story.h -- a small durable server and its client, on most verbs of Io.
//
// A client sends numbers of eight bytes. The server appends them to a log and sends each back when
// it is synced. A failed write or sync makes it close its connections and go on in a new file. So:
// a number that a client got back is in some log after any crash.
#pragma once

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "io/sim/world.h"

namespace backstay {

constexpr size_t kNumberBytes = 8;
constexpr absl::Duration kAnswerTimeout = absl::Minutes(2);

// A socket with its two ops; Step() goes on with whatever is to be done.
class StoryConnection {
 public:
  StoryConnection(Io& io, Fd socket) : io_(io), socket_(socket) {}
  void Step() {
    if (!socket_.valid()) {
      return;
    }
    if (ending_ && !told_) {
      told_ = true;
      io_.Shutdown(socket_);
    }
    if (!ending_ && !receive_.in_flight) {
      io_.Receive(&receive_, socket_);
    }
    if (!ending_ && !send_.in_flight && !output.empty()) {
      sending_ = std::exchange(output, std::string());
      io_.Send(&send_, socket_, AsBytes(sending_));
    }
    if (ending_ && !receive_.in_flight && !send_.in_flight) {
      io_.Close(socket_);
      socket_ = Fd();
    }
  }
  void End() { ending_ = true; }
  bool ending() const { return ending_; }
  bool closed() const { return !socket_.valid(); }

  std::string input;
  std::string output;

 private:
  void OnReceived(const IoResult& result) {
    if (result.error() == IoError::kNoBuffers) {
      return;
    }
    ending_ = ending_ || !result.ok() || result.count() == 0;
    input += AsText(result.lent());
  }
  void OnSent(const IoResult& result) {
    if (!result.ok()) {
      ending_ = true;
    } else {
      output = sending_.substr(result.count()) + output;
    }
  }

  Io& io_;
  Fd socket_;
  bool ending_ = false;
  bool told_ = false;
  std::string sending_;
  Completion<&StoryConnection::OnReceived> receive_{this};
  Completion<&StoryConnection::OnSent> send_{this};
};

class StoryServer : public Actor {
 public:
  // `sync` false plants the defect of answering before the sync.
  StoryServer(Io& io, std::string name, const SocketAddress& address, bool sync)
      : io_(io), name_(std::move(name)), sync_(sync) {
    directory_ = *io_.OpenDirectory("/spool", /*create=*/true);
    listener_ = *io_.Listen(address, 8);
  }
  void Turn() override {
    const bool retry = phase_ == Phase::kFailed || !accept_.in_flight;
    io_.Turn(retry ? io_.Now() + absl::Milliseconds(20) : Instant::Max());
    if (!accept_.in_flight) {
      io_.Accept(&accept_, listener_);
    }
    TakeNumbers();
    StepFile();
    for (const std::unique_ptr<StoryConnection>& connection : connections_) {
      connection->Step();
    }
  }

 private:
  enum class Phase { kFailed, kOpening, kEntering, kReady, kWriting, kSyncing };

  void TakeNumbers() {
    for (const std::unique_ptr<StoryConnection>& connection : connections_) {
      const size_t whole = connection->input.size() / kNumberBytes * kNumberBytes;
      if (whole > 0 && !connection->ending()) {
        waiting_ += connection->input.substr(0, whole);
        connection->input.erase(0, whole);
        askers_.push_back({connection.get(), whole});
      }
    }
  }
  void StepFile() {
    if (phase_ == Phase::kFailed && io_.Now() >= retry_at_) {
      if (file_.valid()) {
        io_.Close(file_);
        file_ = Fd();
      }
      phase_ = Phase::kOpening;
      file_name_ = name_ + "." + std::to_string(io_.random().Next());
      io_.Open(&file_op_, directory_, file_name_.c_str(), OpenMode::kCreateNew);
    } else if (phase_ == Phase::kReady && !waiting_.empty()) {
      phase_ = Phase::kWriting;
      batch_ = std::exchange(waiting_, std::string());
      batch_askers_ = std::exchange(askers_, {});
      written_ = 0;
      io_.Write(&file_op_, file_, AsBytes(batch_), Offset{end_});
    }
  }
  void OnFile(const IoResult& result) {
    const bool stuck = phase_ == Phase::kWriting && result.ok() && result.count() == 0;
    if (!result.ok() || stuck) {
      Fail();
      return;
    }
    switch (phase_) {
      case Phase::kOpening:
        file_ = result.fd();
        end_ = 0;
        phase_ = Phase::kEntering;
        io_.SyncDirectory(&file_op_, directory_);
        return;
      case Phase::kEntering:
        phase_ = Phase::kReady;
        return;
      case Phase::kWriting:
        written_ += result.count();
        end_ += result.count();
        if (written_ < batch_.size()) {
          io_.Write(&file_op_, file_, AsBytes(batch_).subspan(written_), Offset{end_});
        } else if (sync_) {
          phase_ = Phase::kSyncing;
          io_.SyncData(&file_op_, file_);
        } else {
          Answer();
        }
        return;
      case Phase::kSyncing:
        Answer();
        return;
      case Phase::kFailed:
      case Phase::kReady:
        break;
    }
    UNREACHABLE();
  }
  void Answer() {
    size_t at = 0;
    for (const auto& [connection, bytes] : batch_askers_) {
      connection->output += batch_.substr(at, bytes);
      at += bytes;
    }
    phase_ = Phase::kReady;
  }
  void Fail() {
    phase_ = Phase::kFailed;
    retry_at_ = io_.Now() + absl::Milliseconds(10);
    for (const std::unique_ptr<StoryConnection>& connection : connections_) {
      connection->End();
    }
    waiting_.clear();
    askers_.clear();
  }
  void OnAccepted(const IoResult& result) {
    if (result.ok()) {
      connections_.push_back(std::make_unique<StoryConnection>(io_, result.fd()));
    }
  }

  using Asker = std::pair<StoryConnection*, size_t>;
  Io& io_;
  const std::string name_;
  const bool sync_;
  Fd directory_;
  Fd listener_;
  Phase phase_ = Phase::kFailed;
  Instant retry_at_;
  std::string file_name_;
  Fd file_;
  uint64_t end_ = 0;
  std::string waiting_;
  std::vector<Asker> askers_;
  std::string batch_;
  std::vector<Asker> batch_askers_;
  size_t written_ = 0;
  std::vector<std::unique_ptr<StoryConnection>> connections_;
  Completion<&StoryServer::OnAccepted> accept_{this};
  Completion<&StoryServer::OnFile> file_op_{this};
};

class StoryClient : public Actor {
 public:
  StoryClient(Io& io, const SocketAddress& server, uint64_t first, size_t count)
      : io_(io), server_(server), next_(first), end_(first + count) {}
  bool done() const { return next_ == end_ && waiting_.empty(); }
  const std::set<uint64_t>& answered() const { return answered_; }

  void Turn() override {
    io_.Turn(next_try_);
    next_try_ = Instant::Max();
    if (connection_ == nullptr || connection_->closed()) {
      Connect();
      return;
    }
    TakeAnswers();
    if (waiting_.empty() && next_ < end_) {
      SendSome();
    }
    // A server whose machine died says nothing; only the client's own clock ends that.
    if (done() || io_.Now() - last_answer_ >= kAnswerTimeout) {
      connection_->End();
    }
    next_try_ = done() ? Instant::Max() : last_answer_ + kAnswerTimeout;
    connection_->Step();
    if (connection_->closed() && !done()) {
      next_try_ = io_.Now() + absl::Milliseconds(static_cast<int64_t>(io_.random().Below(100)));
      next_ -= waiting_.size();  // unanswered: sent again
      waiting_.clear();
    }
  }

 private:
  void Connect() {
    if (!connect_.in_flight && !done() && io_.Now() >= earliest_) {
      earliest_ = io_.Now() + absl::Milliseconds(30);
      io_.Connect(&connect_, server_);
    }
    next_try_ = std::max(earliest_, io_.Now() + absl::Milliseconds(1));
    if (done()) {
      next_try_ = Instant::Max();
    }
  }
  void OnConnected(const IoResult& result) {
    if (result.ok()) {
      connection_ = std::make_unique<StoryConnection>(io_, result.fd());
      last_answer_ = io_.Now();
    }
  }
  void SendSome() {
    const uint64_t count = std::min<uint64_t>(io_.random().Between(1, 40), end_ - next_);
    for (uint64_t index = 0; index < count; ++index) {
      char bytes[kNumberBytes];
      StoreLittle(reinterpret_cast<uint8_t*>(bytes), next_);
      connection_->output.append(bytes, kNumberBytes);
      waiting_.insert(next_++);
    }
  }
  void TakeAnswers() {
    std::string& input = connection_->input;
    while (input.size() >= kNumberBytes) {
      const uint64_t number = LoadLittle<uint64_t>(AsBytes(input).data());
      ASSERT(waiting_.erase(number) == 1);  // the bytes came in order and unaltered
      answered_.insert(number);
      last_answer_ = io_.Now();
      input.erase(0, kNumberBytes);
    }
  }

  Io& io_;
  const SocketAddress server_;
  uint64_t next_;
  const uint64_t end_;
  Instant next_try_;
  Instant earliest_;
  Instant last_answer_;
  std::set<uint64_t> waiting_;
  std::set<uint64_t> answered_;
  std::unique_ptr<StoryConnection> connection_;
  Completion<&StoryClient::OnConnected> connect_{this};
};

}  // namespace backstay
