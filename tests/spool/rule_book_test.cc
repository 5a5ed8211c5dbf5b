// tests/spool/rule_book_test.cc -- what rules say of messages, against a list of all of them.
#include "spool/rule_book.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "core/base/random.h"

namespace backstay {
namespace {

constexpr uint32_t kDomains = 3;
constexpr uint32_t kPlaces = 60;

SpoolTime At(uint64_t seconds) {
  return SpoolTime() + absl::Seconds(static_cast<int64_t>(seconds));
}

// A record takes two blocks at least, so no message begins just before a cut.
MessageRef Place(uint32_t number) {
  return {1 + number / 20, number % 20 * 2};
}

DomainId Domain(uint32_t number) {
  return static_cast<DomainId>(number);
}

Rule RuleOf(RuleVerb verb, uint64_t epoch, bool keeps_age = false) {
  Rule rule;
  rule.verb = verb;
  rule.keeps_age = keeps_age;
  rule.epoch = epoch;
  rule.at = At(1000 * epoch);
  return rule;
}

// One message of one domain, and what each rule does to it.
struct Model {
  bool is_held = false;
  bool is_stopped = false;  // with its domain
  bool is_expired = false;
  bool is_deleted = false;
  bool is_parked = false;
  bool has_own = false;
  bool has_own_age = false;
  SpoolTime schedule_from;
  SpoolTime age_from;

  void Apply(const Rule& rule) {
    switch (rule.verb) {
      case RuleVerb::kReset:
        schedule_from = rule.at;
        age_from = rule.keeps_age ? age_from : rule.at;
        is_expired = false;
        is_parked = is_parked && rule.keeps_age;
        return;
      case RuleVerb::kHold:
        is_held = true;
        is_expired = false;
        return;
      case RuleVerb::kRelease:
        schedule_from = is_held || is_parked ? rule.at : schedule_from;
        age_from = is_held || is_parked ? rule.at : age_from;
        is_expired = is_expired && !is_parked;
        is_held = false;
        is_parked = false;
        return;
      case RuleVerb::kExpire:
        is_expired = true;
        is_held = false;
        is_parked = false;
        return;
      case RuleVerb::kDelete:
        is_deleted = true;
        return;
      case RuleVerb::kStop:
      case RuleVerb::kTrip:
        is_stopped = true;
        is_expired = false;
        return;
      case RuleVerb::kStart:
        is_stopped = false;
        is_expired = false;
        is_parked = false;
        schedule_from = rule.at;
        age_from = rule.at;
        return;
      case RuleVerb::kPark:
        is_parked = true;
        return;
      case RuleVerb::kTold:
        return;
    }
  }
};

class RuleBookTest : public testing::Test {
 protected:
  // `domain` kDomains: all.
  void Apply(const Rule& rule, uint32_t cut, uint32_t domain) {
    story += fmt::format(" verb={} cut={} domain={}", static_cast<int>(rule.verb), cut, domain);
    const DomainId id = Domain(domain);
    const bool releases = rule.verb == RuleVerb::kRelease && domain != kDomains;
    const MessageRef held = releases ? book.HoldCut(id) : MessageRef();
    book.Apply(rule, Place(cut),
               domain == kDomains ? std::span<const DomainId>() : std::span(&id, 1));
    for (uint32_t of = 0; of < kDomains; ++of) {
      for (uint32_t place = 0; place < cut && (domain == kDomains || of == domain); ++place) {
        // Within the hold a release resets also what was released by its own.
        Model& model = models[of][place];
        model.is_held = model.is_held || (model.has_own && Place(place) < held);
        model.Apply(rule);
      }
      // A stop is for what comes later, too.
      const bool stops = rule.verb == RuleVerb::kStop || rule.verb == RuleVerb::kTrip;
      for (uint32_t place = cut; place < kPlaces && (domain == kDomains || of == domain); ++place) {
        models[of][place].is_stopped =
            stops || (models[of][place].is_stopped && rule.verb != RuleVerb::kStart);
      }
    }
    // The spool gives a release to each message that was held by its own as well.
    for (uint32_t place = 0; place < cut && rule.verb == RuleVerb::kRelease; ++place) {
      if (models[0][place].has_own && book.StandingOf(id, Place(place)).is_held) {
        ApplyToMessage(rule, place);
      }
    }
  }

  // Of this shard alone; only what may be delivered is looked at for it.
  void Park(uint32_t cut, uint32_t domain, SpoolTime at) {
    if (Place(cut) <= book.DeliverableFrom(Domain(domain))) {
      return;
    }
    story += fmt::format(" park={} domain={}", cut, domain);
    Rule rule = RuleOf(RuleVerb::kPark, 0);
    rule.at = at;
    book.ApplyOwn(rule, Place(cut), Domain(domain));
    for (uint32_t place = 0; place < cut; ++place) {
      Model& model = models[domain][place];
      model.is_parked = model.is_parked || !model.has_own_age;
    }
  }

  // To one message that is in every domain.
  void ApplyToMessage(const Rule& rule, uint32_t place) {
    story += fmt::format(" verb={} message={}", static_cast<int>(rule.verb), place);
    Rule said = rule;
    said.epoch = book.BehindLast();
    book.ApplyToMessage(said, Place(place));
    for (auto& of : models) {
      // The spool lets a release through when it is held in some domain; then it counts in all.
      if (rule.verb == RuleVerb::kRelease) {
        of[place].is_held = true;
        of[place].is_expired = false;
      }
      of[place].Apply(rule);
      of[place].has_own = true;
      of[place].has_own_age |=
          rule.verb == RuleVerb::kRelease || (rule.verb == RuleVerb::kReset && !rule.keeps_age);
    }
  }

  void ExpectModel() {
    for (uint32_t domain = 0; domain < kDomains; ++domain) {
      const MessageRef from = book.DeliverableFrom(Domain(domain));
      for (uint32_t place = 0; place < kPlaces; ++place) {
        const Model& model = models[domain][place];
        const Standing standing = book.StandingOf(Domain(domain), Place(place));
        const bool is_parked = model.is_parked && !model.is_expired;
        ASSERT_EQ(standing.is_parked, is_parked) << domain << " " << place << story;
        ASSERT_EQ(standing.is_held,
                  model.is_held || is_parked || (model.is_stopped && !model.is_expired))
            << domain << " " << place << story;
        ASSERT_EQ(standing.is_expired, model.is_expired) << domain << " " << place << story;
        ASSERT_EQ(standing.schedule_from, model.schedule_from) << domain << " " << place << story;
        ASSERT_EQ(standing.age_from, model.age_from) << domain << " " << place << story;
        const bool is_deliverable = !model.is_held && !is_parked && !model.is_stopped &&
                                    !model.is_expired && !model.is_deleted;
        if (!model.has_own) {
          ASSERT_EQ(Place(place) >= from, is_deliverable) << domain << " " << place << story;
        }
        ASSERT_EQ(book.HasOwn(Place(place)), model.has_own);
      }
    }
  }

  std::string story;
  RuleBook book;
  Model models[kDomains][kPlaces];
};

TEST_F(RuleBookTest, AHoldIsForWhatIsThereAndReleaseResetsWhatWasHeld) {
  Apply(RuleOf(RuleVerb::kHold, 1), 10, 0);
  ExpectModel();
  Apply(RuleOf(RuleVerb::kRelease, 2), 30, 0);
  ExpectModel();
  EXPECT_EQ(book.StandingOf(Domain(0), Place(9)).age_from, At(2000));
  EXPECT_EQ(book.StandingOf(Domain(0), Place(10)).age_from, SpoolTime());
  Apply(RuleOf(RuleVerb::kRelease, 3), 40, 0);
  EXPECT_EQ(book.StandingOf(Domain(0), Place(9)).age_from, At(2000));
}

TEST_F(RuleBookTest, ReleasingAllFreesEveryDomainThatIsHeld) {
  Apply(RuleOf(RuleVerb::kHold, 1), 10, kDomains);
  Apply(RuleOf(RuleVerb::kHold, 2), 20, 1);
  Apply(RuleOf(RuleVerb::kRelease, 3), 30, kDomains);
  ExpectModel();
}

TEST_F(RuleBookTest, WhateverComesLaterSavesWhatWasExpired) {
  Apply(RuleOf(RuleVerb::kExpire, 1), 10, kDomains);
  ExpectModel();
  Apply(RuleOf(RuleVerb::kReset, 2), 20, 0);
  Apply(RuleOf(RuleVerb::kHold, 3), 20, 1);
  ExpectModel();
  EXPECT_TRUE(book.StandingOf(Domain(2), Place(0)).is_expired);
}

TEST_F(RuleBookTest, AStopIsForWhatComesUntilItIsStarted) {
  Apply(RuleOf(RuleVerb::kStop, 1), 10, 1);
  ExpectModel();
  EXPECT_EQ(book.StopOf(Domain(1)), DomainStop::kByOperator);
  EXPECT_EQ(book.StopOf(Domain(0)), DomainStop::kNone);
  EXPECT_TRUE(book.StandingOf(Domain(1), Place(kPlaces - 1)).is_held);
  Apply(RuleOf(RuleVerb::kTrip, 2), 20, 1);
  EXPECT_EQ(book.StopOf(Domain(1)), DomainStop::kByBreaker);
  Apply(RuleOf(RuleVerb::kStart, 3), 30, 1);
  ExpectModel();
  EXPECT_EQ(book.StopOf(Domain(1)), DomainStop::kNone);
  EXPECT_EQ(book.StandingOf(Domain(1), Place(29)).age_from, At(3000));
}

TEST_F(RuleBookTest, WhatIsParkedWaitsForAReleaseOrAReset) {
  Park(10, 1, At(500));
  ExpectModel();
  EXPECT_EQ(book.HoldCut(Domain(1)), Place(10));
  Apply(RuleOf(RuleVerb::kReset, 1, /*keeps_age=*/true), 20, 1);
  EXPECT_TRUE(book.StandingOf(Domain(1), Place(9)).is_parked);  // its time is still over
  Apply(RuleOf(RuleVerb::kRelease, 2), 20, 1);
  ExpectModel();
  EXPECT_EQ(book.StandingOf(Domain(1), Place(9)).age_from, At(2000));
  EXPECT_EQ(book.StandingOf(Domain(1), Place(10)).age_from, SpoolTime());
  Park(15, 1, At(2500));
  Apply(RuleOf(RuleVerb::kReset, 3), 20, 1);
  ExpectModel();
  EXPECT_EQ(book.DeliverableFrom(Domain(1)), MessageRef());
}

TEST_F(RuleBookTest, WhatIsParkedMayBeGivenUp) {
  Park(10, 1, At(500));
  Apply(RuleOf(RuleVerb::kExpire, 1), 20, 1);
  ExpectModel();
  EXPECT_TRUE(book.StandingOf(Domain(1), Place(9)).is_expired);
}

TEST_F(RuleBookTest, ARestOfADomainIsToldOnce) {
  EXPECT_EQ(book.ToldBefore(Domain(1)), MessageRef());
  book.ApplyOwn(RuleOf(RuleVerb::kTold, 0), Place(7), Domain(1));
  EXPECT_EQ(book.ToldBefore(Domain(1)), Place(7));
  EXPECT_EQ(book.ToldBefore(Domain(0)), MessageRef());
  ExpectModel();  // nothing else follows from it
}

TEST_F(RuleBookTest, WhatIsGivenUpInAStoppedDomainMayBeSavedAndIsStoppedThen) {
  Apply(RuleOf(RuleVerb::kStop, 1), 10, 1);
  Apply(RuleOf(RuleVerb::kExpire, 2), 20, 1);
  EXPECT_TRUE(book.StandingOf(Domain(1), Place(5)).is_expired);
  Apply(RuleOf(RuleVerb::kReset, 3), 20, 1);
  EXPECT_TRUE(book.StandingOf(Domain(1), Place(5)).is_held);
  ExpectModel();
}

TEST_F(RuleBookTest, ADeletionHoldsTheCursorBackUntilItIsCarriedOut) {
  Apply(RuleOf(RuleVerb::kDelete, 1), 10, 1);
  ExpectModel();
  book.deletions().clear();
  EXPECT_EQ(book.DeliverableFrom(Domain(1)), MessageRef());
}

// An order is one deletion, in a checkpoint as well, however many domains it is for.
TEST(RuleBook, ADeletionIsForTheDomainsOfItsOrder) {
  static const std::string kLetters[] = {"a", "b", "c"};
  RuleBook book;
  const std::vector<DomainId> two = {Domain(2), Domain(0)};
  const DomainId one = Domain(1);
  book.Apply(RuleOf(RuleVerb::kDelete, 1), Place(10), two);
  book.Apply(RuleOf(RuleVerb::kDelete, 2), Place(20), {&one, 1});
  book.Apply(RuleOf(RuleVerb::kDelete, 3), Place(5), {});
  for (const bool is_read_again : {false, true}) {
    if (is_read_again) {
      const auto bytes = book.Encode(
          [](DomainId id) { return std::string_view(kLetters[static_cast<uint32_t>(id)]); });
      book = *RuleBook::Decode(bytes, [](std::string_view name) {
        return Domain(static_cast<uint32_t>(name[0] - 'a'));
      });
    }
    EXPECT_EQ(book.deletions().size(), 3U);
    for (const auto& [domain, end] : {std::pair(0U, 10U), std::pair(1U, 20U), std::pair(2U, 10U)}) {
      EXPECT_EQ(book.DeliverableFrom(Domain(domain)), Place(end)) << domain;
      for (uint32_t place = 0; place < kPlaces; ++place) {
        EXPECT_EQ(book.IsDeleted(Domain(domain), Place(place)), place < end) << domain;
      }
    }
    EXPECT_EQ(book.DeliverableFrom(Domain(7)), Place(5));
  }
}

// Whatever others have: a report of two thousand domains asks for each.
TEST(RuleBook, FindsTheOwnOrdersOfOneDomainAmongThoseOfOthers) {
  RuleBook book;
  const auto domains_of = [](MessageRef message, auto add) {
    add(Domain(message.block % 100));
    add(Domain(200 + message.block % 2));
  };
  size_t asked = 0;
  const auto add_domains = [&](MessageRef message, auto add) {
    ++asked;
    domains_of(message, add);
  };
  const auto own_of = [&](uint32_t domain, std::optional<MessageRef> after, MessageRef before) {
    std::vector<MessageRef> found;
    book.ForEachOwnOf(Domain(domain), after, before, add_domains, [&](MessageRef message) {
      found.push_back(message);
      return true;
    });
    return found;
  };
  for (uint32_t block = 0; block < 1000; ++block) {
    book.ApplyToMessage(RuleOf(RuleVerb::kHold, 1), {1, block});
    book.ApplyToMessage(RuleOf(RuleVerb::kReset, 1), {1, block});
  }
  constexpr MessageRef kEnd{2, 0};
  EXPECT_EQ(own_of(7, std::nullopt, kEnd).size(), 10U);
  EXPECT_EQ(own_of(201, std::nullopt, kEnd).size(), 500U);
  EXPECT_EQ(own_of(7, MessageRef{1, 107}, {1, 407}), (std::vector<MessageRef>{{1, 207}, {1, 307}}));
  EXPECT_EQ(own_of(150, std::nullopt, kEnd).size(), 0U);
  EXPECT_EQ(asked, 1000U);  // once for each message
  book.ApplyToMessage(RuleOf(RuleVerb::kHold, 1), {1, 1107});
  book.ForgetMessages([](MessageRef message) { return message.block < 900; });
  EXPECT_EQ(own_of(7, std::nullopt, kEnd), (std::vector<MessageRef>{{1, 907}, {1, 1107}}));
  EXPECT_EQ(asked, 1001U);
  const auto bytes = book.Encode([](DomainId) { return std::string_view(); });
  book = *RuleBook::Decode(bytes, [](std::string_view) { return Domain(0); });
  EXPECT_EQ(own_of(7, std::nullopt, kEnd), (std::vector<MessageRef>{{1, 907}, {1, 1107}}));
}

// Thousands of random stories. A release of all is left to its own test: where a domain was
// expired while all was held it saves the domain, which no operator will mind.
TEST(RuleBook, SaysWhatEveryMessageWouldRemember) {
  Random random(7);
  for (int number = 0; number < 1000; ++number) {
    class Case : public RuleBookTest {
      void TestBody() override {}

     public:
      void Run(Random& random) {
        uint32_t cut = 0;
        for (uint64_t epoch = 1; epoch <= 8; ++epoch) {
          cut = std::min(cut + static_cast<uint32_t>(random.Below(10)), kPlaces);
          const auto verb = static_cast<RuleVerb>(1 + random.Below(8));
          const auto domain = static_cast<uint32_t>(
              random.Below(verb == RuleVerb::kRelease ? kDomains : kDomains + 1));
          Apply(RuleOf(verb, epoch, random.Below(2) == 0), cut, domain);
          ExpectModel();
          if (random.Below(3) == 0) {
            Park(static_cast<uint32_t>(random.Below(cut + 1)),
                 static_cast<uint32_t>(random.Below(kDomains)), At(1000 * epoch + 5));
            ExpectModel();
          }
          // Giving up has its own test: a release of the domain saves such a message, too.
          for (uint64_t word = random.Below(3); word > 0 && !HasFatalFailure(); --word) {
            Rule rule = RuleOf(static_cast<RuleVerb>(1 + random.Below(3)), epoch);
            rule.at = At(1000 * epoch + 10 - word);
            ApplyToMessage(rule, static_cast<uint32_t>(random.Below(kPlaces)));
            ExpectModel();
          }
          if (HasFatalFailure()) {
            return;
          }
        }
        const auto bytes = book.Encode([](DomainId id) {
          static const std::string kLetters[] = {"a", "b", "c"};
          return std::string_view(kLetters[static_cast<uint32_t>(id)]);
        });
        auto again = RuleBook::Decode(bytes, [](std::string_view name) {
          return Domain(static_cast<uint32_t>(name[0] - 'a'));
        });
        ASSERT_TRUE(again.has_value());
        ASSERT_EQ(again->last().epoch, 8U);
        book = *std::move(again);
        ExpectModel();
      }
    } one;
    one.Run(random);
    ASSERT_FALSE(testing::Test::HasFatalFailure()) << number;
  }
}

// A book that gets the stops of another stops the same domains, whatever was ordered before.
TEST(RuleBook, StopsAreKnownToABookThatGetsThem) {
  Random random(77);
  static const std::string kLetters[] = {"a", "b", "c"};
  size_t most = 0;
  for (int number = 0; number < 2000; ++number) {
    RuleBook book;
    for (uint64_t epoch = 1; epoch < 9; ++epoch) {
      static constexpr RuleVerb kVerbs[] = {RuleVerb::kStop, RuleVerb::kTrip, RuleVerb::kStart,
                                            RuleVerb::kReset};
      std::vector<DomainId> domains;
      for (uint32_t domain = 0; domain < kDomains && random.Below(4) > 0; ++domain) {
        domains.push_back(Domain(domain));
      }
      book.Apply(RuleOf(kVerbs[random.Below(4)], epoch), Place(5), domains);
    }
    RuleBook other;
    uint64_t last = 0;
    const auto stops = book.Stops(
        [](DomainId id) { return std::string_view(kLetters[static_cast<uint32_t>(id)]); });
    for (const Rule& rule : stops) {
      EXPECT_GT(rule.epoch, last);
      last = rule.epoch;
      std::vector<DomainId> domains;
      for (const std::string& name : rule.domains) {
        domains.push_back(Domain(static_cast<uint32_t>(name[0] - 'a')));
      }
      other.Apply(rule, Place(0), domains);
    }
    for (uint32_t domain = 0; domain < kDomains; ++domain) {
      ASSERT_EQ(other.StopOf(Domain(domain)), book.StopOf(Domain(domain))) << number;
    }
    most = std::max(most, stops.size());
  }
  EXPECT_GE(most, 3U);
}

TEST(RuleBook, RefusesBytesThatItDidNotWrite) {
  RuleBook book;
  const DomainId domain = Domain(0);
  Rule rule = RuleOf(RuleVerb::kHold, 1);
  rule.domains = {"a.example"};
  book.Apply(rule, Place(5), {&domain, 1});
  const auto bytes = book.Encode([](DomainId) { return std::string_view("a.example"); });
  const auto intern = [](std::string_view) { return Domain(0); };
  ASSERT_TRUE(RuleBook::Decode(bytes, intern).has_value());
  int whole = 0;
  for (size_t length = 0; length < bytes.size(); ++length) {
    whole += RuleBook::Decode(Bytes(bytes).first(length), intern).has_value() ? 1 : 0;
  }
  EXPECT_EQ(whole, 1);  // cut between the last rule and the first mark
  EXPECT_FALSE(RuleBook::Decode({}, intern).has_value());
}

}  // namespace
}  // namespace backstay
