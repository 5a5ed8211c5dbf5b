// tests/spool/index_test.cc -- the queue in memory: what is live, what comes next, what holds a
// segment.
#include "spool/index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/base/random.h"
#include "fmt/format.h"

namespace backstay {
namespace {

class IndexTest : public testing::Test {
 protected:
  static constexpr uint32_t kMessages = 20'000;
  static constexpr uint32_t kMany = 4000;  // domains
  Segment& AddSegment(uint32_t number) {
    SegmentHeader header;
    header.segment = number;
    header.segment_bytes = 64_KiB;
    return *segments.Add(std::make_unique<Segment>(header, Fd()));
  }
  MessageRef Add(uint32_t segment, uint32_t block, std::vector<const char*> domains,
                 std::span<const PartEntry> parts = {}) {
    std::vector<DomainId> recipients;
    for (const char* domain : domains) {
      recipients.push_back(index.Intern(domain));
    }
    for (const PartEntry& part : parts) {
      index.Pin(part);
    }
    index.Add(*segments.Find(segment), block, block, recipients, parts, 1000 + block);
    return {segment, block};
  }
  void Settle(MessageRef message, uint32_t recipient,
              std::optional<Ending> ending = Ending::kDelivered) {
    index.Settle(message, recipient, ending, ++outcomes);
  }
  // Each domain has as many, all mixed; the first number of a domain is its id.
  void FillMixed(uint32_t segment) {
    for (uint32_t i = 0; i < kMessages; ++i) {
      Add(segment, i + 1, {fmt::format("d{}", i % kMany).c_str()});
    }
  }
  uint64_t CountAllBefore(MessageRef cut) {
    uint64_t live = 0;
    for (uint32_t domain = 0; domain < index.domains(); ++domain) {
      live += index.LiveRecipientsBefore(DomainId{domain}, cut);
    }
    return live;
  }
  std::vector<MessageRef> Walk(const char* domain) {
    std::vector<MessageRef> found;
    const DomainId id = index.Intern(domain);
    for (auto at = index.NextLive(id, std::nullopt); at.has_value(); at = index.NextLive(id, at)) {
      found.push_back(*at);
    }
    return found;
  }

  SegmentSet segments;
  Index index{segments};
  uint64_t outcomes = 0;
};

TEST_F(IndexTest, WalksADomainInOrderOfAge) {
  AddSegment(1);
  AddSegment(4);
  const MessageRef first = Add(1, 64, {"a", "b"});
  const MessageRef second = Add(1, 80, {"b"});
  const MessageRef third = Add(4, 64, {"b", "a", "b"});
  EXPECT_EQ(Walk("a"), (std::vector{first, third}));
  EXPECT_EQ(Walk("b"), (std::vector{first, second, third}));
  EXPECT_EQ(Walk("c"), std::vector<MessageRef>());
  EXPECT_EQ(index.LiveRecipients(index.Intern("b")), 4u);
}

TEST_F(IndexTest, AnyPlaceMayBeTheStart) {
  AddSegment(2);
  const MessageRef message = Add(2, 64, {"a"});
  const DomainId a = index.Intern("a");
  EXPECT_EQ(index.NextLive(a, MessageRef{1, 99}), message);
  EXPECT_EQ(index.NextLive(a, MessageRef{2, 63}), message);
  EXPECT_EQ(index.NextLive(a, MessageRef{2, 64}), std::nullopt);
  EXPECT_EQ(index.NextLive(a, MessageRef{3, 0}), std::nullopt);
}

TEST_F(IndexTest, AMessageIsSkippedWhenTheDomainIsSettled) {
  AddSegment(1);
  const MessageRef message = Add(1, 64, {"a", "b", "a"});
  Settle(message, 0);
  EXPECT_EQ(Walk("a").size(), 1u);
  Settle(message, 2, std::nullopt);
  EXPECT_EQ(Walk("a").size(), 0u);
  EXPECT_EQ(Walk("b").size(), 1u);
  EXPECT_FALSE(index.IsLive(message, 2));
  EXPECT_TRUE(index.IsPending(message, 2));
}

TEST_F(IndexTest, ASegmentIsHeldUntilTheLastRecipientAndDebt) {
  Segment& segment = AddSegment(1);
  const MessageRef message = Add(1, 64, {"a", "b"});
  Settle(message, 0);
  Settle(message, 1, std::nullopt);
  EXPECT_TRUE(segment.is_held());
  EXPECT_EQ(index.messages_owed(), 1u);
  Settle(message, 1, Ending::kDiscarded);
  EXPECT_FALSE(segment.is_held());
  EXPECT_EQ(index.messages_owed(), 0u);
  EXPECT_EQ(segment.outcomes_to_wait_for, 3u);
}

TEST_F(IndexTest, PartsHoldTheirSegmentWhileARecipientLives) {
  Segment& first = AddSegment(1);
  AddSegment(2);
  const std::vector<PartEntry> parts = {{1, 64, 10, 0}, {1, 80, 10, 0}};
  const MessageRef message = Add(2, 64, {"a", "b"}, parts);
  EXPECT_EQ(first.pins, 2u);
  Settle(message, 1);
  EXPECT_TRUE(first.is_held());
  Settle(message, 0);
  EXPECT_FALSE(first.is_held());
  EXPECT_EQ(first.outcomes_to_wait_for, 2u);
}

TEST_F(IndexTest, QuarantinedIsCounted) {
  AddSegment(1);
  Settle(Add(1, 64, {"a"}), 0, Ending::kQuarantined);
  EXPECT_EQ(index.recipients_quarantined(), 1u);
  EXPECT_EQ(index.recipients_live(), 0u);
}

// The same walk on sets that are obviously right.
TEST_F(IndexTest, AgreesWithAModelUnderRandomWork) {
  Random random(3);
  const char* const names[] = {"a", "b", "c", "d"};
  std::map<std::string, std::map<MessageRef, std::set<uint32_t>>> model;
  std::vector<std::pair<MessageRef, uint32_t>> live;
  uint32_t segment = 0;
  uint32_t block = 0;
  for (int step = 0; step < 4000; ++step) {
    if (step % 500 == 0) {
      AddSegment(++segment);
      block = 0;
    }
    if (random.Chance(1, 2)) {
      std::vector<const char*> domains;
      for (uint64_t count = random.Between(1, 3); count > 0; --count) {
        domains.push_back(names[random.Below(4)]);
      }
      const MessageRef message = Add(segment, ++block, domains);
      for (uint32_t i = 0; i < domains.size(); ++i) {
        model[domains[i]][message].insert(i);
        live.emplace_back(message, i);
      }
    } else if (!live.empty()) {
      const size_t at = random.Below(live.size());
      const auto [message, recipient] = live[at];
      live.erase(live.begin() + static_cast<ptrdiff_t>(at));
      Settle(message, recipient);
      for (auto& [domain, messages] : model) {
        if (messages.contains(message) && messages[message].erase(recipient) > 0 &&
            messages[message].empty()) {
          messages.erase(message);
        }
      }
    }
    const char* domain = names[random.Below(4)];
    const MessageRef after{static_cast<uint32_t>(random.Below(segment + 1)),
                           static_cast<uint32_t>(random.Below(300))};
    const auto next = model[domain].upper_bound(after);
    const auto found = index.NextLive(index.Intern(domain), after);
    EXPECT_EQ(found.has_value(), next != model[domain].end());
    EXPECT_TRUE(!found.has_value() || *found == next->first);
  }
}

TEST_F(IndexTest, ThousandsOfDomainsInASegmentAreDrainedInLinearWork) {
  AddSegment(1);
  FillMixed(1);
  uint64_t drained = 0;
  for (uint32_t domain = 0; domain < kMany; ++domain) {
    const DomainId id = index.Intern(fmt::format("d{}", domain));
    while (const auto next = index.NextLive(id, std::nullopt)) {
      Settle(*next, 0);
      ++drained;
    }
  }
  EXPECT_EQ(drained, kMessages);
  EXPECT_FALSE(segments.oldest()->is_held());
  EXPECT_LT(index.entries_read(), 100U * kMessages);  // about one group for each
}

// Each domain is counted by itself, as one row of a report is.
TEST_F(IndexTest, CountingBeforeACutIsLinearForThousandsOfDomains) {
  AddSegment(1);
  FillMixed(1);
  AddSegment(2);
  FillMixed(2);
  // An order's cut lies behind all that is stored.
  EXPECT_EQ(CountAllBefore({2, kMessages + 1}), 2 * kMessages);
  EXPECT_EQ(CountAllBefore({3, 0}), 2 * kMessages);
  EXPECT_EQ(CountAllBefore({1, 0}), 0U);
  EXPECT_EQ(CountAllBefore({2, 0}), kMessages);
  EXPECT_LT(index.entries_read(), 2000U);
  // That of a hold may lie anywhere.
  EXPECT_EQ(CountAllBefore({1, 15'001}), 15'000U);
  EXPECT_EQ(CountAllBefore({2, 5'001}), kMessages + 5'000U);
  EXPECT_LT(index.entries_read(), 100U * kMessages);
}

// Places are arrivals here.
TEST_F(IndexTest, CountingUntilATimeIsLinearForThousandsOfDomains) {
  AddSegment(1);
  FillMixed(1);
  uint64_t live = 0;
  for (uint32_t domain = 0; domain < kMany; ++domain) {
    live += index.LiveRecipientsUntil(DomainId{domain}, SpoolTime() + absl::Seconds(12'000.5));
  }
  EXPECT_EQ(live, 12'000U);
  EXPECT_LT(index.entries_read(), 100U * kMessages);
  EXPECT_EQ(index.LiveRecipientsUntil(DomainId{7}, SpoolTime()), 0U);
  EXPECT_EQ(index.LiveRecipientsUntil(DomainId{7}, SpoolTime::Max()), kMessages / kMany);
}

// What is said with lists is what is said without; messages come and go meanwhile.
TEST_F(IndexTest, ListsOfDomainsChangeNothing) {
  Random random(12);
  constexpr uint32_t kDomains = 300;
  std::vector<std::map<MessageRef, uint32_t>> model(kDomains);  // live recipients
  for (uint32_t domain = 0; domain < kDomains; ++domain) {
    index.Intern(fmt::format("d{}", domain));
  }
  bool had_lists = false;
  for (uint32_t step = 0; step < 30'000; ++step) {
    const uint32_t number = step / 6000 + 1;
    if (step % 6000 == 0) {
      AddSegment(number);
    }
    const MessageRef message{number, step % 6000 + 1};
    const std::vector<DomainId> recipients(random.Between(1, 2),
                                           DomainId{static_cast<uint32_t>(random.Below(kDomains))});
    if (random.Chance(1, 2)) {
      index.Add(*segments.Find(number), message.block, step, recipients, {}, 1000);
      model[static_cast<uint32_t>(recipients[0])][message] =
          static_cast<uint32_t>(recipients.size());
    }
    const auto domain = static_cast<uint32_t>(random.Below(kDomains));
    const MessageRef cut{static_cast<uint32_t>(random.Between(1, number)),
                         static_cast<uint32_t>(random.Below(6500))};
    auto& live = model[domain];
    const auto next = live.upper_bound(cut);
    const auto found = index.NextLive(DomainId{domain}, cut);
    ASSERT_EQ(found.has_value(), next != live.end());
    ASSERT_TRUE(!found.has_value() || *found == next->first);
    uint64_t before = 0;
    for (const auto& [place, count] : live) {
      before += place < cut ? count : 0;
    }
    ASSERT_EQ(index.LiveRecipientsBefore(DomainId{domain}, cut), before);
    if (const auto first = index.NextLive(DomainId{domain}, std::nullopt); random.Chance(1, 3)) {
      ASSERT_EQ(first.has_value(), !live.empty());
      if (first.has_value()) {
        ASSERT_EQ(*first, live.begin()->first);
        Settle(*first, live.begin()->second - 1);
        live.begin()->second -= 1;
        std::erase_if(live, [](const auto& entry) { return entry.second == 0; });
      }
    }
    had_lists = had_lists || segments.Find(number)->index.has_lists();
  }
  EXPECT_TRUE(had_lists);
}

TEST_F(IndexTest, FewSegmentsHaveListsAtATime) {
  constexpr uint32_t kSegments = Index::kListedMax + 3;
  for (uint32_t number = 1; number <= kSegments; ++number) {
    AddSegment(number);
    FillMixed(number);
  }
  for (uint32_t number = 1; number <= kSegments; ++number) {
    EXPECT_EQ(CountAllBefore({number, 10'001}), (number - 1) * kMessages + 10'000U);
    uint32_t listed = 0;
    for (uint32_t of = 1; of <= number; ++of) {
      listed += segments.Find(of)->index.has_lists() ? 1 : 0;
    }
    EXPECT_EQ(listed, std::min<uint32_t>(number, Index::kListedMax));
    EXPECT_TRUE(segments.Find(number)->index.has_lists());
  }
}

// Few domains are told apart by the groups: there are no lists of what is drained fast.
TEST_F(IndexTest, ASegmentOfFewDomainsNeedsNoLists) {
  Segment& segment = AddSegment(1);
  for (uint32_t i = 0; i < 5000; ++i) {
    Add(1, i + 1, {fmt::format("d{}", i % 40).c_str()});
  }
  for (uint32_t domain = 0; domain < 40; ++domain) {
    while (const auto next = index.NextLive(DomainId{domain}, std::nullopt)) {
      Settle(*next, 0);
    }
    EXPECT_FALSE(segment.index.has_lists());
  }
}

// The counts are there: a start with millions of messages stands still for each that is walked.
TEST_F(IndexTest, PublishingReadsNoMessages) {
  Segment& segment = AddSegment(1);
  segment.is_published = false;
  for (uint32_t i = 0; i < 1000; ++i) {
    Add(1, i + 1, {"a", "b"});
  }
  for (uint32_t i = 0; i < 10; ++i) {
    Settle({1, i + 1}, 0, std::nullopt);
    Settle({1, i + 1}, 1);
    Settle({1, i + 101}, 0);
    Settle({1, i + 101}, 1, std::nullopt);
  }
  Settle({1, 1}, 0, Ending::kBounced);
  const uint64_t read = index.entries_read();
  index.Publish(segment);
  EXPECT_EQ(index.entries_read(), read);
  EXPECT_EQ(index.messages_owed(), 999U);
  EXPECT_EQ(index.recipients_pending(), 19U);
  EXPECT_EQ(index.PendingRecipients(index.Intern("a")), 9U);
  EXPECT_EQ(index.PendingRecipients(index.Intern("b")), 10U);
  EXPECT_EQ(index.LiveRecipients(index.Intern("a")), 980U);
  // As the bits have it: what a checkpoint says.
  segment.index.SetOwed(segment.index.live(), segment.index.pending());
  EXPECT_EQ(segment.index.messages_owed(), 999U);
  EXPECT_EQ(segment.index.PendingRecipients(index.Intern("a")), 9U);
}

TEST(SegmentName, IsOneToOne) {
  EXPECT_STREQ(NameOfSegment(42).data(), "segment-0000002a");
  EXPECT_EQ(ParseSegmentName("segment-0000002a"), 42u);
  for (const char* name :
       {"segment-2a", "segment-0000002A", "segment-0000002a~", "Segment-0000002a",
        "segment-10000000", "segment--000002a", "segment-0000002 "}) {
    EXPECT_FALSE(ParseSegmentName(name).has_value()) << name;
  }
}

// Messages count once for a domain however many recipients; bytes are those of the average.
TEST_F(IndexTest, KnowsWhatEachDomainHasWaiting) {
  AddSegment(1);
  AddSegment(2);
  const MessageRef one = Add(1, 64, {"a", "a", "b"});
  Add(1, 128, {"a"});
  Add(2, 64, {"a"});
  const auto load = [&](const char* domain) { return index.Load(index.Intern(domain)); };
  EXPECT_EQ(load("a").messages, 3u);
  EXPECT_EQ(load("a").recipients, 4u);
  EXPECT_EQ(load("a").bytes, 1064u + 1128 + 1064);
  EXPECT_EQ(load("b").bytes, 1064u);
  Settle(one, 0);
  EXPECT_EQ(load("a").messages, 3u);
  Settle(one, 1, std::nullopt);
  EXPECT_EQ(load("a").messages, 2u);
  EXPECT_EQ(load("a").bytes, (1064u + 1128) / 2 + 1064);
  EXPECT_EQ(load("b").messages, 1u);
  Settle(one, 2);
  Settle({1, 128}, 0);
  Settle({2, 64}, 0);
  for (const char* domain : {"a", "b"}) {
    EXPECT_EQ(load(domain).messages, 0u);
    EXPECT_EQ(load(domain).bytes, 0u);
    EXPECT_EQ(load(domain).recipients, 0u);
  }
}

}  // namespace
}  // namespace backstay
