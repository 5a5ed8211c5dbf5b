// tests/core/smtp/envelope_test.cc -- the codec: exactly what went in, or nothing.
#include "core/smtp/envelope.h"

#include <gtest/gtest.h>

#include <string>

#include "core/base/random.h"

namespace backstay {
namespace {

Envelope Sample() {
  Envelope envelope;
  envelope.reverse_path = "sender@example.org";
  envelope.recipients = {{"v@our.example", "rfc822;v@old.example", Notify::kFailure},
                         {"\"a b\"@our.example", "", 0}};
  envelope.body = BodyType::k8BitMime;
  envelope.smtputf8 = true;
  envelope.return_content = ReturnContent::kHeaders;
  envelope.envelope_id = "QQ+2B1";
  envelope.client_address = "192.0.2.1";
  envelope.client_helo = "mail.example.org";
  envelope.client_name = "ptr.example.org";
  envelope.client_port = 4711;
  envelope.client_extended = true;
  envelope.arrival_wall_nanoseconds = -5;
  return envelope;
}

std::string Encoded(const Envelope& envelope) {
  std::string bytes;
  EncodeEnvelope(envelope, bytes);
  return bytes;
}

TEST(Envelope, DecodesToWhatWasEncoded) {
  const Envelope sample = Sample();
  const std::optional<Envelope> decoded = DecodeEnvelope(AsBytes(Encoded(sample)));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->reverse_path, sample.reverse_path);
  EXPECT_EQ(decoded->body, sample.body);
  EXPECT_EQ(decoded->smtputf8, sample.smtputf8);
  EXPECT_EQ(decoded->return_content, sample.return_content);
  EXPECT_EQ(decoded->envelope_id, sample.envelope_id);
  EXPECT_EQ(decoded->client_address, sample.client_address);
  EXPECT_EQ(decoded->client_helo, sample.client_helo);
  EXPECT_EQ(decoded->client_name, sample.client_name);
  EXPECT_EQ(decoded->client_port, sample.client_port);
  EXPECT_EQ(decoded->client_extended, sample.client_extended);
  EXPECT_EQ(decoded->arrival_wall_nanoseconds, sample.arrival_wall_nanoseconds);
  ASSERT_EQ(decoded->recipients.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(decoded->recipients[i].address, sample.recipients[i].address);
    EXPECT_EQ(decoded->recipients[i].original_recipient, sample.recipients[i].original_recipient);
    EXPECT_EQ(decoded->recipients[i].notify, sample.recipients[i].notify);
  }
}

// The format is on disk: these bytes must decode for ever, or the version byte must change.
TEST(Envelope, VersionTwoLooksLikeThis) {
  Envelope envelope;
  envelope.reverse_path = "a@b";
  envelope.body = BodyType::k8BitMime;
  envelope.return_content = ReturnContent::kFull;
  envelope.client_helo = "h";
  envelope.client_name = "n";
  envelope.client_port = 0x1019;
  envelope.client_extended = true;
  envelope.arrival_wall_nanoseconds = 0x0102030405060708;
  envelope.recipients = {{"c@d", "x", 3}};
  const std::string expected(
      "\x02\x15\x08\x07\x06\x05\x04\x03\x02\x01"
      "\x03\x00"
      "a@b"
      "\x00\x00\x00\x00\x01\x00"
      "h"
      "\x01\x00"
      "n"
      "\x19\x10"
      "\x01\x00\x00\x00\x03\x03\x00"
      "c@d"
      "\x01\x00"
      "x",
      10 + 5 + 6 + 1 + 3 + 2 + 4 + 3 + 3 + 3);
  EXPECT_EQ(Encoded(envelope), expected);
}

TEST(Envelope, VersionOneIsRead) {
  const std::string bytes(
      "\x01\x05\x08\x07\x06\x05\x04\x03\x02\x01"
      "\x03\x00"
      "a@b"
      "\x00\x00\x00\x00\x01\x00"
      "h"
      "\x01\x00\x00\x00\x03\x03\x00"
      "c@d"
      "\x01\x00"
      "x",
      10 + 5 + 6 + 1 + 4 + 3 + 3 + 3);
  const std::optional<Envelope> envelope = DecodeEnvelope(AsBytes(bytes));
  ASSERT_TRUE(envelope.has_value());
  EXPECT_EQ(envelope->reverse_path, "a@b");
  EXPECT_EQ(envelope->body, BodyType::k8BitMime);
  EXPECT_EQ(envelope->return_content, ReturnContent::kFull);
  EXPECT_EQ(envelope->client_helo, "h");
  EXPECT_EQ(envelope->client_name, "");
  EXPECT_EQ(envelope->client_port, 0);
  EXPECT_FALSE(envelope->client_extended);
  ASSERT_EQ(envelope->recipients.size(), 1u);
  EXPECT_EQ(envelope->recipients[0].address, "c@d");
  std::string with_new_flag = bytes;
  with_new_flag[1] = 0x10;
  EXPECT_FALSE(DecodeEnvelope(AsBytes(with_new_flag)).has_value());
}

TEST(Envelope, CutOrLengthenedBytesDecodeToNothing) {
  const std::string bytes = Encoded(Sample());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(DecodeEnvelope(AsBytes(bytes).first(size)).has_value()) << size;
  }
  EXPECT_FALSE(DecodeEnvelope(AsBytes(bytes + "x")).has_value());
}

TEST(Envelope, ValuesThatEncodeNeverWritesDecodeToNothing) {
  const auto with_byte = [](size_t at, char value) {
    std::string bytes = Encoded(Envelope{});
    bytes[at] = value;
    return bytes;
  };
  EXPECT_TRUE(DecodeEnvelope(AsBytes(Encoded(Envelope{}))).has_value());
  EXPECT_FALSE(DecodeEnvelope(AsBytes(with_byte(0, 3))).has_value());
  EXPECT_FALSE(DecodeEnvelope(AsBytes(with_byte(1, 0x0c))).has_value());
  EXPECT_FALSE(DecodeEnvelope(AsBytes(with_byte(1, 0x20))).has_value());
  // A count of 2^32 - 1 without the bytes for it.
  std::string huge = Encoded(Envelope{});
  huge.replace(huge.size() - 4, 4, "\xff\xff\xff\xff");
  EXPECT_FALSE(DecodeEnvelope(AsBytes(huge)).has_value());
  Envelope envelope;
  envelope.recipients = {{"c@d", "", 0}};
  std::string notify = Encoded(envelope);
  notify[Encoded(Envelope{}).size()] = 16;
  EXPECT_FALSE(DecodeEnvelope(AsBytes(notify)).has_value());
}

TEST(Envelope, FlippedBytesDecodeToNothingOrToWhatTheySay) {
  const std::string bytes = Encoded(Sample());
  Random random(7);
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = bytes;
    for (uint64_t flips = random.Between(1, 3); flips > 0; --flips) {
      damaged[random.Below(damaged.size())] = static_cast<char>(random.Next());
    }
    const std::optional<Envelope> decoded = DecodeEnvelope(AsBytes(damaged));
    if (decoded.has_value() && damaged[0] == bytes[0]) {
      EXPECT_EQ(Encoded(*decoded), damaged);
    }
  }
}

TEST(Envelope, ClearedEnvelopeIsLikeNewAndKeepsCapacity) {
  Envelope envelope = Sample();
  envelope.recipients[0].address = std::string(100, 'x');
  envelope.recipients.resize(1);
  const char* storage = envelope.recipients[0].address.data();
  envelope.Clear();
  EXPECT_EQ(Encoded(envelope), Encoded(Envelope{}));
  Recipient& recipient = envelope.AddRecipient();
  recipient.address.assign(99, 'y');
  EXPECT_EQ(recipient.address.data(), storage);
  EXPECT_TRUE(recipient.original_recipient.empty());
  EXPECT_EQ(recipient.notify, 0);
  EXPECT_EQ(envelope.AddRecipient().address, "");
}

TEST(Envelope, ManyRecipientsDoNotStayForEver) {
  Envelope envelope;
  for (int i = 0; i < 1000; ++i) {
    envelope.AddRecipient().address = "somebody@our.example";
  }
  envelope.Clear();
  envelope.Clear();
  EXPECT_LE(envelope.spare_recipients.size(), 16u);
}

TEST(Envelope, RecipientKnowsItsDomain) {
  EXPECT_EQ((Recipient{"v@OUR.example.", "", 0}.Domain()), "our.example");
  EXPECT_EQ((Recipient{"Postmaster", "", 0}.Domain()), "");
}

}  // namespace
}  // namespace backstay
