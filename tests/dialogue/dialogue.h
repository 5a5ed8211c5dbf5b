// tests/dialogue/dialogue.h -- runs one SMTP story (*.smtp) against the whole daemon in a simulated
// world.
//
// The language: one statement a line; a line that begins with # is a comment.
//
//   C: text                    the client sends text and CRLF
//   C| raw                     the client sends this, with \r \n \t \0 \xNN, no CRLF
//   C* N text                  N lines of text
//   C+ N text                  text filled up to N bytes, and CRLF
//   S: pattern                 the next reply line; * and ? as in a shell. "250-*": a whole reply
//   S: close                   the server closed
//   connect, disconnect        the client comes, goes (it is connected at the start)
//   tls, close_notify          the client's handshake, behind the 220; its orderly end
//   primary up, primary down
//   primary reply COMMAND CODE TEXT [for <address>], primary reply none
//   primary got N [from <path> [to <path> ...]]
//                              N mails so far; the last one has this envelope
//   primary got content containing "text", starting "text", ending "text"
//   primary got only crlf      no bare CR or LF in any mail
//   crash, restart, stop, reload, advance 31m
//   repeat N ... end
//   config KEY VALUE           before the first line, or before reload; "tls on": a certificate
//   spool empty, spool live N, spool dsn pending N
//   logged PATTERN, not logged PATTERN
//                              some line of the log of messages, as with S:; "config log json" or
//                              "config log postfix" first
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/sim/world.h"
#include "io/tls/context.h"
#include "tests/support/certificates.h"
#include "tests/support/line_client.h"
#include "tests/support/scripted_primary.h"
#include "tests/support/sim_daemon.h"

namespace backstay {

class Dialogue {
 public:
  explicit Dialogue(uint64_t seed);
  ~Dialogue();
  // Runs `text`; empty when all was as expected, else what was not, with the line.
  std::string Run(const std::string& text);

 private:
  class PrimaryActor;
  struct Line {
    size_t number;
    std::string text;
  };
  static std::vector<Line> Expand(const std::string& text);
  std::string Execute(const std::string& line);
  std::string Client(char kind, const std::string& text);
  std::string Expect(const std::string& pattern);
  std::string Primary(const std::string& words);
  std::string PrimaryGot(const std::string& words);
  std::string PrimaryReply(const std::string& words);
  std::string SpoolState(const std::string& words);
  std::string Logged(const std::string& pattern, bool wanted);
  std::string Control(const std::string& verb, const std::string& words);
  void Set(const std::string& words);
  void EnsureStarted();
  std::string ConfigText() const;
  std::string StartTls();

  World world_;
  Host& daemon_host_;
  Host& client_host_;
  Host& primary_host_;
  std::unique_ptr<Io> primary_io_;
  std::unique_ptr<ScriptedPrimary> primary_;
  std::unique_ptr<PrimaryActor> primary_actor_;
  std::unique_ptr<SimDaemon> daemon_;
  std::unique_ptr<LineClient> client_;
  std::vector<std::pair<std::string, std::string>> settings_;
  std::unique_ptr<TestFolder> folder_;  // of the certificate, if there is one
  std::string tls_;                     // the section of the configuration
  bool started_ = false;
};

}  // namespace backstay
