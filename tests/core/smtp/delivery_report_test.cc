// tests/core/smtp/delivery_report_test.cc -- reports as a sender and as a program read them.
#include "core/smtp/delivery_report.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

const WallTime kArrival = WallTime::FromNanoseconds(1'700'000'000'000'000'000);
const WallTime kNow = kArrival + absl::Hours(120);
constexpr size_t kOwnMax = kReportBytesMax - kReportTraceBytesMax;
constexpr std::string_view kHeaders =
    "Received: from a\r\n by b\r\nSubject: hello\r\nFrom: s@sender.example\r\n";

class DeliveryReportTest : public testing::Test {
 protected:
  DeliveryReportTest() {
    envelope_.reverse_path = "s@sender.example";
    envelope_.client_helo = "client.example";
    Add("a@example.com");
    report_.hostname = "mx2.example.net";
    report_.queue_id = "0123456789BCDFGH";
    report_.envelope = &envelope_;
    report_.arrival = kArrival;
    report_.now = kNow;
    report_.headers = AsBytes(kHeaders);
  }

  Recipient& Add(std::string_view address) {
    Recipient& recipient = envelope_.recipients.emplace_back();
    recipient.address = address;
    return recipient;
  }
  ReportedRecipient& Tell(ReportAction action = ReportAction::kFailed) {
    ReportedRecipient told;
    told.recipient = &envelope_.recipients[report_.recipients.size()];
    told.action = action;
    told.code = 550;
    told.enhanced = "5.1.1";
    told.text = "no such user";
    told.remote = "mx1.example.com";
    told.last_attempt = kNow;
    return report_.recipients.emplace_back(told);
  }
  std::string Build() {
    const std::string text = BuildReport(report_);
    // Lines end in CRLF, and hold neither of the two otherwise.
    for (size_t at = 0; at < text.size(); ++at) {
      const bool is_end = text[at] == '\r' && at + 1 < text.size() && text[at + 1] == '\n';
      EXPECT_TRUE(is_end || (text[at] != '\r' && (text[at] != '\n' || text[at - 1] == '\r')));
    }
    return text;
  }
  // So many are refused, in as many words as a primary may use.
  void TellMany(int count, bool have_orcpt) {
    envelope_.recipients.clear();
    for (int i = 0; i < count; ++i) {
      const std::string address = "user" + std::to_string(i) + "@example.com";
      Add(address).original_recipient = have_orcpt ? "rfc822;" + address : "";
    }
    for (int i = 0; i < count; ++i) {
      Tell().text = words_;
    }
  }
  static bool Has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
  }
  static size_t Count(const std::string& text, std::string_view part) {
    size_t count = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
      ++count;
    }
    return count;
  }

  const std::string words_ = std::string(370, 'w');

  Envelope envelope_;
  DeliveryReport report_;
};

TEST_F(DeliveryReportTest, SaysWhatFailedInWordsAndInFields) {
  Tell();
  const std::string text = Build();
  EXPECT_TRUE(
      text.starts_with("Date: Sun, 19 Nov 2023 22:13:20 +0000\r\nFrom: Mail Delivery System "
                       "<MAILER-DAEMON@mx2.example.net>\r\nTo: <s@sender.example>\r\n"))
      << text;
  EXPECT_TRUE(Has(text, "\r\nAuto-Submitted: auto-replied\r\n"));
  EXPECT_TRUE(Has(text, "\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n"));
  EXPECT_TRUE(Has(text,
                  "<a@example.com>:\r\n    host mx1.example.com said:\r\n"
                  "    550 5.1.1 no such user\r\n"));
  EXPECT_TRUE(Has(text,
                  "\r\nContent-Type: message/delivery-status\r\n\r\n"
                  "Reporting-MTA: dns; mx2.example.net\r\n"
                  "Received-From-MTA: dns; client.example\r\n"
                  "Arrival-Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n\r\n"
                  "Final-Recipient: rfc822; a@example.com\r\nAction: failed\r\n"
                  "Status: 5.1.1\r\nRemote-MTA: dns; mx1.example.com\r\n"
                  "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
                  "Last-Attempt-Date: Sun, 19 Nov 2023 22:13:20 +0000\r\n"))
      << text;
  EXPECT_TRUE(Has(text, "\r\nContent-Type: text/rfc822-headers\r\n\r\nReceived: from a\r\n by b"));
}

TEST_F(DeliveryReportTest, GivesBackWhatTheSenderAskedFor) {
  envelope_.envelope_id = "id+2B1";
  envelope_.recipients[0].original_recipient = "rfc822;old+40a@example.com";
  Tell();
  const std::string text = Build();
  EXPECT_TRUE(Has(text, "\r\nOriginal-Envelope-Id: id+1\r\n"));
  EXPECT_TRUE(Has(text, "\r\nOriginal-Recipient: rfc822; old@a@example.com\r\n"));
}

// Each fate has its words and its recipients; the gravest comes first.
TEST_F(DeliveryReportTest, MergesRecipientsAndSaysTheWorstFirst) {
  Add("b@example.com");
  Add("c@example.com");
  Tell(ReportAction::kRelayed);
  Tell();
  Tell(ReportAction::kRelayed);
  const std::string text = Build();
  EXPECT_TRUE(Has(text, "Subject: Undelivered mail"));
  EXPECT_TRUE(Has(text, "Action: relayed\r\nStatus: 2.0.0\r\n"));
  EXPECT_TRUE(Has(text, "Action: failed\r\nStatus: 5.1.1\r\n"));
  const size_t failed = text.find("could not be delivered to the recipients below");
  const size_t relayed = text.find("was handed to the mail server of the recipients below");
  EXPECT_LT(failed, text.find("<b@example.com>:"));
  EXPECT_LT(text.find("<b@example.com>:"), relayed);
  EXPECT_LT(relayed, text.find("<a@example.com>:"));
  EXPECT_LT(text.find("<a@example.com>:"), text.find("<c@example.com>:"));
}

TEST_F(DeliveryReportTest, WhatWasRelayedIsToldAsNoFailure) {
  ReportedRecipient& told = Tell(ReportAction::kRelayed);
  told.code = 250;
  told.enhanced = "2.6.0";
  told.text = "queued as 17";
  const std::string text = Build();
  EXPECT_TRUE(Has(text, "\r\nSubject: Mail was handed on: no further report will come\r\n"));
  EXPECT_TRUE(Has(text,
                  "<a@example.com>:\r\n    handed to mx1.example.com, which does not send "
                  "delivery notifications\r\n"));
  EXPECT_TRUE(Has(text,
                  "Action: relayed\r\nStatus: 2.6.0\r\nRemote-MTA: dns; mx1.example.com\r\n"
                  "Diagnostic-Code: smtp; 250 2.6.0 queued as 17\r\nLast-Attempt-Date: "))
      << text;
  EXPECT_FALSE(Has(text, "could not be delivered"));
  EXPECT_FALSE(Has(text, "Action: failed"));
  told.enhanced = "";
  EXPECT_TRUE(Has(Build(), "Action: relayed\r\nStatus: 2.0.0\r\n"));
}

TEST_F(DeliveryReportTest, ADelaySaysHowLongItIsTriedOn) {
  ReportedRecipient& told = Tell(ReportAction::kDelayed);
  told.code = 0;
  told.enhanced = "";
  told.text = "primary down";
  told.remote = "";
  report_.retried_until = kNow + absl::Hours(1);
  const std::string text = Build();
  EXPECT_TRUE(Has(text, "Action: delayed\r\nStatus: 4.4.1\r\nLast-Attempt-Date"));
  EXPECT_TRUE(Has(text, "Will-Retry-Until: Sun, 19 Nov 2023 23:13:20 +0000\r\n"));
  EXPECT_TRUE(Has(text, "    primary down\r\n"));
}

TEST_F(DeliveryReportTest, WhatWasGivenUpHasTheStatusOfTheLastReply) {
  ReportedRecipient& told = Tell();
  told.code = 450;
  told.enhanced = "4.2.1";
  EXPECT_TRUE(Has(Build(), "Action: failed\r\nStatus: 4.2.1\r\n"));
  told.enhanced = "";
  EXPECT_TRUE(Has(Build(), "Status: 4.0.0\r\n"));
  told.code = 554;
  EXPECT_TRUE(Has(Build(), "Status: 5.0.0\r\n"));
  told.code = 0;
  EXPECT_TRUE(Has(Build(), "Status: 4.4.1\r\n"));
}

TEST_F(DeliveryReportTest, LongHeadersAreCutAtALine) {
  std::string headers;
  while (headers.size() < 200'000) {
    headers += "X-Filler: " + std::string(80, 'x') + "\r\n";
  }
  report_.headers = AsBytes(headers);
  Tell();
  const std::string text = Build();
  EXPECT_LE(text.size(), kOwnMax);  // our Received field comes before it
  EXPECT_GT(text.size(), kOwnMax - 200);
  EXPECT_TRUE(Has(text, "x\r\nX-Cut-Off: "));
}

TEST_F(DeliveryReportTest, NoLineOfTheHeaderIsLongerThanMailMayHave) {
  const std::string fits = "X-Fits: " + std::string(990, 'y');
  const std::string headers = fits + "\r\nX-Long: " + std::string(2000, 'x') + "\r\nX-Next: z\r\n";
  report_.headers = AsBytes(headers);
  Tell();
  const std::string text = Build();
  EXPECT_TRUE(
      Has(text, fits + "\r\nX-Long: " + std::string(990, 'x') + "\r\nX-Next: z\r\nX-Cut-Off: "));
  report_.headers = AsBytes(fits);
  EXPECT_FALSE(Has(Build(), "X-Cut-Off"));

  // Not in the middle of a character.
  const std::string wide = "X-Wide: x" + std::string(988, 'x') + "\xc3\xa4\xc3\xa4\r\n";
  report_.headers = AsBytes(wide);
  EXPECT_TRUE(Has(Build(), std::string(988, 'x') + "\r\nX-Cut-Off: "));
}

TEST_F(DeliveryReportTest, ManyRecipientsAreAllInTheFields) {
  TellMany(1000, /*have_orcpt=*/false);
  const std::string text = Build();
  EXPECT_TRUE(Has(text, "... and 980 more"));
  EXPECT_TRUE(Has(text, "Final-Recipient: rfc822; user999@example.com\r\n"));
}

TEST_F(DeliveryReportTest, WhereThereIsNoRoomForAllTheLastHaveOnlyWhatIsRequired) {
  TellMany(100, /*have_orcpt=*/false);
  const std::string text = Build();
  EXPECT_LE(text.size(), kOwnMax);
  EXPECT_EQ(Count(text, "\r\nFinal-Recipient: "), 100U);
  EXPECT_EQ(Count(text, "\r\nStatus: 5.1.1\r\n"), 100U);
  EXPECT_GE(Count(text, "\r\nDiagnostic-Code: "), 20U);
  EXPECT_TRUE(Has(text,
                  "Final-Recipient: rfc822; user0@example.com\r\nAction: failed\r\n"
                  "Status: 5.1.1\r\nRemote-MTA: dns; mx1.example.com\r\nDiagnostic-Code: "));
  EXPECT_TRUE(Has(text,
                  "Final-Recipient: rfc822; user99@example.com\r\nAction: failed\r\n"
                  "Status: 5.1.1\r\n\r\n--="));
  EXPECT_TRUE(Has(text, kHeaders));
  EXPECT_FALSE(Has(text, "X-Cut-Off"));
}

TEST_F(DeliveryReportTest, HundredsOfRecipientsAreNotTooLarge) {
  const std::string headers = "X-Filler: " + std::string(900, 'x') + "\r\n" +
                              "X-Next: " + std::string(60'000, 'y') + "\r\n";
  report_.headers = AsBytes(headers);
  TellMany(280, /*have_orcpt=*/true);
  const std::string text = Build();
  EXPECT_LE(text.size(), kOwnMax);
  EXPECT_EQ(Count(text, "\r\nOriginal-Recipient: rfc822; "), 280U);
  EXPECT_TRUE(Has(text, "X-Filler"));
  EXPECT_TRUE(Has(text, "X-Cut-Off"));
}

TEST_F(DeliveryReportTest, NothingASenderWroteEndsALine) {
  envelope_.client_helo = "evil\r\nBcc: all@example.com";
  Tell();
  EXPECT_TRUE(Has(Build(), "Received-From-MTA: dns; evil??Bcc: all@example.com\r\n"));
}

TEST_F(DeliveryReportTest, AddressesInUtf8HaveTheirOwnTypes) {
  envelope_.recipients[0].address = "j\xc3\xb6rg@example.com";
  Tell();
  const std::string text = Build();
  EXPECT_TRUE(Has(text, "Content-Type: message/global-delivery-status\r\n"));
  EXPECT_TRUE(Has(text, "Final-Recipient: utf-8; j\xc3\xb6rg@example.com\r\n"));
  EXPECT_TRUE(Has(text, "Content-Transfer-Encoding: 8bit\r\n"));
}

// RFC 2045 s6.1: what is not said has 7 bits.
TEST_F(DeliveryReportTest, EachPartThatIsNotAsciiSaysSo) {
  envelope_.recipients[0].original_recipient = "utf-8;j\xc3\xb6rg@example.com";
  Tell();
  const std::string text = Build();
  EXPECT_TRUE(Has(text,
                  "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
                  "\r\nThis is the mail system"));
  EXPECT_TRUE(Has(text,
                  "Content-Type: message/global-delivery-status\r\n"
                  "Content-Transfer-Encoding: 8bit\r\n\r\nReporting-MTA"));
  EXPECT_TRUE(Has(text, "Original-Recipient: utf-8; j\xc3\xb6rg@example.com\r\n"));
  EXPECT_TRUE(Has(text, "Content-Type: text/rfc822-headers\r\n\r\nReceived: from a"));
}

TEST_F(DeliveryReportTest, AHeaderInUtf8HasItsOwnTypeIfItWasSentAsOne) {
  report_.headers = AsBytes("Subject: gr\xc3\xbc\xc3\x9f\r\n");
  Tell();
  constexpr std::string_view kAsBytes =
      "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: gr";
  EXPECT_TRUE(Has(Build(), kAsBytes));
  envelope_.smtputf8 = true;
  EXPECT_TRUE(Has(Build(),
                  "Content-Type: message/global-headers\r\nContent-Transfer-Encoding: 8bit\r\n"
                  "\r\nSubject: gr"));
  report_.headers = AsBytes("Subject: gr\xfc\xdf\r\n");
  EXPECT_TRUE(Has(Build(), kAsBytes));
}

// A client calls itself what it likes; fields are ASCII, or UTF-8 and nothing else.
TEST_F(DeliveryReportTest, BytesOfNoAlphabetAreNotPassedOn) {
  envelope_.client_helo = "caf\xc3\xa9";
  Tell();
  EXPECT_TRUE(Has(Build(), "Received-From-MTA: dns; caf??\r\n"));
  envelope_.recipients[0].address = "j\xc3\xb6rg@example.com";
  EXPECT_TRUE(Has(Build(), "Received-From-MTA: dns; caf\xc3\xa9\r\n"));
  envelope_.client_helo = "caf\xe9";
  EXPECT_TRUE(Has(Build(), "Received-From-MTA: dns; caf?\r\n"));
}

}  // namespace
}  // namespace backstay
