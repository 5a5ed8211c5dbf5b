// tests/spool/message_record_test.cc -- message payloads and outcome lists, also cut and bent.
#include "spool/message_record.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/random.h"
#include "spool/outcome_queue.h"
#include "spool/record.h"

namespace backstay {
namespace {

constexpr RecipientState kStates[] = {RecipientState::kLive, RecipientState::kSettled,
                                      RecipientState::kPending, RecipientState::kLive};

std::vector<uint8_t> TestPayload(std::span<const PartEntry> parts, std::string_view content,
                                 MessageRef home = {}) {
  const std::vector<std::string_view> domains = {"a.example", "", "b.example"};
  const std::vector<uint16_t> recipients = {0, 2, 2, 1};
  const std::string_view envelope = "the envelope";
  const std::string_view prefix = "Received: x\r\n";
  MessageMeta meta;
  meta.arrival = SpoolTime::FromNanoseconds(1);
  meta.arrival_wall = WallTime::FromNanoseconds(-2);
  meta.flags = 3;
  meta.domains = domains;
  meta.recipient_domains = recipients;
  meta.parts = parts;
  meta.envelope_bytes = envelope.size();
  meta.prefix_bytes = prefix.size();
  meta.content_bytes = content.size();
  meta.home = home;
  meta.states = home.segment != 0 ? std::span(kStates) : std::span<const RecipientState>();
  std::vector<uint8_t> payload(MessagePayloadBytes(meta));
  EncodeMessageMeta(meta, payload);
  uint8_t* at = payload.data() + MetaBytes(meta);
  for (const std::string_view piece : {envelope, prefix, content}) {
    if (!piece.empty()) {
      std::memcpy(at, piece.data(), piece.size());
    }
    at += piece.size();
  }
  return payload;
}

TEST(MessageRecord, DecodesToWhatWasEncoded) {
  const std::vector<uint8_t> payload = TestPayload({}, "content");
  DecodedMessage message;
  ASSERT_TRUE(DecodeMessage(payload, message));
  EXPECT_EQ(message.domains, (std::vector<std::string_view>{"a.example", "", "b.example"}));
  EXPECT_EQ(message.recipient_domains, (std::vector<uint16_t>{0, 2, 2, 1}));
  EXPECT_EQ(AsText(message.envelope), "the envelope");
  EXPECT_EQ(AsText(message.prefix), "Received: x\r\n");
  EXPECT_EQ(AsText(message.content), "content");
  EXPECT_EQ(message.fixed.flags, 3);
  EXPECT_EQ(message.fixed.arrival_wall, -2);
  EXPECT_EQ(message.AllContentBytes(), 20u);
}

TEST(MessageRecord, OfAMovedMessageNamesItsHomeAndWhoIsOwed) {
  std::vector<uint8_t> payload = TestPayload({}, "content", {3, 77});
  DecodedMessage message;
  ASSERT_TRUE(DecodeMessage(payload, message));
  EXPECT_TRUE(message.is_moved());
  EXPECT_EQ(message.home(), (MessageRef{3, 77}));
  EXPECT_EQ(message.states, (std::vector(std::begin(kStates), std::end(kStates))));
  EXPECT_EQ(AsText(message.content), "content");
  for (size_t bytes = 0; bytes < payload.size(); ++bytes) {
    EXPECT_FALSE(DecodeMessage(Bytes(payload).first(bytes), message)) << bytes;
  }
  payload[message.fixed.meta_bytes - 1] = 3;  // no such state
  EXPECT_FALSE(DecodeMessage(payload, message));
  ASSERT_TRUE(DecodeMessage(TestPayload({}, "content"), message));
  EXPECT_FALSE(message.is_moved());
  EXPECT_TRUE(message.states.empty());
}

TEST(MessageRecord, PartsAreListedAndCounted) {
  const std::vector<PartEntry> parts = {{1, 2, 1000, 4}, {5, 6, 2000, 8}};
  const std::vector<uint8_t> payload = TestPayload(parts, "");
  DecodedMessage message;
  ASSERT_TRUE(DecodeMessage(payload, message));
  ASSERT_EQ(message.parts.size(), 2u);
  EXPECT_EQ(message.parts[1].block, 6u);
  EXPECT_EQ(message.AllContentBytes(), 3013u);
}

TEST(MessageRecord, EveryCutIsRefused) {
  const std::vector<uint8_t> payload = TestPayload({}, "content");
  DecodedMessage message;
  for (size_t bytes = 0; bytes < payload.size(); ++bytes) {
    EXPECT_FALSE(DecodeMessage(Bytes(payload).first(bytes), message)) << bytes;
  }
  std::vector<uint8_t> longer = payload;
  longer.push_back(0);
  EXPECT_FALSE(DecodeMessage(longer, message));
}

TEST(MessageRecord, ImpossibleTablesAreRefused) {
  const auto refused = [](size_t at, uint32_t value) {
    std::vector<uint8_t> payload = TestPayload({}, "content");
    StoreLittle(payload.data() + at, value);
    DecodedMessage message;
    return !DecodeMessage(payload, message);
  };
  for (const uint32_t value : {0u, 1u, 0xffffffffu}) {
    EXPECT_TRUE(refused(offsetof(MessageFixed, meta_bytes), value));
    EXPECT_TRUE(refused(offsetof(MessageFixed, domains), value));
    EXPECT_TRUE(refused(offsetof(MessageFixed, recipients), value));
    EXPECT_TRUE(refused(offsetof(MessageFixed, envelope_bytes), value));
  }
  EXPECT_TRUE(refused(offsetof(MessageFixed, parts), 0xffffffffu));
}

TEST(MessageRecord, ContentBesideAPartListIsRefused) {
  const std::vector<PartEntry> parts = {{1, 2, 1000, 4}};
  DecodedMessage message;
  std::vector<uint8_t> payload = TestPayload(parts, "");
  ASSERT_TRUE(DecodeMessage(payload, message));
  constexpr size_t kContentBytesAt = 12;  // FORMAT.md, "message"
  StoreLittle<uint32_t>(payload.data() + kContentBytesAt, 7);
  payload.resize(payload.size() + 7);
  EXPECT_FALSE(DecodeMessage(payload, message));
}

OutcomeEntry Entry(uint32_t recipient) {
  OutcomeEntry entry;
  entry.segment = 1;
  entry.block = 2;
  entry.recipient = recipient;
  entry.code = static_cast<uint8_t>(OutcomeCode::kFailed);
  return entry;
}

std::string Listed(Bytes payload) {
  std::string text;
  ForEachOutcome(payload, [&](const OutcomeEntry& entry, Bytes detail) {
    text += std::to_string(entry.recipient) + "=" + std::string(AsText(detail)) + " ";
  });
  return text;
}

TEST(OutcomeQueue, MovesWholeEntriesAndPutsThemBackInFront) {
  OutcomeQueue queue;
  queue.Add(Entry(1), AsBytes("one"));
  queue.Add(Entry(2), AsBytes(""));
  queue.Add(Entry(3), AsBytes("three"));
  EXPECT_EQ(OutcomeQueue::FrontRun(queue.bytes(), 1), 23u);    // at least one
  EXPECT_EQ(OutcomeQueue::FrontRun(queue.bytes(), 50), 43u);   // two, whole
  EXPECT_EQ(OutcomeQueue::FrontRun(queue.bytes(), 999), 68u);  // all
  OutcomeQueue taken;
  queue.MoveFront(43, taken);
  EXPECT_EQ(Listed(taken.bytes()), "1=one 2= ");
  EXPECT_EQ(Listed(queue.bytes()), "3=three ");
  queue.Add(Entry(4), AsBytes("four"));
  queue.PutBack(taken);
  EXPECT_TRUE(taken.empty());
  EXPECT_EQ(queue.entries(), 4u);
  EXPECT_EQ(Listed(queue.bytes()), "1=one 2= 3=three 4=four ");
}

TEST(OutcomeQueue, BrokenListsStopAtTheBreak) {
  OutcomeQueue queue;
  queue.Add(Entry(1), AsBytes("one"));
  queue.Add(Entry(2), AsBytes("two"));
  for (size_t bytes = 0; bytes <= queue.bytes().size(); ++bytes) {
    int visited = 0;
    const bool is_whole =
        ForEachOutcome(queue.bytes().first(bytes), [&](const OutcomeEntry&, Bytes) { ++visited; });
    EXPECT_EQ(is_whole, bytes == 0 || bytes == 23 || bytes == 46) << bytes;
    EXPECT_EQ(visited, bytes < 23 ? 0 : bytes < 46 ? 1 : 2);
  }
}

}  // namespace
}  // namespace backstay
