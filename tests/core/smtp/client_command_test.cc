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
    EXPECT_EQ(CheckReversePath(address), PathFault::kNone) << address;
    EXPECT_EQ(CheckForwardPath(address), PathFault::kNone) << address;
    EXPECT_EQ(RcptCommand(address), "RCPT TO:<" + std::string(address) + ">\r\n");
  }
  EXPECT_EQ(CheckReversePath(""), PathFault::kNone);
  EXPECT_EQ(CheckForwardPath("Postmaster"), PathFault::kNone);
}

TEST(ClientCommand, NothingButAnAddressPasses) {
  for (const std::string_view address :
       {"a", "a@", "@b", "a@b>", "a@b> BODY=8BITMIME", "a@b>\r\nRCPT TO:<c@d", "a@b\r\n", "a@b\n",
        "a@b\r", "a b@c", "a@b c", "<a@b>", "@r:a@b", "\"a\r\n\"@b", "\"a\\\r\"@b", "a@[1.2.3]"}) {
    EXPECT_EQ(CheckReversePath(address), PathFault::kInvalid) << address;
    EXPECT_EQ(CheckForwardPath(address), PathFault::kInvalid) << address;
  }
  const std::string_view nul("a\0b@c", 5);
  EXPECT_EQ(CheckReversePath(nul), PathFault::kInvalid);
  EXPECT_EQ(CheckForwardPath(nul), PathFault::kInvalid);
  EXPECT_EQ(CheckForwardPath(""), PathFault::kInvalid);
}

TEST(ClientCommand, Utf8IsNamedAsSuch) {
  EXPECT_EQ(CheckForwardPath("\xc3\xa9@example.com"), PathFault::kNeedsUtf8);
  EXPECT_EQ(CheckReversePath("\xc3\xa9@example.com"), PathFault::kNeedsUtf8);
  EXPECT_EQ(CheckReversePath("\xff@example.com"), PathFault::kInvalid);
}

TEST(ClientCommand, MailHasOnlyWhatIsSet) {
  MailCommand command;
  EXPECT_EQ(command.Text(), "MAIL FROM:<>\r\n");
  command.reverse_path = "s@example.org";
  command.size_bytes = 0;
  EXPECT_EQ(command.Text(), "MAIL FROM:<s@example.org> SIZE=0\r\n");
  command.eight_bit_mime = true;
  EXPECT_EQ(command.Text(), "MAIL FROM:<s@example.org> SIZE=0 BODY=8BITMIME\r\n");
  command.size_bytes.reset();
  EXPECT_EQ(command.Text(), "MAIL FROM:<s@example.org> BODY=8BITMIME\r\n");
}

TEST(PrimaryExtensions, KeywordsAreFoundInAnyCaseAndOrder) {
  const PrimaryExtensions extensions =
      ParseEhloReply("PIPELINING\nsize 1000\n8BitMime\nX-OTHER pipelining\npipelining \n");
  EXPECT_TRUE(extensions.pipelining);  // of the last line; the first is the greeting
  EXPECT_TRUE(extensions.eight_bit_mime);
  EXPECT_TRUE(extensions.size);
  EXPECT_EQ(extensions.size_max, 1000u);
}

TEST(PrimaryExtensions, NoKeywordIsReadIntoAnotherWord) {
  const PrimaryExtensions extensions =
      ParseEhloReply("PIPELINING\nPIPELININGX\nX PIPELINING\n8BITMIMES\nSIZES 5\n=SIZE\n");
  EXPECT_FALSE(extensions.pipelining);
  EXPECT_FALSE(extensions.eight_bit_mime);
  EXPECT_FALSE(extensions.size);
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

}  // namespace
}  // namespace backstay
