// tools/sink/sink_session.cc -- one question to the judge for each command, then its effect.
#include "tools/sink/sink_session.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "core/base/check.h"
#include "core/base/units.h"

namespace backstay {
namespace {

constexpr size_t kLineBytesMax = 8_KiB;

std::string UpperVerb(std::string_view line) {
  std::string verb(line.substr(0, std::min(line.find_first_of(" :"), line.size())));
  std::transform(verb.begin(), verb.end(), verb.begin(),
                 [](unsigned char byte) { return static_cast<char>(std::toupper(byte)); });
  return verb;
}

// "<a@b>" of "FROM:<a@b> SIZE=1"; nothing when there are no brackets.
std::optional<std::string> PathOf(std::string_view argument) {
  const size_t open = argument.find('<');
  const size_t close = argument.find('>', open);
  if (open == std::string_view::npos || close == std::string_view::npos) {
    return std::nullopt;
  }
  return std::string(argument.substr(open + 1, close - open - 1));
}

}  // namespace

void SinkSession::Greet() {
  Ask(SinkPhase::kConnect, "", "220 " + manners_.hostname + " ESMTP");
}

void SinkSession::Refuse(std::string_view reply) {
  Reply(reply);
  end_ = End::kAfterOutput;
}

void SinkSession::StartedTls() {
  wants_tls_ = false;
  secure_ = true;
  Reset();
}

void SinkSession::Reset() {
  has_sender_ = false;
  recipients_.clear();
  in_data_ = false;
}

size_t SinkSession::Consume(Bytes bytes) {
  size_t taken = 0;
  while (taken < bytes.size() && !waits() && end_ == End::kNone && !wants_tls_) {
    const Bytes rest = bytes.subspan(taken);
    taken += in_data_ ? ConsumeContent(rest) : ConsumeLine(rest);
  }
  return taken;
}

size_t SinkSession::ConsumeLine(Bytes bytes) {
  const std::string_view text = AsText(bytes);
  const size_t newline = text.find('\n');
  if (newline == std::string_view::npos) {
    line_.append(text);
    if (line_.size() > kLineBytesMax) {
      judge_.OnViolations(1);
      Refuse("500 5.5.2 Line too long");
    }
    return bytes.size();
  }
  line_.append(text.substr(0, newline + 1));
  const std::string line = std::exchange(line_, std::string());
  const bool crlf = line.ends_with("\r\n");
  const std::string_view command = std::string_view(line).substr(0, line.size() - (crlf ? 2 : 1));
  if (!crlf || command.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
    judge_.OnViolations(1);
  }
  Execute(command);
  return newline + 1;
}

void SinkSession::Execute(std::string_view line) {
  const std::string verb = UpperVerb(line);
  const std::string_view argument = line.substr(std::min(verb.size() + 1, line.size()));
  if (verb == "MAIL") {
    Mail(argument);
  } else if (verb == "RCPT") {
    Rcpt(argument);
  } else if (verb == "DATA") {
    Data();
  } else if (verb == "EHLO" || verb == "HELO") {
    Reset();
    std::string words = "250-" + manners_.hostname + "\r\n";
    words += manners_.pipelining ? "250-PIPELINING\r\n" : "";
    words += manners_.starttls && !secure_ ? "250-STARTTLS\r\n" : "";
    words += "250-SIZE 0\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES";
    Ask(SinkPhase::kEhlo, argument, verb == "EHLO" ? words : "250 " + manners_.hostname);
  } else if (verb == "RSET") {
    Reset();
    Reply("250 2.0.0 Ok");
  } else if (verb == "NOOP") {
    Reply("250 2.0.0 Ok");
  } else if (verb == "QUIT") {
    Refuse("221 2.0.0 Bye");
  } else if (verb == "STARTTLS" && manners_.starttls && !secure_) {
    Reply("220 2.0.0 Go ahead");
    wants_tls_ = true;
  } else {
    Reply("502 5.5.1 Command not implemented");
  }
}

void SinkSession::Mail(std::string_view argument) {
  const std::optional<std::string> path = PathOf(argument);
  if (has_sender_ || !path.has_value()) {
    Reply(has_sender_ ? "503 5.5.1 Nested MAIL" : "501 5.5.4 MAIL FROM:<path>");
    return;
  }
  if (manners_.messages_max > 0 && messages_ >= manners_.messages_max) {
    judge_.OnRefused(SinkPhase::kMail, 421);
    Refuse("421 4.7.0 Enough on this connection");
    return;
  }
  Ask(SinkPhase::kMail, *path, "250 2.1.0 Ok");
}

void SinkSession::Rcpt(std::string_view argument) {
  const std::optional<std::string> path = PathOf(argument);
  if (!has_sender_ || !path.has_value()) {
    Reply(has_sender_ ? "501 5.5.4 RCPT TO:<path>" : "503 5.5.1 MAIL first");
    return;
  }
  path_ = *path;
  Ask(SinkPhase::kRcpt, path_, "250 2.1.5 Ok");
}

void SinkSession::Data() {
  if (recipients_.empty()) {
    Reply(has_sender_ ? "554 5.5.1 No valid recipients" : "503 5.5.1 MAIL first");
    return;
  }
  Ask(SinkPhase::kData, "", "354 Go ahead");
}

// The rules for content apply when some of it has come: the client is in the middle of it.
size_t SinkSession::ConsumeContent(Bytes bytes) {
  if (!std::exchange(content_asked_, true)) {
    Ask(SinkPhase::kContent, "", "");
    return 0;
  }
  const size_t taken = reader_.Consume(bytes, [this](Bytes content) {
    content_bytes_ += content.size();
    stamp_.Take(content);
  });
  if (reader_.done()) {
    EndOfData();
  }
  return taken;
}

void SinkSession::EndOfData() {
  in_data_ = false;
  judge_.OnViolations(reader_.violations());
  Ask(SinkPhase::kEnd, "", "250 2.0.0 Ok");
}

// ---- answers ----

void SinkSession::Ask(SinkPhase phase, std::string_view argument, std::string_view positive) {
  asked_ = phase;
  positive_ = positive;
  verdict_ = judge_.Judge(phase, argument);
  delay_ =
      verdict_.action == SinkVerdict::Action::kStall ? absl::InfiniteDuration() : verdict_.delay;
  if (!waits()) {
    Answer(phase);
  }
}

void SinkSession::Continue() {
  ASSERT(waits());
  delay_ = absl::ZeroDuration();
  Answer(asked_);
}

void SinkSession::Answer(SinkPhase phase) {
  switch (verdict_.action) {
    case SinkVerdict::Action::kCut:
      end_ = End::kNow;
      return;
    case SinkVerdict::Action::kReply:
      Apply(phase, verdict_.code < 400);
      Reply(verdict_.reply);
      if (verdict_.code == 421 || (phase == SinkPhase::kConnect && verdict_.code >= 400)) {
        end_ = End::kAfterOutput;
      }
      return;
    case SinkVerdict::Action::kGoOn:
      if (phase != SinkPhase::kContent) {
        Reply(positive_);
      }
      Apply(phase, true);
      return;
    case SinkVerdict::Action::kStall:
      break;
  }
  UNREACHABLE();
}

void SinkSession::Apply(SinkPhase phase, bool positive) {
  switch (phase) {
    case SinkPhase::kConnect:
    case SinkPhase::kEhlo:
    case SinkPhase::kContent:
      return;
    case SinkPhase::kMail:
      has_sender_ = positive;
      return;
    case SinkPhase::kRcpt:
      if (positive) {
        recipients_.push_back(path_);
      }
      return;
    case SinkPhase::kData:
      if (positive) {
        in_data_ = true;
        content_bytes_ = 0;
        reader_.Start();
        stamp_.Start();
        content_asked_ = false;
      }
      return;
    case SinkPhase::kEnd:
      if (positive) {
        ++messages_;
        judge_.OnTaken(stamp_, content_bytes_, recipients_);
      }
      Reset();
      return;
  }
}

void SinkSession::Reply(std::string_view reply) {
  output_.append(reply);
  output_.append("\r\n");
}

}  // namespace backstay
