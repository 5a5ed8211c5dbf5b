// tests/core/smtp/session_fixture.h -- a ServerSession with an Intake that takes notes.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/smtp/server_session.h"

namespace backstay {

// Verdicts follow the local part: "refused@", "later@" (451), "closing@" (421), "nodata@" (as a
// recipient: OnData is answered 452). Checks that the calls come in the order that Intake promises.
class RecordingIntake : public Intake {
 public:
  Reply OnMail(std::string_view reverse_path, const MailParams& params) override {
    EXPECT_FALSE(open_);
    calls += 'M';
    const Reply reply = VerdictOn(reverse_path, replies::kMailOk);
    open_ = reply.positive();
    no_data_ = false;
    recipients.clear();
    content.clear();
    mail_params = params;
    last_reverse_path = reverse_path;
    return reply;
  }
  std::optional<Reply> OnRcpt(std::string_view address) override {
    EXPECT_TRUE(open_);
    calls += 'R';
    if (address.starts_with("pending@")) {
      return std::nullopt;
    }
    const Reply reply = VerdictOn(address, replies::kRcptOk);
    if (reply.positive()) {
      recipients.emplace_back(address);
      no_data_ |= address.starts_with("nodata@");
    }
    return reply;
  }
  Reply OnData() override {
    EXPECT_TRUE(open_);
    EXPECT_FALSE(recipients.empty());
    calls += 'D';
    receiving_ = !no_data_;
    return no_data_ ? replies::kNoSpace : replies::kOk;
  }
  void OnContent(Bytes decoded) override {
    EXPECT_TRUE(receiving_);
    EXPECT_FALSE(decoded.empty());
    content.append(AsText(decoded));
  }
  void OnEndOfData(bool has_dots) override {
    EXPECT_TRUE(receiving_);
    calls += 'E';
    open_ = receiving_ = false;
    has_dot_lines = has_dots;
    messages.push_back(content);
  }
  void OnReset() override {
    EXPECT_TRUE(open_);
    calls += 'X';
    open_ = receiving_ = false;
  }

  std::string calls;  // M, R, D, E, X for the calls as they came, without OnContent
  std::vector<std::string> messages;
  std::vector<std::string> recipients;
  std::string content;
  std::string last_reverse_path;
  MailParams mail_params;
  bool has_dot_lines = false;

 private:
  static Reply VerdictOn(std::string_view address, const Reply& otherwise) {
    if (address.starts_with("refused@")) {
      return replies::kUserUnknown;
    }
    if (address.starts_with("later@")) {
      return replies::kTryPrimary;
    }
    return address.starts_with("closing@") ? replies::kServerFull : otherwise;
  }

  bool open_ = false;
  bool receiving_ = false;
  bool no_data_ = false;
};

// The vocabulary of the dialogues. Ends of data are answered at once with `finish_reply`.
class Dialogue {
 public:
  explicit Dialogue(ServerParams params = DefaultParams())
      : params_(std::move(params)), session(params_, intake) {}

  static ServerParams DefaultParams() {
    ServerParams params;
    params.hostname = "mx2.example.net";
    params.message_bytes_max = 1000;
    params.recipients_max = 3;
    return params;
  }

  // One Consume call, as if these bytes had arrived together; then whatever it takes to get them
  // in.
  void Feed(std::string_view text) {
    // A copy of its own, so that the sanitizer sees a read beyond it.
    const std::vector<uint8_t> copy(text.begin(), text.end());
    Bytes bytes(copy);
    while (!bytes.empty()) {
      bytes = bytes.subspan(session.Consume(bytes));
      Collect();
    }
    Collect();
  }
  void FeedEach(const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
      Feed(line);
    }
  }
  void StartData() {
    FeedEach({"EHLO client.example\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<v@our>\r\n", "DATA\r\n"});
    Expect("250|250 2.1.0|250 2.1.5|354");
  }
  // The replies since the last Expect: code and enhanced code of each, joined by "|".
  std::string TakeReplies() {
    std::string codes;
    while (!unread_.empty()) {
      const size_t end = unread_.find("\r\n");
      EXPECT_NE(end, std::string::npos);
      const std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 2);
      if (line.size() > 3 && line[3] == '-') {
        continue;
      }
      const bool enhanced = line.size() > 8 && line[5] == '.';
      codes += (codes.empty() ? "" : "|") + line.substr(0, enhanced ? 9 : 3);
    }
    return codes;
  }
  void Expect(std::string_view replies) { EXPECT_EQ(TakeReplies(), replies); }
  void ExpectClosed(std::string_view replies) {
    Expect(replies);
    EXPECT_TRUE(session.wants_close());
  }
  void ExpectOpen(std::string_view replies) {
    Expect(replies);
    EXPECT_FALSE(session.wants_close());
  }
  // Moves what the session says to the transcript, and answers an end of data.
  void Collect() {
    do {
      transcript.append(session.output());
      unread_.append(session.output());
      session.DropOutput(session.output().size());
    } while (FinishIfOwed());
  }

 private:
  const ServerParams params_;
  std::string unread_;
  bool FinishIfOwed() {
    if (!session.awaiting_finish() || !finishes) {
      return false;
    }
    session.FinishData(finish_reply);
    return true;
  }

 public:
  RecordingIntake intake;
  ServerSession session;
  Reply finish_reply = replies::kOk;
  bool finishes = true;
  std::string transcript;
};

}  // namespace backstay
