// tests/core/smtp/client_command_test.cc -- what may become a command, and what never does.
#include "core/smtp/client_command.h"

#include <gtest/gtest.h>

#include "core/smtp/primary_extensions.h"

namespace backstay {
namespace {

TEST(ClientCommand, AddressesAreTakenAsTheyStand) {
  for (const std::string_view address :
       {"a@b", "a.b+c@example.com", "\"a b\"@example.com", "\"a>b\"@example.com", "a@[192.0.2.1]",
        "a@[IPv6:2001:db8::1]", "A@EXAMPLE.com."}) {
    EXPECT_EQ(CheckReversePath(address, false), PathFault::kNone) << address;
    EXPECT_EQ(CheckForwardPath(address, false), PathFault::kNone) << address;
    EXPECT_EQ(RcptCommand({}, {std::string(address), "", 0}, {}),
              "RCPT TO:<" + std::string(address) + ">\r\n");
  }
  EXPECT_EQ(CheckReversePath("", false), PathFault::kNone);
  EXPECT_EQ(CheckForwardPath("Postmaster", false), PathFault::kNone);
  EXPECT_EQ(CheckForwardPath("postMASTER", false), PathFault::kNone);
}

// A report goes to a reverse-path, which is taken with all that real senders overstep.
TEST(ClientCommand, WhatWasTakenAsASenderMayBeAReportsRecipient) {
  for (const std::string& address :
       {std::string(65, 'b') + "@list.example", std::string("a..b@x"), std::string("a.@x"),
        std::string("a%b@x"), std::string("a!b@x"), std::string("\"a@b\"@x")}) {
    EXPECT_EQ(CheckReversePath(address, false), PathFault::kNone) << address;
    EXPECT_EQ(CheckForwardPath(address, false), PathFault::kNone) << address;
    EXPECT_EQ(RcptCommand({}, {address, "", 0}, {}), "RCPT TO:<" + address + ">\r\n");
  }
}

TEST(ClientCommand, NothingButAnAddressPasses) {
  for (const std::string_view address :
       {"a", "a@", "@b", "a@b>", "a@b> BODY=8BITMIME", "a@b>\r\nRCPT TO:<c@d", "a@b\r\n", "a@b\n",
        "a@b\r", "a b@c", "a@b c", "<a@b>", "@r:a@b", "\"a\r\n\"@b", "\"a\\\r\"@b", "a@[1.2.3]"}) {
    EXPECT_EQ(CheckReversePath(address, false), PathFault::kInvalid) << address;
    EXPECT_EQ(CheckForwardPath(address, false), PathFault::kInvalid) << address;
  }
  const std::string_view nul("a\0b@c", 5);
  EXPECT_EQ(CheckReversePath(nul, false), PathFault::kInvalid);
  EXPECT_EQ(CheckForwardPath(nul, false), PathFault::kInvalid);
  EXPECT_EQ(CheckForwardPath("", false), PathFault::kInvalid);
}

TEST(ClientCommand, Utf8IsNamedAsSuch) {
  EXPECT_EQ(CheckForwardPath("\xc3\xa9@example.com", false), PathFault::kNeedsUtf8);
  EXPECT_EQ(CheckReversePath("\xc3\xa9@example.com", false), PathFault::kNeedsUtf8);
  EXPECT_EQ(CheckForwardPath("\xc3\xa9@example.com", true), PathFault::kNone);
  EXPECT_EQ(CheckReversePath("\xc3\xa9@example.com", true), PathFault::kNone);
  EXPECT_EQ(CheckReversePath("\xff@example.com", true), PathFault::kInvalid);
  EXPECT_EQ(CheckForwardPath("\xc3\xa9@example.com>\r\nRSET", true), PathFault::kInvalid);
}

PrimaryExtensions Offer(std::string_view keywords) {
  return ParseEhloReply("mx\n" + std::string(keywords));
}

const PrimaryExtensions kEverything = Offer("PIPELINING\n8BITMIME\nSMTPUTF8\nDSN\nSIZE\n");

TEST(ClientCommand, MailHasOnlyWhatIsSetAndOffered) {
  Envelope envelope;
  EXPECT_EQ(MailCommand(envelope, 5, {}), "MAIL FROM:<>\r\n");
  EXPECT_EQ(MailCommand(envelope, 0, kEverything), "MAIL FROM:<> SIZE=0\r\n");
  envelope.reverse_path = "s@example.org";
  envelope.body = BodyType::k8BitMime;
  envelope.return_content = ReturnContent::kFull;
  envelope.envelope_id = "QQ+2B+3D1";
  EXPECT_EQ(MailCommand(envelope, 5, {}), "MAIL FROM:<s@example.org>\r\n");
  EXPECT_EQ(MailCommand(envelope, 5, Offer("SIZE\n")), "MAIL FROM:<s@example.org> SIZE=5\r\n");
  EXPECT_EQ(MailCommand(envelope, 5, Offer("8BITMIME\n")),
            "MAIL FROM:<s@example.org> BODY=8BITMIME\r\n");
  EXPECT_EQ(MailCommand(envelope, 5, Offer("DSN\n")),
            "MAIL FROM:<s@example.org> RET=FULL ENVID=QQ+2B+3D1\r\n");
  envelope.return_content = ReturnContent::kHeaders;
  envelope.smtputf8 = true;
  envelope.reverse_path = "\xc3\xa9@example.org";
  EXPECT_EQ(MailCommand(envelope, 5, kEverything),
            "MAIL FROM:<\xc3\xa9@example.org> SIZE=5 BODY=8BITMIME SMTPUTF8 RET=HDRS "
            "ENVID=QQ+2B+3D1\r\n");
}

TEST(ClientCommand, RcptHasOnlyWhatIsSetAndOffered) {
  const Recipient recipient{"r@example.com", "rfc822;R+2B@old.example",
                            Notify::kFailure | Notify::kDelay};
  EXPECT_EQ(RcptCommand({}, recipient, {}), "RCPT TO:<r@example.com>\r\n");
  EXPECT_EQ(RcptCommand({}, recipient, kEverything),
            "RCPT TO:<r@example.com> NOTIFY=FAILURE,DELAY ORCPT=rfc822;R+2B@old.example\r\n");
  EXPECT_EQ(RcptCommand({}, {"r@example.com", "", Notify::kNever}, kEverything),
            "RCPT TO:<r@example.com> NOTIFY=NEVER\r\n");
}

// What the spool gives back is a stranger's text again.
TEST(ClientCommand, ParametersThatAreNoneAreLeftAway) {
  Envelope envelope;
  for (const char* value : {"a b", "a\r\nRSET", "a+", "a=b", "\xc3\xa9", "a+0D+0ARSET"}) {
    envelope.envelope_id = value;
    EXPECT_EQ(MailCommand(envelope, 5, Offer("DSN\n")), "MAIL FROM:<>\r\n") << value;
    EXPECT_EQ(RcptCommand({}, {"r@b", std::string("rfc822;") + value, 0}, kEverything),
              "RCPT TO:<r@b>\r\n")
        << value;
  }
}

TEST(PrimaryExtensions, KeywordsAreFoundInAnyCaseAndOrder) {
  const PrimaryExtensions extensions = ParseEhloReply(
      "PIPELINING\nsize 1000\n8BitMime\nX-OTHER pipelining\npipelining \ndsn\nSmtpUtf8\n");
  EXPECT_TRUE(extensions.pipelining);  // of the last line; the first is the greeting
  EXPECT_TRUE(extensions.eight_bit_mime);
  EXPECT_TRUE(extensions.size);
  EXPECT_EQ(extensions.size_max, 1000u);
  EXPECT_TRUE(extensions.dsn);
  EXPECT_TRUE(extensions.smtputf8);
}

TEST(PrimaryExtensions, NoKeywordIsReadIntoAnotherWord) {
  const PrimaryExtensions extensions = ParseEhloReply(
      "PIPELINING\nPIPELININGX\nX PIPELINING\n8BITMIMES\nSIZES 5\n=SIZE\nDSNX\n"
      "SMTPUTF\n");
  EXPECT_FALSE(extensions.pipelining);
  EXPECT_FALSE(extensions.eight_bit_mime);
  EXPECT_FALSE(extensions.size);
  EXPECT_FALSE(extensions.dsn);
  EXPECT_FALSE(extensions.smtputf8);
}

TEST(PrimaryExtensions, OnlyARealNumberIsASizeLimit) {
  struct Case {
    std::string_view line;
    std::optional<uint64_t> size_max;
  };
  const Case cases[] = {
      {"SIZE", std::nullopt},
      {"SIZE 0", std::nullopt},
      {"SIZE 1", 1},
      {"SIZE 18446744073709551615", 18446744073709551615u},
      {"SIZE 18446744073709551616", std::nullopt},
      {"SIZE -1", std::nullopt},
      {"SIZE 10k", std::nullopt},
      {"SIZE 10 20", std::nullopt},
      {"SIZE   10  ", 10},
  };
  for (const Case& c : cases) {
    const PrimaryExtensions extensions = ParseEhloReply("mx\n" + std::string(c.line) + "\n");
    EXPECT_TRUE(extensions.size) << c.line;
    EXPECT_EQ(extensions.size_max, c.size_max) << c.line;
  }
}

TEST(PrimaryExtensions, LimitsAreWordsOfTheirLine) {
  PrimaryExtensions extensions =
      ParseEhloReply("mx\nLIMITS RCPTMAX=20 x  mailmax=5 RCPTDOMAINMAX=1 NEWMAX=3\n");
  EXPECT_EQ(extensions.recipients_max, 20u);
  EXPECT_EQ(extensions.mails_max, 5u);
  EXPECT_EQ(extensions.recipient_domains_max, 1u);
  extensions = ParseEhloReply("mx\nLIMITS RCPTMAX=0 MAILMAX RCPTDOMAINMAX=1x RCPTMAXX=1\n");
  EXPECT_EQ(extensions.recipients_max, std::nullopt);
  EXPECT_EQ(extensions.mails_max, std::nullopt);
  EXPECT_EQ(extensions.recipient_domains_max, std::nullopt);
  EXPECT_EQ(ParseEhloReply("mx\nLIMITS\n").mails_max, std::nullopt);
}

}  // namespace
}  // namespace backstay
