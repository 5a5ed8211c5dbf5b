// tests/core/event/json_line_test.cc -- each kind of event as its line.
#include "core/event/json_line.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/event/event.h"

namespace backstay {
namespace {

std::string Line(const Event& event) {
  TimeText time(TimeText::Form::kIso, absl::UTCTimeZone());
  std::string out;
  AppendJsonLine(event, time, out);
  return out;
}

Event Make(EventKind kind) {
  Event event;
  event.kind = kind;
  event.client = "192.0.2.7";
  return event;
}

constexpr const char* kBegin = R"({"time":"1970-01-01T00:00:00.000Z","event":")";

TEST(JsonLine, AQueuedMessageNamesClientEnvelopeAndSize) {
  Event event = Make(EventKind::kQueued);
  std::vector<Recipient> recipients(2);
  recipients[0].address = "b@example.com";
  recipients[1].address = "\"c\"@example.com";
  event.id = "0123456789BCDFGH";
  event.helo = "client.example";
  event.protocol = "ESMTPS";
  event.tls = "TLSv1.3";
  event.sender = "";
  event.recipients = recipients;
  event.message_id = "<1@x>";
  event.bytes = 42;
  EXPECT_EQ(Line(event), std::string(kBegin) +
                             R"(queued","id":"0123456789BCDFGH","client":"192.0.2.7",)"
                             R"("helo":"client.example","protocol":"ESMTPS","tls":"TLSv1.3",)"
                             R"("from":"","to":["b@example.com","\"c\"@example.com"],)"
                             R"("recipients":2,"size":42,"message_id":"<1@x>"})"
                             "\n");
}

TEST(JsonLine, AVeryLongListIsCutAndCounted) {
  Event event = Make(EventKind::kQueued);
  Recipient somebody;
  somebody.address = "somebody.or.other@example.com";
  const std::vector<Recipient> recipients(2000, somebody);
  event.recipients = recipients;
  const std::string line = Line(event);
  EXPECT_LT(line.size(), kListedBytesMax + 1000);
  EXPECT_NE(line.find(R"("recipients":2000)"), std::string::npos);
}

TEST(JsonLine, ARefusalSaysWhatWasRefusedAndHow) {
  Event event = Make(EventKind::kRejected);
  event.command = "RCPT";
  event.recipient = "x@\x01";
  event.reply = replies::kRelayDenied;
  EXPECT_EQ(Line(event), std::string(kBegin) +
                             R"(rejected","client":"192.0.2.7","command":"RCPT","to":"x@\u0001",)"
                             R"("reply":"550 5.7.1 Relay access denied"})"
                             "\n");
}

TEST(JsonLine, AnAttemptHasItsRelayAndItsDelays) {
  Event event = Make(EventKind::kDeferred);
  event.client = "";
  event.recipient = "b@example.com";
  event.relay = "2001:db8::1";
  event.relay_port = 25;
  event.reply.text = "connection lost";
  event.waited = absl::Seconds(60);
  event.connecting = absl::Milliseconds(20);
  event.transmitting = absl::Milliseconds(5);
  EXPECT_EQ(Line(event), std::string(kBegin) +
                             R"(deferred","to":"b@example.com","reply":"connection lost",)"
                             R"("relay":"[2001:db8::1]:25","delay":60.025,)"
                             R"("delays":[60.000,0.020,0.005]})"
                             "\n");
}

TEST(JsonLine, EveryKindHasANameOrNoLine) {
  std::string names;
  for (int kind = 0; kind <= static_cast<int>(EventKind::kLinesLost); ++kind) {
    const std::string line = Line(Make(static_cast<EventKind>(kind)));
    const size_t begin = line.find("event\":\"");
    names += begin == std::string::npos
                 ? "-"
                 : line.substr(begin + 8, line.find('"', begin + 8) - begin - 8);
    names += ' ';
    EXPECT_TRUE(line.empty() || line.ends_with("}\n"));
  }
  EXPECT_EQ(names,
            "- - turned_away rejected queued delivered deferred failed discarded expired "
            "quarantined - lines_lost ");
}

}  // namespace
}  // namespace backstay
