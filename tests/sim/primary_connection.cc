// tests/sim/primary_connection.cc -- greeting to QUIT, with the manners drawn for the primary.
#include "tests/sim/primary_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace backstay {
namespace {

// RFC 5321 s4.5.3.2.7: a server waits at least five minutes for the next command. A daemon whose
// host crashed may never say that it is gone.
constexpr absl::Duration kPatience = absl::Minutes(6);

std::string Upper(std::string_view text) {
  std::string upper(text);
  std::transform(upper.begin(), upper.end(), upper.begin(), [](char letter) {
    return letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 32) : letter;
  });
  return upper;
}

// What stands between < and >.
std::string_view PathIn(std::string_view line) {
  const size_t open = line.find('<');
  const size_t close = line.find('>', open == std::string_view::npos ? 0 : open);
  return close == std::string_view::npos ? "" : line.substr(open + 1, close - open - 1);
}

// The content before its end of data, without the stuffed dots; nothing while the end is missing.
std::optional<std::string> Unstuff(std::string_view input, size_t* consumed) {
  std::string content;
  size_t at = 0;
  for (;;) {
    const size_t end = input.find("\r\n", at);
    if (end == std::string_view::npos) {
      return std::nullopt;
    }
    std::string_view line = input.substr(at, end - at);
    at = end + 2;
    if (line == ".") {
      *consumed = at;
      return content;
    }
    if (line.starts_with('.')) {
      line.remove_prefix(1);
    }
    content += line;
    content += "\r\n";
  }
}

}  // namespace

PrimaryConnection::PrimaryConnection(SimPrimary& primary)
    : primary_(primary), socket_(*primary.io_, *this) {}

void PrimaryConnection::Start(Fd socket) {
  socket_.Start(socket);
  connected_at_ = primary_.io_->Now();
  impatient_at_ = primary_.io_->Now() + kPatience;
  const PrimaryManners& manners = primary_.manners_;
  if (Draw(manners.cut_at_greeting)) {
    socket_.Finish();
    return;
  }
  if (Draw(manners.greeting_421)) {
    socket_.Send("421 4.3.2 primary.example too busy\r\n");
    socket_.Finish();
    return;
  }
  const std::string greeting = "220 " + primary_.name_ + " ESMTP sim\r\n";
  if (manners.greeting_after > absl::ZeroDuration()) {
    due_ = primary_.io_->Now() + manners.greeting_after;
    late_reply_ = greeting;
    return;
  }
  Reply(greeting);
}

void PrimaryConnection::OnPeerBytes(std::string_view bytes) {
  // It waits for our reply before it goes on, or with PIPELINING before it sends other content.
  if (in_content_ || !told_pipelining_) {
    Confirm();
  }
  impatient_at_ = primary_.io_->Now() + kPatience;
  input_.append(bytes);
  Process();
}

void PrimaryConnection::Confirm() {
  if (unconfirmed_.has_value()) {
    primary_.ledger_.OnConfirmed(*unconfirmed_);
    unconfirmed_.reset();
  }
}

void PrimaryConnection::OnPeerEnd(IoError) {
  socket_.Abort();
}

void PrimaryConnection::OnPeerGone() {
  due_ = Instant::Max();
  impatient_at_ = Instant::Max();
}

void PrimaryConnection::OnDue() {
  if (due_ > primary_.io_->Now()) {
    impatient_at_ = Instant::Max();
    socket_.Abort();
    return;
  }
  due_ = Instant::Max();
  if (primary_.drip_ > absl::ZeroDuration()) {
    socket_.Send(late_reply_.substr(0, 1));
    late_reply_.erase(0, 1);
    if (!late_reply_.empty()) {
      Drip();
      return;
    }
  }
  socket_.Send(std::exchange(late_reply_, {}));
  if (quit_) {
    socket_.Finish();
    return;
  }
  Process();
}

void PrimaryConnection::Drip() {
  due_ = primary_.io_->Now() + primary_.drip_;
  impatient_at_ = due_ + kPatience;
}

// Sends it now, late, in part or not at all. Nothing is processed while a late one is owed.
void PrimaryConnection::Reply(std::string text) {
  const PrimaryManners& manners = primary_.manners_;
  if (primary_.drip_ > absl::ZeroDuration()) {
    late_reply_ = std::move(text);
    Drip();
    return;
  }
  if (Draw(manners.cut)) {
    socket_.Send(std::string_view(text).substr(0, primary_.random_.Below(text.size())));
    if (Draw(500'000)) {
      socket_.Finish();
    } else {
      socket_.Abort();
    }
    return;
  }
  if (Draw(manners.slow)) {
    due_ = primary_.io_->Now() +
           absl::Nanoseconds(static_cast<int64_t>(primary_.random_.Below(
               static_cast<uint64_t>(absl::ToInt64Nanoseconds(manners.slow_max)) + 1)));
    late_reply_ = std::move(text);
    return;
  }
  socket_.Send(text);
}

void PrimaryConnection::Process() {
  while (due_ == Instant::Max() && !quit_ && !gone()) {
    if (in_content_) {
      if (!TakeContent()) {
        return;
      }
      continue;
    }
    const size_t end = input_.find("\r\n");
    if (end == std::string::npos) {
      return;
    }
    const std::string line = input_.substr(0, end);
    input_.erase(0, end + 2);
    // RFC 2920 s3.1: DATA ends a group of commands.
    if (!input_.empty() && (!told_pipelining_ || Upper(line) == "DATA")) {
      primary_.ledger_.Violation(
          fmt::format("a primary got bytes behind a command that needs its reply: {}", line));
    }
    if (line.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
      primary_.ledger_.Violation("a stray CR, LF or NUL in a command");
    }
    OnCommand(line);
  }
}

bool PrimaryConnection::TakeContent() {
  if (content_cut_at_.has_value() && input_.size() >= *content_cut_at_) {
    socket_.Abort();
    input_.clear();
    return false;
  }
  // Only look through it again when the end may have come.
  if (!input_.ends_with(".\r\n") && input_.find("\r\n.\r\n") == std::string::npos) {
    return false;
  }
  size_t consumed = 0;
  std::optional<std::string> content = Unstuff(input_, &consumed);
  if (!content.has_value()) {
    return false;
  }
  input_.erase(0, consumed);
  primary_.chained_ += input_.empty() ? 0 : 1;
  if (primary_.is_forgetful_) {
    input_.clear();
  }
  in_content_ = false;
  primary_.last_content_ = *content;
  OnContent(std::move(*content));
  return true;
}

void PrimaryConnection::OnCommand(std::string_view line) {
  const std::string upper = Upper(line);
  if (upper.starts_with("EHLO ") || upper.starts_with("HELO ")) {
    OnEhlo(upper.starts_with("EHLO "));
  } else if (upper.starts_with("MAIL FROM:<")) {
    OnMail(line);
  } else if (upper.starts_with("RCPT TO:<")) {
    OnRcpt(line);
  } else if (upper == "DATA") {
    OnData();
  } else if (upper == "RSET") {
    ResetTransaction();
    Reply("250 2.0.0 Ok\r\n");
  } else if (upper == "NOOP") {
    Reply("250 2.0.0 Ok\r\n");
  } else if (upper == "QUIT") {
    Confirm();
    if (primary_.is_silent_at_quit_) {
      return;
    }
    quit_ = true;
    Reply("221 2.0.0 Bye\r\n");
    if (due_ == Instant::Max()) {
      socket_.Finish();
    }
  } else {
    primary_.ledger_.Violation(fmt::format("a primary got a strange command: {}", line));
    Reply("500 5.5.1 What?\r\n");
  }
}

void PrimaryConnection::OnEhlo(bool extended) {
  const PrimaryManners& manners = primary_.manners_;
  ResetTransaction();
  told_dsn_ = extended && manners.dsn;
  if (!extended) {
    Reply("250 primary.example\r\n");
    return;
  }
  told_pipelining_ = manners.pipelining;
  Reply(fmt::format("250-primary.example\r\n{}{}{}250 ENHANCEDSTATUSCODES\r\n",
                    manners.pipelining ? "250-PIPELINING\r\n" : "",
                    manners.eight_bit ? "250-8BITMIME\r\n" : "", told_dsn_ ? "250-DSN\r\n" : ""));
}

void PrimaryConnection::OnMail(std::string_view line) {
  if (has_sender_) {
    primary_.ledger_.Violation("MAIL inside a transaction at a primary");
    Reply("503 5.5.1 Sender already given\r\n");
    return;
  }
  if (Draw(primary_.manners_.mail_4xx)) {
    Reply("451 4.3.0 Try again later\r\n");
    return;
  }
  has_sender_ = true;
  reverse_path_.assign(PathIn(line));
  Reply("250 2.1.0 Ok\r\n");
}

int PrimaryConnection::CodeFor(std::string_view recipient) {
  if (primary_.is_emptied_) {
    return 550;
  }
  if (FateOf(recipient) == Fate::kUnknown) {
    primary_.ledger_.OnRejected(recipient);
    return 550;
  }
  if (primary_.soft_.contains(recipient) || Draw(primary_.manners_.rcpt_4xx)) {
    return 450;
  }
  return 250;
}

void PrimaryConnection::OnRcpt(std::string_view line) {
  if (!has_sender_) {
    Reply("503 5.5.1 MAIL first\r\n");
    return;
  }
  const std::string recipient(PathIn(line));
  if (line.find(" NOTIFY=") != std::string_view::npos && !told_dsn_) {
    primary_.ledger_.Violation(
        fmt::format("NOTIFY to a primary that does not offer DSN: {}", line));
  }
  if (told_dsn_ && !NotifyOf(recipient).empty() &&
      !line.ends_with(fmt::format(" NOTIFY={}", NotifyOf(recipient)))) {
    primary_.ledger_.Violation(fmt::format("a wish was not passed on: {}", line));
  }
  if (recipients_.size() >= primary_.recipients_max_) {
    Reply("452 4.5.3 Too many recipients\r\n");
    return;
  }
  if (primary_.poison_.contains(recipient)) {
    ++primary_.gave_up_;
    quit_ = true;
    socket_.Send("421 4.3.0 primary.example gives up\r\n");
    socket_.Finish();
    return;
  }
  const int code = CodeFor(recipient);
  primary_.attempts_.push_back({primary_.io_->Now(), recipient, code});
  switch (code) {
    case 250:
      recipients_.push_back(recipient);
      Reply("250 2.1.5 Ok\r\n");
      return;
    case 450:
      Reply("450 4.2.1 Mailbox busy\r\n");
      return;
    default:
      Reply("550 5.1.1 No such user here\r\n");
      return;
  }
}

void PrimaryConnection::OnData() {
  if (recipients_.empty()) {
    Reply("503 5.5.1 No valid recipients\r\n");
    return;
  }
  const PrimaryManners& manners = primary_.manners_;
  if (Draw(manners.data_4xx)) {
    ResetTransaction();
    Reply("451 4.3.0 Not now\r\n");
    return;
  }
  in_content_ = true;
  content_cut_at_.reset();
  if (Draw(manners.cut_in_content)) {
    content_cut_at_ = primary_.random_.Below(primary_.random_.Below(64 * 1024) + 1);
  }
  Reply("354 Go ahead\r\n");
}

void PrimaryConnection::OnContent(std::string content) {
  const PrimaryManners& manners = primary_.manners_;
  size_t newline = content.find_first_of(std::string_view("\r\n\0", 3));
  while (newline != std::string::npos && content.compare(newline, 2, "\r\n") == 0) {
    newline = content.find_first_of(std::string_view("\r\n\0", 3), newline + 2);
  }
  if (newline != std::string::npos) {
    primary_.ledger_.Violation("a stray CR, LF or NUL in content");
  }
  if (IsRefusedSender(reverse_path_)) {
    for (const std::string& recipient : recipients_) {
      primary_.ledger_.OnRejected(recipient);
    }
    ResetTransaction();
    Reply("554 5.7.1 Spam\r\n");
    return;
  }
  if (Draw(manners.content_4xx)) {
    ResetTransaction();
    Reply("451 4.3.0 Could not store it\r\n");
    return;
  }
  const size_t delivery =
      primary_.ledger_.OnDelivered(connected_at_, reverse_path_, recipients_, content);
  if (told_dsn_) {
    primary_.ledger_.OnPassedOn(recipients_);
  }
  ++primary_.messages_;
  ResetTransaction();
  if (Draw(manners.lost_reply)) {
    socket_.Abort();
    return;
  }
  unconfirmed_ = delivery;
  Reply("250 2.0.0 Taken\r\n");
}

void PrimaryConnection::ResetTransaction() {
  has_sender_ = false;
  reverse_path_.clear();
  recipients_.clear();
}

}  // namespace backstay
