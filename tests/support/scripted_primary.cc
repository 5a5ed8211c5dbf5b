// tests/support/scripted_primary.cc -- a small SMTP server for tests.
#include "tests/support/scripted_primary.h"

#include <algorithm>
#include <utility>

namespace backstay {

class ScriptedPrimary::Connection : private StreamEvents {
 public:
  Connection(ScriptedPrimary& owner, Fd socket) : owner_(owner), stream_(owner.outbox_, *this) {
    stream_.Start(socket);
    due_ = owner_.io_.Now() + owner_.pace_;
    Advance();
  }
  void Close() { stream_.Close(); }
  void Flush() { stream_.Flush(); }
  // When it says the next thing that it has to say.
  Instant due() const { return due_; }
  void Advance() {
    while (due_ <= owner_.io_.Now() && !closed_) {
      due_ = Instant::Max();
      if (!std::exchange(greeted_, true)) {
        Say(owner_.ReplyTo("BANNER", "", "220 primary.example ESMTP"));
      } else {
        TakeLine();
      }
      Await();
    }
  }
  bool closed() const { return closed_; }

 private:
  size_t OnStreamBytes(Bytes bytes) override {
    if (is_broken_) {
      stream_.Queue(AsBytes(owner_.broken_saying_.value_or("")));
      stream_.Flush();
      return bytes.size();
    }
    input_.append(AsText(bytes));
    if (due_ == Instant::Max()) {
      Await();
      Advance();
    }
    return bytes.size();
  }

  void Await() {
    if (input_.find("\r\n") != std::string::npos) {
      due_ = owner_.io_.Now() + (in_data_ ? absl::ZeroDuration() : owner_.pace_);
    }
  }

  void TakeLine() {
    const size_t end = input_.find("\r\n");
    const std::string line = input_.substr(0, end);
    input_.erase(0, end + 2);
    in_data_ ? OnDataLine(line) : OnCommand(line);
  }

  void OnDataLine(const std::string& line) {
    if (line != ".") {
      mail_.content += (line.starts_with(".") ? line.substr(1) : line) + "\r\n";
      return;
    }
    in_data_ = mail_taken_ = false;
    const std::string reply = owner_.ReplyTo("EOD", mail_.reverse_path, "250 2.0.0 stored");
    if (reply.starts_with("2")) {
      mail_.secure = secure_;
      owner_.mails_.push_back(mail_);
    }
    mail_ = ReceivedMail();
    Say(reply);
  }

  void OnCommand(const std::string& line) {
    owner_.heard_.push_back(line);
    const std::string verb = line.substr(0, 4);
    const std::string path =
        line.find('<') == std::string::npos
            ? ""
            : line.substr(line.find('<') + 1, line.rfind('>') - line.find('<') - 1);
    if (verb == "EHLO") {
      const std::string reply =
          owner_.ReplyTo("EHLO", "",
                         std::string("250-primary.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n") +
                             (owner_.tls_ != nullptr && !secure_ ? "250-STARTTLS\r\n" : "") +
                             "250 ENHANCEDSTATUSCODES");
      Say(secure_           ? owner_.ReplyTo("EHLO-SECURE", "", reply)
          : is_told_client_ ? owner_.ReplyTo("EHLO-AGAIN", "", reply)
                            : reply);
    } else if (line == "STARTTLS") {
      OnStartTls();
    } else if (verb == "MAIL") {
      mail_ = ReceivedMail();
      mail_.reverse_path = path;
      const std::string reply = owner_.ReplyTo("MAIL", path, "250 2.1.0 ok");
      mail_taken_ = reply.starts_with("2");
      Say(reply);
    } else if (verb == "RCPT") {
      const std::string reply =
          mail_taken_ ? owner_.ReplyTo("RCPT", path, "250 2.1.5 ok") : "503 5.5.1 need MAIL";
      if (reply.starts_with("2")) {
        mail_.recipients.push_back(path);
      }
      Say(reply);
    } else if (verb == "DATA") {
      const std::string reply = owner_.ReplyTo(
          "DATA", "", mail_.recipients.empty() ? "503 5.5.1 no recipients" : "354 go on");
      in_data_ = reply.starts_with("3");
      Say(reply);
    } else if (line.starts_with("XCLIENT ")) {
      mail_ = ReceivedMail();
      is_told_client_ = true;
      Say(owner_.ReplyTo("XCLIENT", "", "220 primary.example ESMTP"));
    } else if (line.starts_with("XFORWARD ")) {
      Say(owner_.ReplyTo("XFORWARD", "", "250 2.0.0 ok"));
    } else if (verb == "QUIT") {
      Say("221 2.0.0 bye");
      stream_.CloseAfterSend();
    } else {
      Say("250 2.0.0 ok");  // HELO, RSET, NOOP
    }
  }

  void OnStartTls() {
    const std::string reply = owner_.ReplyTo("STARTTLS", "", "220 2.0.0 ready");
    Say(reply);
    if (!reply.starts_with("220")) {
      return;
    }
    is_broken_ = owner_.broken_saying_.has_value();
    if (!is_broken_) {
      stream_.StartTls(std::make_unique<TlsSession>(
                           *owner_.tls_, TlsSession::Server{.tickets = owner_.ticket_keys_}),
                       owner_.handshakes_);
    }
  }

  void Say(const std::string& text) {
    const std::string line = text + "\r\n";
    stream_.Queue(AsBytes(line));
    stream_.Flush();
  }
  void OnStreamEnd(IoError) override { stream_.Close(); }
  void OnStreamDrained() override {}
  void OnStreamSecure() override { secure_ = true; }
  void OnStreamClosed() override { closed_ = true; }

  ScriptedPrimary& owner_;
  Stream stream_;
  std::string input_;
  ReceivedMail mail_;
  Instant due_ = Instant::Max();
  bool greeted_ = false;
  bool is_told_client_ = false;
  bool is_broken_ = false;
  bool secure_ = false;
  bool mail_taken_ = false;
  bool in_data_ = false;
  bool closed_ = false;
};

ScriptedPrimary::ScriptedPrimary(Io& io, const SocketAddress& address)
    : io_(io), outbox_(io), address_(address) {}

ScriptedPrimary::~ScriptedPrimary() = default;

void ScriptedPrimary::Up() {
  if (up_) {
    return;
  }
  const absl::StatusOr<Fd> listener = io_.Listen(address_, 100);
  ASSERT(listener.ok());
  listener_ = *listener;
  up_ = true;
  Arm();
}

void ScriptedPrimary::Arm() {
  if (up_ && !accept_.in_flight) {
    io_.Accept(&accept_, listener_);
  }
}

void ScriptedPrimary::Down() {
  if (!up_) {
    return;
  }
  up_ = false;
  io_.Cancel(&accept_);
  for (const std::unique_ptr<Connection>& connection : connections_) {
    connection->Close();
  }
}

void ScriptedPrimary::OnAccept(const IoResult& result) {
  if (result.ok() && up_) {
    ++connections_total_;
    connections_.push_back(std::make_unique<Connection>(*this, result.fd()));
  } else if (result.ok()) {
    io_.Close(result.fd());
  }
  if (!result.more()) {
    if (up_) {
      Arm();
    } else {
      io_.Close(listener_);
    }
  }
}

void ScriptedPrimary::Turn() {
  Instant due = Instant::Max();
  for (const std::unique_ptr<Connection>& connection : connections_) {
    due = std::min(due, connection->due());
  }
  io_.Turn(due);
  for (const std::unique_ptr<Connection>& connection : connections_) {
    connection->Advance();
  }
  while (PendingHandshake* next = handshakes_.PopFront()) {
    next->Step();
  }
  outbox_.Flush();
  connections_.erase(std::remove_if(connections_.begin(), connections_.end(),
                                    [](const std::unique_ptr<Connection>& connection) {
                                      return connection->closed();
                                    }),
                     connections_.end());
}

void ScriptedPrimary::SetReply(const std::string& command, const std::string& reply,
                               const std::string& only) {
  rules_.push_back({command, reply, only});
}

std::string ScriptedPrimary::ReplyTo(const std::string& command, const std::string& argument,
                                     const std::string& otherwise) const {
  for (const Rule& rule : rules_) {
    if (rule.command == command && (rule.only.empty() || rule.only == argument)) {
      return rule.reply;
    }
  }
  return otherwise;
}

}  // namespace backstay
