// tests/dialogue/dialogue.h -- runs one SMTP story (*.smtp) against the whole daemon in a simulated
// world.
//
// The language: one statement a line; a line that begins with # is a comment. A line "== name"
// begins another story of the same file, which knows nothing of the one before.
//
//   C: text                    the client sends text and CRLF
//   C| raw                     the client sends this, with \r \n \t \0 \xNN, no CRLF
//   C* N text                  N lines of text
//   C+ N text                  text filled up to N bytes, and CRLF
//   C< last mail               the content that the primary got last, and the end of data
//   S: pattern                 the next reply line; * and ? as in a shell. "250-*": a whole reply
//   S: close                   the server closed
//   S: nothing                 not a byte comes for a second
//   connect, disconnect        the client comes, goes (it is connected at the start)
//   connect other              from another address, 10.0.0.9 instead of 10.0.0.2
//   second                     another client comes and speaks from here on; the first one stays
//   tls, close_notify          the client's handshake, behind the 220; its orderly end
//   primary up, primary down
//   primary reply COMMAND CODE TEXT [for <address>], primary reply none; \r\n as above
//   primary heard [N times] PATTERN, primary not heard PATTERN
//                              some command line so far, so many, none
//   primary connections N      that came so far
//   primary got N [from <path> [to <path> ...]]
//                              N mails so far; the last one has this envelope
//   primary got content containing "text", starting "text", ending "text"
//   primary got only crlf      no bare CR or LF in any mail
//   crash, restart, stop, reload, advance 31m
//   repeat N ... end
//   greet                      S: 220 *, EHLO client.example and its reply
//   to data                    MAIL FROM:<a@example.org>, RCPT TO:<b@example.com> and DATA, to 354
//   config KEY VALUE           before the first line, or before reload; VALUE may be an array;
//                              "tls on": a certificate
//   spool empty, spool live N, spool dsn pending N
//   logged PATTERN, not logged PATTERN
//                              some line of the log of messages, as with S:; "config log json" or
//                              "config log postfix" first
#pragma once

#include <cstddef>
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

  struct Story {
    std::string name;  // empty: the first of its file
    std::string text;
  };
  // The stories of a file; the first may be comments alone.
  static std::vector<Story> Stories(const std::string& file);

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
  std::ptrdiff_t PrimaryHeard(const std::string& pattern) const;
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
  Host& other_host_;
  Host& primary_host_;
  std::unique_ptr<Io> primary_io_;
  std::unique_ptr<ScriptedPrimary> primary_;
  std::unique_ptr<PrimaryActor> primary_actor_;
  std::unique_ptr<SimDaemon> daemon_;
  std::unique_ptr<LineClient> client_;
  std::vector<std::unique_ptr<LineClient>> parked_;  // stay connected and say nothing
  std::vector<std::pair<std::string, std::string>> settings_;
  std::unique_ptr<TestFolder> folder_;  // of the certificate, if there is one
  std::string tls_;                     // the section of the configuration
  bool started_ = false;
};

}  // namespace backstay
