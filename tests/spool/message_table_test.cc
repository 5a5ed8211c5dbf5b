// tests/spool/message_table_test.cc -- the compact table says what was put into it, in few bytes.
#include "spool/message_table.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/base/random.h"

namespace backstay {
namespace {

struct Message {
  uint32_t block;
  uint32_t arrival;
  std::vector<DomainId> recipients;
};

std::vector<Message> Draw(Random& random, size_t count) {
  std::vector<Message> messages;
  uint32_t block = 0;
  uint32_t arrival = 1000;
  for (size_t i = 0; i < count; ++i) {
    block += static_cast<uint32_t>(random.Between(1, random.Chance(1, 20) ? 70'000 : 80));
    arrival += static_cast<uint32_t>(random.Between(0, 2)) - (random.Chance(1, 50) ? 5 : 0);
    std::vector<DomainId> recipients(random.Chance(1, 10) ? random.Between(2, 200) : 1,
                                     DomainId{static_cast<uint32_t>(random.Below(300))});
    for (size_t at = 1; at < recipients.size() && i % 3 == 0; ++at) {
      recipients[at] = DomainId{static_cast<uint32_t>(random.Below(300))};
    }
    messages.push_back({block, arrival, std::move(recipients)});
  }
  return messages;
}

void ExpectEntry(const MessageTable& table, const MessageTable::Entry& entry,
                 const Message& message) {
  EXPECT_EQ(entry.block, message.block);
  EXPECT_EQ(entry.arrival_seconds, message.arrival);
  ASSERT_EQ(entry.recipients, message.recipients.size());
  std::vector<DomainId> walked;
  table.ForEachRecipient(entry, [&](uint32_t recipient, uint32_t local) {
    EXPECT_EQ(recipient, walked.size());
    EXPECT_TRUE(table.MayHave(entry.message / MessageTable::kGroup, local));
    walked.push_back(table.DomainAt(local));
  });
  EXPECT_EQ(walked, message.recipients);
  const auto last = static_cast<uint32_t>(message.recipients.size()) - 1;
  EXPECT_EQ(table.DomainAt(table.DomainOf(entry, last)), message.recipients.back());
}

TEST(MessageTable, SaysWhatWasPutIn) {
  for (const size_t count : {1, 63, 64, 65, 128, 1000}) {
    Random random(count);
    const std::vector<Message> messages = Draw(random, count);
    MessageTable table;
    uint32_t bits = 0;
    for (const Message& message : messages) {
      table.Add(message.block, message.arrival, message.recipients);
    }
    table.ShrinkToFit();
    ASSERT_EQ(table.messages(), count);
    MessageTable::Entry walked = table.Get(0);
    for (uint32_t i = 0; i < count; ++i) {
      walked = i == 0 ? walked : table.Next(walked);
      ExpectEntry(table, walked, messages[i]);
      ExpectEntry(table, table.Get(i), messages[i]);
      EXPECT_EQ(walked.message, i);
      EXPECT_EQ(walked.first_bit, bits);
      EXPECT_EQ(table.FirstAt(messages[i].block), i);
      EXPECT_EQ(table.FirstAt(messages[i].block + 1), i + 1);
      EXPECT_EQ(table.OfBit(bits).message, i);
      bits += static_cast<uint32_t>(messages[i].recipients.size());
    }
    EXPECT_EQ(table.bits(), bits);
    EXPECT_EQ(table.FirstAt(0), 0U);
  }
}

// Many come in one second, also across groups.
TEST(MessageTable, FindsTheFirstThatArrivedInASecond) {
  Random random(4);
  MessageTable table;
  std::vector<uint32_t> arrivals;
  const DomainId domain{1};
  for (uint32_t i = 0; i < 1000; ++i) {
    const auto step = static_cast<uint32_t>(random.Chance(1, 30) ? random.Between(1, 3) : 0);
    arrivals.push_back(i == 0 ? 50 : arrivals.back() + step);
    table.Add(i + 1, arrivals.back(), {&domain, 1});
  }
  EXPECT_EQ(table.last_block(), 1000U);
  EXPECT_EQ(table.last_arrival_seconds(), arrivals.back());
  for (uint32_t second = 48; second < arrivals.back() + 3; ++second) {
    const auto first = std::lower_bound(arrivals.begin(), arrivals.end(), second);
    EXPECT_EQ(table.FirstArrived(second), static_cast<uint32_t>(first - arrivals.begin()));
  }
}

TEST(MessageTable, AnEmptyOneHasNothing) {
  const MessageTable table;
  EXPECT_EQ(table.FirstAt(5), 0U);
  EXPECT_EQ(table.FirstArrived(5), 0U);
  EXPECT_EQ(table.LocalOf(DomainId{1}), MessageTable::kNoDomain);
  EXPECT_EQ(table.groups(), 0U);
}

std::optional<MessageTable> Reload(const MessageTable& table, std::vector<uint8_t> stream,
                                   std::vector<MessageTable::Group> groups) {
  std::vector<DomainId> domains;
  for (uint32_t local = 0; local < table.domains(); ++local) {
    domains.push_back(table.DomainAt(local));
  }
  return MessageTable::Load(table.messages(), std::move(groups), std::move(stream), domains);
}

TEST(MessageTable, IsLoadedAsItWasAndGoesOn) {
  Random random(7);
  const std::vector<Message> messages = Draw(random, 500);
  for (const size_t count : {1, 64, 100, 499}) {
    MessageTable table;
    for (size_t i = 0; i < count; ++i) {
      table.Add(messages[i].block, messages[i].arrival, messages[i].recipients);
    }
    const auto heads = table.group_heads();
    const auto stream = table.stream();
    auto loaded = Reload(table, {stream.begin(), stream.end()}, {heads.begin(), heads.end()});
    ASSERT_TRUE(loaded.has_value());
    for (size_t i = count; i < messages.size(); ++i) {
      loaded->Add(messages[i].block, messages[i].arrival, messages[i].recipients);
    }
    for (uint32_t i = 0; i < messages.size(); ++i) {
      ExpectEntry(*loaded, loaded->Get(i), messages[i]);
    }
  }
}

// Whatever the bytes are, nothing outside of them is read, and what is loaded can be walked.
TEST(MessageTable, ChangedBytesAreRefusedOrWalkable) {
  Random random(8);
  MessageTable table;
  for (const Message& message : Draw(random, 200)) {
    table.Add(message.block, message.arrival, message.recipients);
  }
  const auto heads = table.group_heads();
  const auto stream = table.stream();
  for (int round = 0; round < 2000; ++round) {
    std::vector<uint8_t> bytes(stream.begin(), stream.end());
    std::vector<MessageTable::Group> groups(heads.begin(), heads.end());
    if (random.Chance(1, 4)) {
      bytes.resize(random.Below(bytes.size()) + 1);
    } else if (random.Chance(1, 4)) {
      groups[random.Below(groups.size())].at += static_cast<uint32_t>(random.Between(1, 9));
    } else {
      bytes[random.Below(bytes.size())] ^= static_cast<uint8_t>(random.Between(1, 255));
    }
    const auto loaded = Reload(table, std::move(bytes), std::move(groups));
    for (uint32_t i = 0; loaded.has_value() && i < loaded->messages(); ++i) {
      EXPECT_GT(loaded->Get(i).recipients, 0U);
    }
  }
}

// DESIGN 10 P12: four bytes a queued message, the bit of its recipient included.
TEST(MessageTable, AMessageTakesFourBytes) {
  for (const uint32_t domains : {1, 100, 1000}) {
    MessageTable table;
    constexpr uint32_t kMessages = 60'000;  // of 4 KiB, in a segment of 256 MiB
    for (uint32_t i = 0; i < kMessages; ++i) {
      const DomainId domain{i * 7919 % domains};
      table.Add(1 + i * 68, 100 + i / 3000, {&domain, 1});
    }
    table.ShrinkToFit();
    EXPECT_LT(table.memory_bytes(), kMessages * (domains == 1000 ? 5 : 4)) << domains;
  }
}

}  // namespace
}  // namespace backstay
