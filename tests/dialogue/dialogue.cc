// tests/dialogue/dialogue.cc -- the story teller.
#include "tests/dialogue/dialogue.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <sstream>
#include <utility>

namespace backstay {
namespace {

const SocketAddress kDaemonAddress = *SocketAddress::Parse("10.0.0.1:25");
const SocketAddress kPrimaryAddress = *SocketAddress::Parse("10.0.0.3:25");
// Virtual time, so generous: how long a reply may take.
constexpr absl::Duration kReplyTime = absl::Seconds(8);
constexpr const char* kLogFile = "/log/mail.log";

std::string Unescape(const std::string& text) {
  std::string bytes;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\' || at + 1 == text.size()) {
      bytes += text[at];
      continue;
    }
    const char code = text[++at];
    if (code == 'x') {
      bytes += static_cast<char>(std::strtol(text.substr(at + 1, 2).c_str(), nullptr, 16));
      at += 2;
    } else {
      bytes += code == 'r'   ? '\r'
               : code == 'n' ? '\n'
               : code == 't' ? '\t'
               : code == '0' ? '\0'
                             : code;
    }
  }
  return bytes;
}

// As the end of data wants it.
std::string WithDotsStuffed(const std::string& content) {
  std::string wire;
  for (const char c : content) {
    if (c == '.' && (wire.empty() || wire.back() == '\n')) {
      wire += '.';
    }
    wire += c;
  }
  return wire + ".\r\n";
}

bool TakeWord(std::string& text, const std::string& word) {
  if (!text.starts_with(word)) {
    return false;
  }
  text.erase(0, word.size());
  text.erase(0, text.find_first_not_of(' ') == std::string::npos ? text.size()
                                                                 : text.find_first_not_of(' '));
  return true;
}

bool OnlyCrlf(const std::string& content) {
  for (size_t at = 0; at < content.size(); ++at) {
    if (content[at] == '\n' && (at == 0 || content[at - 1] != '\r')) {
      return false;
    }
    if (content[at] == '\r' && (at + 1 == content.size() || content[at + 1] != '\n')) {
      return false;
    }
  }
  return true;
}

}  // namespace

class Dialogue::PrimaryActor : public Actor {
 public:
  explicit PrimaryActor(ScriptedPrimary& primary) : primary_(primary) {}
  void Turn() override { primary_.Turn(); }

 private:
  ScriptedPrimary& primary_;
};

Dialogue::Dialogue(uint64_t seed)
    : world_(seed),
      daemon_host_(world_.AddHost("mx2", *SocketAddress::Parse("10.0.0.1:0"))),
      client_host_(world_.AddHost("client", *SocketAddress::Parse("10.0.0.2:0"))),
      other_host_(world_.AddHost("other", *SocketAddress::Parse("10.0.0.9:0"))),
      primary_host_(world_.AddHost("primary", *SocketAddress::Parse("10.0.0.3:0"))),
      primary_io_(world_.MakeIo(primary_host_)),
      primary_(std::make_unique<ScriptedPrimary>(*primary_io_, kPrimaryAddress)),
      primary_actor_(std::make_unique<PrimaryActor>(*primary_)) {
  world_.Attach(*primary_io_, *primary_actor_);
  primary_->Up();
}

Dialogue::~Dialogue() {
  client_.reset();
  parked_.clear();
  if (daemon_ != nullptr) {
    daemon_->Crash(CrashMode::kAllUnsynced);
  }
  world_.Crash(primary_host_);
}

std::vector<Dialogue::Story> Dialogue::Stories(const std::string& file) {
  std::vector<Story> stories(1);
  std::istringstream input(file);
  std::string line;
  std::string blank;  // so that the lines of a story have the numbers that they have in the file
  while (std::getline(input, line)) {
    blank += "\n";
    if (line.starts_with("== ")) {
      stories.push_back({line.substr(3), blank});
    } else {
      stories.back().text += line + "\n";
    }
  }
  return stories;
}

std::vector<Dialogue::Line> Dialogue::Expand(const std::string& text) {
  std::vector<Line> lines;
  std::istringstream input(text);
  std::string line;
  size_t repeat_from = 0;
  size_t repeat_count = 0;
  for (size_t number = 1; std::getline(input, line); ++number) {
    if (line.starts_with("repeat ")) {
      repeat_from = lines.size();
      repeat_count = static_cast<size_t>(std::atoi(line.c_str() + 7));
    } else if (line == "end") {
      const std::vector<Line> body(lines.begin() + static_cast<std::ptrdiff_t>(repeat_from),
                                   lines.end());
      for (size_t count = 1; count < repeat_count; ++count) {
        lines.insert(lines.end(), body.begin(), body.end());
      }
    } else if (line == "greet") {
      for (const char* said : {"S: 220 *", "C: EHLO client.example", "S: 250-*"}) {
        lines.push_back({number, said});
      }
    } else if (line == "to data") {
      for (const char* said :
           {"C| MAIL FROM:<a@example.org>\\r\\nRCPT TO:<b@example.com>\\r\\nDATA\\r\\n",
            "S: 250 2.1.0 *", "S: 250 2.1.5 *", "S: 354 *"}) {
        lines.push_back({number, said});
      }
    } else if (!line.empty() && line[0] != '#') {
      lines.push_back({number, line});
    }
  }
  return lines;
}

std::string Dialogue::Run(const std::string& text) {
  for (const Line& line : Expand(text)) {
    const std::string problem = Execute(line.text);
    if (!problem.empty()) {
      return fmt::format("line {}: {}\n    {}", line.number, line.text, problem);
    }
  }
  return "";
}

std::string Dialogue::Execute(const std::string& line) {
  std::string words = line;
  if (TakeWord(words, "config ")) {
    Set(words);
    return "";
  }
  if (TakeWord(words, "primary ")) {
    return Primary(words);
  }
  EnsureStarted();
  if (line.size() >= 2 && line[0] == 'C') {
    return Client(line[1], line.size() > 3 ? line.substr(3) : "");
  }
  if (line.starts_with("S: ")) {
    return Expect(line.substr(3));
  }
  if (TakeWord(words, "spool ")) {
    return SpoolState(words);
  }
  if (TakeWord(words, "logged ")) {
    return Logged(words, /*wanted=*/true);
  }
  if (TakeWord(words, "not logged ")) {
    return Logged(words, /*wanted=*/false);
  }
  const size_t space = line.find(' ');
  return Control(line.substr(0, space), space == std::string::npos ? "" : line.substr(space + 1));
}

std::string Dialogue::Client(char kind, const std::string& text) {
  if (client_ == nullptr) {
    return "the client is not connected";
  }
  const size_t space = text.find(' ');
  switch (kind) {
    case ':':
      client_->Send(text + "\r\n");
      return "";
    case '|':
      client_->Send(Unescape(text));
      return "";
    case '*':
      for (int count = std::atoi(text.c_str()); count > 0; --count) {
        client_->Send(text.substr(space + 1) + "\r\n");
      }
      return "";
    case '+': {
      std::string filled = text.substr(space + 1);
      filled.resize(static_cast<size_t>(std::atoi(text.c_str())), 'x');
      client_->Send(filled + "\r\n");
      return "";
    }
    case '<':
      if (primary_->mails().empty()) {
        return "no mail came";
      }
      client_->Send(WithDotsStuffed(primary_->mails().back().content));
      return "";
    default:
      return "no such client statement";
  }
}

std::string Dialogue::Expect(const std::string& pattern) {
  if (client_ == nullptr) {
    return "the client is not connected";
  }
  if (pattern == "close") {
    return client_->WaitClosed(kReplyTime) ? "" : "the server did not close";
  }
  if (pattern == "nothing") {
    const std::optional<std::string> reply = client_->NextLine(absl::Seconds(1));
    return reply.has_value() ? "got: " + *reply : "";
  }
  // "S: 250-*" stands for all lines of a multi-line reply from here on.
  const bool rest = pattern.size() > 3 && pattern.substr(3) == "-*";
  for (;;) {
    const std::optional<std::string> reply = client_->NextLine(kReplyTime);
    if (!reply.has_value()) {
      return "no reply";
    }
    if (rest && reply->starts_with(pattern.substr(0, 3))) {
      if (reply->size() > 3 && (*reply)[3] == '-') {
        continue;
      }
      return "";
    }
    return fnmatch(pattern.c_str(), reply->c_str(), FNM_NOESCAPE) == 0 ? "" : "got: " + *reply;
  }
}

std::string Dialogue::Primary(const std::string& words) {
  std::string rest = words;
  if (words == "up") {
    primary_->Up();
  } else if (words == "down") {
    primary_->Down();
  } else if (TakeWord(rest, "reply ")) {
    return PrimaryReply(rest);
  } else if (TakeWord(rest, "got ")) {
    return PrimaryGot(rest);
  } else if (TakeWord(rest, "connections ")) {
    const std::string came = fmt::format("{}", primary_->connections_total());
    return rest == came ? "" : came + " came";
  } else if (TakeWord(rest, "heard ")) {
    const size_t times = rest.find(" times ");
    const bool counted = std::isdigit(rest[0]) != 0 && times != std::string::npos;
    const auto heard = PrimaryHeard(counted ? rest.substr(times + 7) : rest);
    return (counted ? heard == std::atoi(rest.c_str()) : heard > 0)
               ? ""
               : fmt::format("heard: {}", fmt::join(primary_->heard(), "|"));
  } else if (TakeWord(rest, "not heard ")) {
    return PrimaryHeard(rest) > 0 ? "it was heard" : "";
  } else {
    return "no such statement";
  }
  primary_io_->Wake();
  return "";
}

std::ptrdiff_t Dialogue::PrimaryHeard(const std::string& pattern) const {
  const std::vector<std::string>& heard = primary_->heard();
  return std::count_if(heard.begin(), heard.end(), [&](const std::string& line) {
    return fnmatch(Unescape(pattern).c_str(), line.c_str(), FNM_NOESCAPE) == 0;
  });
}

std::string Dialogue::PrimaryReply(const std::string& words) {
  if (words == "none") {
    primary_->ClearReplies();
    return "";
  }
  const size_t space = words.find(' ');
  const size_t only = words.find(" for <");
  const std::string reply =
      words.substr(space + 1, only == std::string::npos ? only : only - space - 1);
  const std::string address =
      only == std::string::npos ? "" : words.substr(only + 6, words.size() - only - 7);
  primary_->SetReply(words.substr(0, space), Unescape(reply), address);
  return "";
}

std::string Dialogue::PrimaryGot(const std::string& words) {
  const std::vector<ReceivedMail>& mails = primary_->mails();
  if (words == "only crlf") {
    for (const ReceivedMail& mail : mails) {
      if (!OnlyCrlf(mail.content)) {
        return "a bare CR or LF came out";
      }
    }
    return "";
  }
  std::string rest = words;
  if (TakeWord(rest, "content ")) {
    if (mails.empty()) {
      return "no mail came";
    }
    const std::string& content = mails.back().content;
    const std::string text =
        Unescape(rest.substr(rest.find('"') + 1, rest.rfind('"') - rest.find('"') - 1));
    const bool found = rest.starts_with("containing") ? content.find(text) != std::string::npos
                       : rest.starts_with("starting") ? content.starts_with(text)
                                                      : content.ends_with(text);
    return found ? "" : "content: " + content;
  }
  const size_t count = static_cast<size_t>(std::atoi(rest.c_str()));
  if (mails.size() != count) {
    return fmt::format("{} mails came", mails.size());
  }
  const size_t envelope = rest.find("from ");
  if (envelope == std::string::npos) {
    return "";
  }
  std::string actual = fmt::format("from <{}>", mails.back().reverse_path);
  if (rest.find(" to ") != std::string::npos) {
    actual += " to";
    for (const std::string& recipient : mails.back().recipients) {
      actual += fmt::format(" <{}>", recipient);
    }
  }
  return rest.substr(envelope) == actual ? "" : "envelope: " + actual;
}

std::string Dialogue::SpoolState(const std::string& words) {
  const SpoolStats stats = daemon_->stats();
  const std::string actual =
      fmt::format("live {}, dsn pending {}, messages {}", stats.recipients_live,
                  stats.recipients_dsn_pending, stats.messages_live);
  if (words == "empty") {
    return stats.messages_live == 0 ? "" : actual;
  }
  const size_t number = static_cast<size_t>(std::atoi(words.c_str() + words.rfind(' ') + 1));
  const uint64_t value =
      words.starts_with("live") ? stats.recipients_live : stats.recipients_dsn_pending;
  return value == number ? "" : actual;
}

std::string Dialogue::Logged(const std::string& pattern, bool wanted) {
  world_.RunFor(absl::Milliseconds(200));  // lines gather
  const std::string log = daemon_host_.disk().Contents(kLogFile).value_or("");
  std::istringstream lines(log);
  bool found = false;
  for (std::string line; std::getline(lines, line);) {
    found = found || fnmatch(pattern.c_str(), line.c_str(), FNM_NOESCAPE) == 0;
  }
  return found == wanted ? "" : "the log has:\n" + log;
}

std::string Dialogue::Control(const std::string& verb, const std::string& words) {
  if (verb == "advance") {
    absl::Duration duration;
    if (!absl::ParseDuration(words, &duration)) {
      return "not a duration";
    }
    world_.RunFor(duration);
  } else if (verb == "crash") {
    daemon_->Crash(CrashMode::kNothingUnsynced);
  } else if (verb == "restart") {
    const absl::Status status = daemon_->StartAndServe();
    return status.ok() ? "" : std::string(status.message());
  } else if (verb == "stop") {
    return daemon_->Stop() ? "" : "the daemon did not stop";
  } else if (verb == "reload") {
    const absl::Status status = daemon_->Reload(ConfigText());
    return status.ok() ? "" : std::string(status.message());
  } else if (verb == "disconnect") {
    client_.reset();
  } else if (verb == "connect") {
    client_ = std::make_unique<LineClient>(world_, words == "other" ? other_host_ : client_host_,
                                           kDaemonAddress);
  } else if (verb == "second") {
    parked_.push_back(std::move(client_));
    client_ = std::make_unique<LineClient>(world_, client_host_, kDaemonAddress);
  } else if (verb == "tls") {
    return StartTls();
  } else if (verb == "close_notify") {
    client_->CloseAfterSend();
  } else {
    return "no such statement";
  }
  return "";
}

std::string Dialogue::StartTls() {
  const auto context = TlsContext::MakeClient({});
  return context.ok() && client_->StartTls(**context, kReplyTime) ? "" : "no handshake";
}

void Dialogue::Set(const std::string& words) {
  if (words == "tls on") {
    folder_ = std::make_unique<TestFolder>();
    const TestCertificate made(folder_->path(), "made");
    tls_ = fmt::format("[tls]\ncertificate = \"{}\"\nprivate_key = \"{}\"\n",
                       made.files().certificate, made.files().private_key);
    return;
  }
  const size_t space = words.find(' ');
  settings_.emplace_back(words.substr(0, space), words.substr(space + 1));
}

std::string Dialogue::ConfigText() const {
  std::string smtp;
  std::string domain;
  std::string retry;
  std::string log;
  std::string name = "example.com";
  std::string shards = "1";
  std::string dsn_route = "off";
  for (const auto& [key, value] : settings_) {
    if (key == "domain") {
      name = value;
    } else if (key == "shards") {
      shards = value;
    } else if (key == "recipients") {
      domain += fmt::format("recipients = \"{}\"\n", value);
    } else if (key == "log") {
      log += fmt::format("[log]\nformat = \"{}\"\nfile = \"{}\"\n", value, kLogFile);
    } else if (key == "dsn_route") {
      dsn_route = value;
    } else if (key == "profile") {
      retry += fmt::format("profile = \"{}\"\n", value);
    } else {
      const bool bare =
          value[0] == '[' || value.find_first_not_of("0123456789") == std::string::npos;
      const bool of_domain =
          key.starts_with("quota_") || key == "when_primary_up" || key == "store_after";
      (of_domain ? domain : smtp) +=
          bare ? fmt::format("{} = {}\n", key, value) : fmt::format("{} = \"{}\"\n", key, value);
    }
  }
  return fmt::format(
      "hostname = \"mx2.example.net\"\n[smtp]\nlisten = [\"10.0.0.1:25\"]\nshards = {}\n{}"
      "[spool]\ndirectory = \"/spool\"\nsegment_size = \"4MiB\"\nreserve = \"8MiB\"\n"
      "{}{}[dsn]\nroute = \"{}\"\n[retry]\n{}[admin]\nlisten = \"\"\n[[domain]]\nname = "
      "\"{}\"\nprimary = "
      "[\"10.0.0.3:25\"]\n{}",
      shards, smtp, tls_, log, dsn_route, retry, name, domain);
}

void Dialogue::EnsureStarted() {
  if (started_) {
    return;
  }
  started_ = true;
  daemon_host_.disk().Put("/log/.keep", {});
  daemon_ = std::make_unique<SimDaemon>(world_, daemon_host_, ConfigText());
  const absl::Status status = daemon_->StartAndServe();
  ASSERT(status.ok());
  client_ = std::make_unique<LineClient>(world_, client_host_, kDaemonAddress);
}

}  // namespace backstay
