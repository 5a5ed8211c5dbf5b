// tests/core/event/postfix_lines_test.cc -- the wordings that other tools look for.
#include "core/event/postfix_lines.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace backstay {
namespace {

// Without "Jan  1 00:00:00 mx2 postfix/".
std::string Lines(const Event& event) {
  TimeText time(TimeText::Form::kSyslog, absl::UTCTimeZone());
  std::string out;
  AppendPostfixLines(event, "mx2", time, out);
  const std::string head = "Jan  1 00:00:00 mx2 postfix/";
  for (size_t at = out.find(head); at != std::string::npos; at = out.find(head)) {
    out.erase(at, head.size());
  }
  return out;
}

Event EventOfSession(EventKind kind) {
  Event event;
  event.kind = kind;
  event.connection = 7;
  event.id = "ID";
  event.client = "192.0.2.7";
  event.protocol = "ESMTP";
  event.helo = "c.example";
  event.command = "RCPT";
  return event;
}

std::string Rejected(const Reply& reply, std::string_view command = "RCPT") {
  Event event = EventOfSession(EventKind::kRejected);
  event.sender = "a@b";
  event.recipient = command == "RCPT" ? "x@y" : "";
  event.command = command;
  event.reply = reply;
  return Lines(event);
}

TEST(PostfixLines, AConnectionHasTwoLinesJoinedByItsNumber) {
  EXPECT_EQ(Lines(EventOfSession(EventKind::kConnected)),
            "smtpd[7]: connect from unknown[192.0.2.7]\n");
  EXPECT_EQ(Lines(EventOfSession(EventKind::kDisconnected)),
            "smtpd[7]: disconnect from unknown[192.0.2.7]\n");
}

TEST(PostfixLines, AQueuedMessageIsThreeLines) {
  Event event = EventOfSession(EventKind::kQueued);
  const std::vector<Recipient> recipients(2);
  event.sender = "a@b\n";
  event.recipients = recipients;
  event.bytes = 42;
  EXPECT_EQ(Lines(event),
            "smtpd[7]: ID: client=unknown[192.0.2.7]\n"
            "cleanup[7]: ID: message-id=<>\n"
            "qmgr[7]: ID: from=<a@b?>, size=42, nrcpt=2 (queue active)\n");
  event.message_id = "<1@x>";
  EXPECT_NE(Lines(event).find("message-id=<1@x>\n"), std::string::npos);
}

TEST(PostfixLines, ARefusalNamesWhoseFaultItIs) {
  const std::string end = "; from=<a@b> to=<x@y> proto=ESMTP helo=<c.example>\n";
  const std::string head = "smtpd[7]: NOQUEUE: reject: RCPT from unknown[192.0.2.7]: ";
  EXPECT_EQ(Rejected(replies::kUserUnknown),
            head + "550 5.1.1 <x@y>: Recipient address rejected: User unknown" + end);
  EXPECT_EQ(Rejected(replies::kRelayDenied), head + "550 5.7.1 <x@y>: Relay access denied" + end);
  EXPECT_EQ(Rejected(replies::kTryPrimary), head + "451 4.3.0 Try the primary mail server" + end);
  EXPECT_EQ(Rejected(replies::kBadSender, "MAIL"),
            "smtpd[7]: NOQUEUE: reject: MAIL from unknown[192.0.2.7]: 501 5.1.7 <a@b>: Sender "
            "address rejected: Bad sender address syntax; from=<a@b> proto=ESMTP "
            "helo=<c.example>\n");
}

TEST(PostfixLines, TwoRefusalsHaveTheWordsOfPostfix) {
  EXPECT_EQ(Rejected(replies::kTooManyErrors),
            "smtpd[7]: too many errors after RCPT from unknown[192.0.2.7]\n");
  EXPECT_EQ(Rejected(replies::kNotInSync, "DATA"),
            "smtpd[7]: improper command pipelining after DATA from unknown[192.0.2.7]\n");
}

TEST(PostfixLines, AnAttemptHasRelayDelaysAndStatus) {
  Event event = EventOfSession(EventKind::kDelivered);
  event.recipient = "x@y";
  event.relay = "192.0.2.9";
  event.relay_port = 25;
  event.waited = absl::Milliseconds(1500);
  event.transmitting = absl::Milliseconds(250);
  event.reply = {250, "2.0.0", "Ok"};
  const std::string head =
      "smtp[7]: ID: to=<x@y>, relay=192.0.2.9[192.0.2.9]:25, delay=1.75, "
      "delays=0/1.50/0.00/0.25, dsn=";
  EXPECT_EQ(Lines(event), head + "2.0.0, status=sent (250 2.0.0 Ok)\n");
  event.kind = EventKind::kDeferred;
  event.reply = {451, "", "later"};
  EXPECT_EQ(Lines(event), head +
                              "4.0.0, status=deferred (host 192.0.2.9[192.0.2.9] said: "
                              "451 later)\n");
  event.kind = EventKind::kFailed;
  event.reply = {550, "5.1.1", "no"};
  EXPECT_EQ(Lines(event), head +
                              "5.1.1, status=bounced (host 192.0.2.9[192.0.2.9] said: "
                              "550 5.1.1 no)\n");
  event.kind = EventKind::kDeferred;
  event.relay = "";
  event.reply = {0, "", "connection lost"};
  EXPECT_NE(Lines(event).find("relay=none"), std::string::npos);
  EXPECT_NE(Lines(event).find("dsn=4.4.2, status=deferred (connection lost)\n"), std::string::npos);
}

TEST(PostfixLines, TheEndOfAMessage) {
  EXPECT_EQ(Lines(EventOfSession(EventKind::kRemoved)), "qmgr[7]: ID: removed\n");
  EXPECT_EQ(Lines(EventOfSession(EventKind::kExpired)),
            "qmgr[7]: ID: from=<>, status=expired, returned to sender\n");
  EXPECT_EQ(Lines(EventOfSession(EventKind::kQuarantined)),
            "qmgr[7]: warning: ID: damaged on disk, quarantined\n");
  Event lost = EventOfSession(EventKind::kLinesLost);
  lost.lines = 3;
  EXPECT_EQ(Lines(lost), "qmgr[7]: warning: 3 lines of this log were lost\n");
}

}  // namespace
}  // namespace backstay
