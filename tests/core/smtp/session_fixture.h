// tests/core/smtp/session_fixture.h -- a ServerSession with an Intake that takes notes.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <optional>
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
    size_bytes = params.size_bytes;
    body = params.body;
    told += fmt::format("ret {} envid {}{}|", static_cast<int>(params.return_content),
                        params.envelope_id, params.smtputf8 ? " utf8" : "");
    last_reverse_path = reverse_path;
    return reply;
  }
  std::optional<Reply> OnRcpt(std::string_view address, const RcptParams& params) override {
    EXPECT_TRUE(open_);
    calls += 'R';
    told += fmt::format("notify {} orcpt {}|", params.notify, params.original_recipient);
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

  Rights ClientRights() const override { return rights; }
  Reply OnEtrn(std::string_view domain, bool subdomains) override {
    calls += 'T';
    told += fmt::format("etrn {}{}|", domain, subdomains ? " and below" : "");
    return domain == "our" ? replies::kQueuingStarted : replies::kNodeNotAllowed;
  }
  Reply OnXclient(const XclientAttributes& attributes) override {
    EXPECT_FALSE(open_);
    calls += 'C';
    told += fmt::format("name {} helo {}|", attributes.name.value_or("-"),
                        attributes.helo.value_or("-"));
    return attributes.name == "closing" ? replies::kTooManyConnections : replies::kOk;
  }

  Rights rights;
  std::string calls;  // M, R, D, E, X, T, C for the calls as they came, without OnContent
  std::vector<std::string> messages;
  std::vector<std::string> recipients;
  std::string content;
  std::string last_reverse_path;
  std::optional<uint64_t> size_bytes;
  BodyType body = BodyType::k7Bit;
  std::string told;  // the parameters of MAIL and RCPT, each followed by "|"
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
      pauses += session.wants_pause() ? 1 : 0;
      session.EndPause();
    } while (FinishIfOwed());
    if (session.at_rest()) {
      RestAndWake();
    }
  }
  // Parameters are replaced in place, also under a message.
  void Reload(ServerParams params) { params_ = std::move(params); }
  // As the owner of an idle client does: nobody must notice.
  void RestAndWake() {
    SessionMemory memory;
    session.Rest(memory);
    session.Clear();
    session.Wake(memory, intake);
  }

 private:
  ServerParams params_;
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
  size_t pauses = 0;
  std::string transcript;
};

}  // namespace backstay
