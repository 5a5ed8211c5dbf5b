// tests/sim/client.cc -- the dialogue from the client's side.
#include "tests/sim/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace backstay {
namespace {

std::string RcptCommand(std::string_view recipient) {
  const std::string_view notify = NotifyOf(recipient);
  return fmt::format("RCPT TO:<{}>{}{}\r\n", recipient, notify.empty() ? "" : " NOTIFY=", notify);
}

}  // namespace

SimClient::SimClient(World& world, Host& host, const Setup& setup, Random random, Ledger& ledger)
    : world_(world),
      host_(host),
      setup_(setup),
      random_(random),
      ledger_(ledger),
      io_(world.MakeIo(host)),
      socket_(*io_, *this),
      messages_left_(setup.messages),
      due_(world.Now()) {
  Pause();
  world_.Attach(*io_, *this);
}

SimClient::~SimClient() {
  world_.Crash(host_, CrashMode::kAllUnsynced);
}

void SimClient::Enqueue(Message message) {
  queued_.push_back(std::move(message));
  if (!socket_.started() && !connect_.in_flight) {
    due_ = world_.Now();
  }
  io_->Wake();
}

bool SimClient::done() const {
  return !HasMessage() && !socket_.started() && !connect_.in_flight;
}

void SimClient::Turn() {
  const bool waiting = HasMessage() || socket_.started();
  io_->Turn(waiting ? due_ : Instant::Max());
  if (io_->Now() >= due_) {
    OnTimer();
  }
}

void SimClient::OnTimer() {
  due_ = Instant::Max();
  if (socket_.started()) {
    // No answer can come to a message that is still on its way through a slow network.
    const Instant due = socket_.progressed_at() + setup_.patience;
    if (due > io_->Now()) {
      due_ = due;
      return;
    }
    // A host that crashed may leave its peers without a word, even after the last of its bytes, or
    // while what says that the connection stands is on its way to us.
    if (!ledger_.CrashedSince(began_at_)) {
      ledger_.Violation("a client lost its patience: no answer");
    }
    socket_.Abort();
  } else if (!connect_.in_flight && HasMessage()) {
    Connect();
  }
}

// Until the next connection.
void SimClient::Pause() {
  const auto most = static_cast<uint64_t>(absl::ToInt64Nanoseconds(setup_.manners.pause_max));
  due_ = world_.Now() + absl::Nanoseconds(static_cast<int64_t>(random_.Below(most + 1)));
}

void SimClient::Connect() {
  const ClientManners& manners = setup_.manners;
  pipelined_ = Draw(manners.pipelined);
  bytes_until_cut_ = UINT64_MAX;
  if (Draw(manners.cut)) {
    bytes_until_cut_ = random_.Below(uint64_t{2} << random_.Below(19));
  }
  began_at_ = io_->Now();
  io_->Connect(&connect_, setup_.server);
}

void SimClient::OnConnected(const IoResult& result) {
  if (!result.ok()) {
    Pause();
    due_ = due_ + absl::Milliseconds(100);
    return;
  }
  input_.clear();
  expected_.clear();
  expected_.push_back({Kind::kGreeting});
  quitting_ = false;
  next_started_ = false;
  messages_on_connection_ = 0;
  due_ = io_->Now() + setup_.patience;
  socket_.Start(result.fd());
}

void SimClient::OnPeerEnd(IoError) {
  socket_.Abort();
}

void SimClient::OnPeerGone() {
  Pause();
}

// False: the cut came first; nothing more is said on this connection.
bool SimClient::Write(std::string_view text) {
  if (text.size() <= bytes_until_cut_) {
    bytes_until_cut_ -= text.size();
    socket_.Send(text);
    return true;
  }
  socket_.Send(text.substr(0, bytes_until_cut_));
  bytes_until_cut_ = 0;
  expected_.clear();
  if (Draw(500'000)) {
    socket_.Finish();
  } else {
    socket_.Abort();
  }
  return false;
}

bool SimClient::Command(Expected expected, std::string_view text) {
  expected_.push_back(expected);
  return Write(text);
}

void SimClient::OnPeerBytes(std::string_view bytes) {
  input_.append(bytes);
  due_ = io_->Now() + setup_.patience;
  for (size_t end = input_.find("\r\n"); end != std::string::npos; end = input_.find("\r\n")) {
    const std::string line = input_.substr(0, end);
    input_.erase(0, end + 2);
    int code = 0;
    const auto parsed =
        std::from_chars(line.data(), line.data() + std::min<size_t>(3, line.size()), code);
    if (line.size() < 3 || parsed.ptr != line.data() + 3 || code < 200 || code > 599) {
      ledger_.Violation(fmt::format("a malformed reply: {}", line));
      socket_.Abort();
      return;
    }
    if (line.size() == 3 || line[3] == ' ') {
      OnReply(code, std::string_view(line).substr(std::min<size_t>(4, line.size())));
    }
  }
}

// 421 may come at any time; then the connection ends. Anything else has a command that asked for
// it.
void SimClient::OnUnexpected(int code) {
  if (code != 421) {
    ledger_.Violation(fmt::format("a reply that nobody asked for: {}", code));
  }
  socket_.Finish();
}

void SimClient::OnReply(int code, std::string_view text) {
  if (expected_.empty() || code == 421) {
    if (!expected_.empty() && expected_.front().kind == Kind::kContent) {
      OnFinal(expected_.front().message, code, text);
    }
    expected_.clear();
    last_final_code_ = code;
    OnUnexpected(code);
    return;
  }
  const Expected expected = expected_.front();
  expected_.pop_front();
  const bool positive = code < 400;
  switch (expected.kind) {
    case Kind::kGreeting:
      if (!positive) {
        socket_.Finish();
        return;
      }
      Command({Kind::kEhlo},
              Draw(setup_.manners.helo) ? "HELO client.example\r\n" : "EHLO client.example\r\n");
      return;
    case Kind::kEhlo:
    case Kind::kReset:
      if (!next_started_) {
        NextMessage();
      }
      return;
    case Kind::kMail:
      accepted_recipients_ = 0;
      if (!positive && !pipelined_) {
        ++refused_;
        last_final_code_ = code;
        Command({Kind::kReset}, "RSET\r\n");
      } else if (!pipelined_) {
        NextCommand(expected.message, 0);
      }
      return;
    case Kind::kRcpt:
      ledger_.OnRecipientReply(expected.message, expected.recipient, code);
      accepted_recipients_ += positive ? 1 : 0;
      if (!pipelined_) {
        NextCommand(expected.message, expected.recipient + 1);
      }
      return;
    case Kind::kData:
      OnDataReply(expected.message, code);
      return;
    case Kind::kContent:
      OnFinal(expected.message, code, text);
      if (!std::exchange(next_started_, false)) {
        NextMessage();
      }
      return;
    case Kind::kQuit:
      socket_.Finish();
      return;
  }
}

void SimClient::NextMessage() {
  const ClientManners& manners = setup_.manners;
  const bool more =
      HasMessage() && messages_on_connection_ < manners.messages_per_connection_max && !quitting_;
  if (!more) {
    quitting_ = true;
    if (Draw(manners.abrupt)) {
      socket_.Abort();
    } else {
      Command({Kind::kQuit}, "QUIT\r\n");
    }
    return;
  }
  Message message;
  if (!queued_.empty()) {
    message = std::move(queued_.front());
    queued_.pop_front();
  } else {
    --messages_left_;
    message = DrawMessage(random_, setup_.shape, (*setup_.numbers)++);
  }
  ++messages_on_connection_;
  StartMessage(ledger_.Offer(std::move(message)));
}

void SimClient::StartMessage(size_t number) {
  const Message& message = ledger_.message(number);
  std::string text = fmt::format("MAIL FROM:<{}>\r\n", message.reverse_path);
  if (!pipelined_) {
    Command({Kind::kMail, number}, text);
    return;
  }
  expected_.push_back({Kind::kMail, number});
  for (size_t index = 0; index < message.recipients.size(); ++index) {
    text += RcptCommand(message.recipients[index]);
    expected_.push_back({Kind::kRcpt, number, index});
  }
  text += "DATA\r\n";
  expected_.push_back({Kind::kData, number});
  Write(text);
}

// One at a time: the recipient with this index, or what follows the last one.
void SimClient::NextCommand(size_t number, size_t recipient) {
  const Message& message = ledger_.message(number);
  if (Draw(setup_.manners.silent)) {
    return;  // until the daemon has enough
  }
  if (recipient < message.recipients.size()) {
    Command({Kind::kRcpt, number, recipient}, RcptCommand(message.recipients[recipient]));
  } else if (accepted_recipients_ == 0 || Draw(setup_.manners.reset)) {
    Command({Kind::kReset}, "RSET\r\n");
  } else {
    Command({Kind::kData, number}, "DATA\r\n");
  }
}

void SimClient::OnDataReply(size_t number, int code) {
  if (code == 354) {
    SendContent(number);
    return;
  }
  ++refused_;
  last_final_code_ = code;
  if (code < 400) {
    ledger_.Violation(fmt::format("DATA was answered {}", code));
  }
  Command({Kind::kReset}, "RSET\r\n");
}

void SimClient::SendContent(size_t number) {
  // RFC 2920 s3.1: 354 although every recipient was refused: send nothing but the end.
  if (accepted_recipients_ == 0) {
    Command({Kind::kContent, number}, ".\r\n");
    return;
  }
  expected_.push_back({Kind::kContent, number});
  if (!Write(ToWire(ledger_.message(number).content))) {
    return;
  }
  ledger_.OnEndOfDataSent(number);
  if (pipelined_ && HasMessage() && Draw(setup_.manners.pipeline_next)) {
    next_started_ = true;
    NextMessage();
  }
}

void SimClient::OnFinal(size_t number, int code, std::string_view text) {
  ledger_.OnFinalReply(number, code, text);
  last_final_code_ = code;
  if (code == 250) {
    ++stored_;
  } else {
    ++refused_;
  }
}

std::string ClientManners::ToString() const {
  std::string text = fmt::format("pipelined={} per_connection={} pause_max={}", pipelined,
                                 messages_per_connection_max, absl::FormatDuration(pause_max));
  const auto add = [&text](std::string_view name, uint32_t rate) {
    if (rate != 0) {
      text += fmt::format(" {}={}", name, rate);
    }
  };
  add("pipeline_next", pipeline_next);
  add("cut", cut);
  add("abrupt", abrupt);
  add("silent", silent);
  add("reset", reset);
  add("helo", helo);
  return text;
}

}  // namespace backstay
