// tests/core/dns/primary_search_test.cc -- names and MX records to an ordered list, or a verdict.
#include "core/dns/primary_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/support/dns_zone.h"

namespace backstay {
namespace {

using Standing = PrimaryStanding;

PrimaryList Mx() {
  return {"example.com", {}};
}

PrimaryList Hosts(const std::vector<std::string>& names) {
  PrimaryList list;
  for (const std::string& name : names) {
    list.hosts.push_back({name, 25, SocketAddress::Parse(name, 25)});
  }
  return list;
}

class PrimarySearchTest : public testing::Test {
 protected:
  FoundPrimaries Search(const PrimaryList& list) {
    PrimarySearch search(list, "mx2.example.net");
    for (; search.question() != nullptr; ++questions_) {
      const std::optional<std::string> reply =
          zone_.Answer(search.question()->name, search.question()->type);
      if (questions_ > 200) {
        ADD_FAILURE() << "questions without end";
        break;
      }
      if (reply.has_value()) {
        search.OnReply(AsBytes(*reply));
      } else {
        search.OnNoReply("no resolver answers");
      }
    }
    return search.Result(
        [this](const SocketAddress& place) {
          const std::string text = place.ToString();
          return ours_.contains(text)      ? PlaceVerdict::kOurs
                 : refused_.contains(text) ? PlaceVerdict::kNotAllowed
                                           : PlaceVerdict::kGood;
        },
        before_, random_);
  }
  static std::vector<std::string> Places(const FoundPrimaries& found) {
    std::vector<std::string> places;
    for (const PrimaryHost& host : found.hosts) {
      places.push_back(host.name + " " + host.address.ToString());
    }
    return places;
  }
  using List = std::vector<std::string>;

  DnsZone zone_;
  std::set<std::string> ours_;
  std::set<std::string> refused_;
  FoundPrimaries before_;
  Random random_{1};
  int questions_ = 0;
};

TEST_F(PrimarySearchTest, AddressesAloneAskNobodyAndKeepTheirOrder) {
  const FoundPrimaries found = Search(Hosts({"192.0.2.9", "192.0.2.1"}));
  EXPECT_EQ(questions_, 0);
  EXPECT_EQ(Places(found), (List{"192.0.2.9 192.0.2.9:25", "192.0.2.1 192.0.2.1:25"}));
}

TEST_F(PrimarySearchTest, NamesAndAddressesInOrderWithBothFamiliesInTurn) {
  zone_.AddAddress("mx1.example.com", "192.0.2.1");
  zone_.AddAddress("mx1.example.com", "192.0.2.2");
  zone_.AddAddress("mx1.example.com", "2001:db8::1");
  const FoundPrimaries found = Search(Hosts({"mx1.example.com", "192.0.2.9"}));
  ASSERT_EQ(found.hosts.size(), 4u);
  EXPECT_TRUE(found.hosts[0].address.is_v6());
  EXPECT_FALSE(found.hosts[1].address.is_v6());
  EXPECT_EQ(found.hosts[3].address.ToString(), "192.0.2.9:25");
  EXPECT_EQ(found.hosts[0].preference, found.hosts[2].preference);
  EXPECT_LT(found.hosts[2].preference, found.hosts[3].preference);
  EXPECT_EQ(found.ttl, absl::Seconds(300));
}

TEST_F(PrimarySearchTest, AListStaysAsFarAsItIsKnown) {
  zone_.AddAddress("mx2.example.com", "192.0.2.2");
  const FoundPrimaries found = Search(Hosts({"gone.example.com", "mx2.example.com"}));
  EXPECT_EQ(found.standing, Standing::kFound);
  EXPECT_EQ(Places(found), (List{"mx2.example.com 192.0.2.2:25"}));
}

TEST_F(PrimarySearchTest, NamesThatAreGoneHaveNoAddress) {
  EXPECT_EQ(Search(Hosts({"gone.example.com"})).standing, Standing::kNoAddress);
}

TEST_F(PrimarySearchTest, ADenialOfTheNameForIpv6IsNoneForIpv4) {
  zone_.SetDeniesAaaa(true);
  zone_.AddAddress("mx1.example.com", "192.0.2.1");
  zone_.AddMx("example.com", 5, "mx1.example.com");
  EXPECT_EQ(Places(Search(Hosts({"mx1.example.com"}))), (List{"mx1.example.com 192.0.2.1:25"}));
  EXPECT_EQ(Places(Search(Mx())), (List{"mx1.example.com 192.0.2.1:25"}));
}

TEST_F(PrimarySearchTest, BetterExchangesOnlyInOrderOfPreference) {
  zone_.AddMx("example.com", 30, "worse.example.org");
  zone_.AddMx("example.com", 20, "mx2.example.net");
  zone_.AddMx("example.com", 20, "as-good.example.org");
  zone_.AddMx("example.com", 10, "second.example.com");
  zone_.AddMx("example.com", 5, "first.example.com");
  zone_.AddAddress("first.example.com", "192.0.2.1");
  zone_.AddAddress("second.example.com", "192.0.2.2");
  zone_.AddAddress("as-good.example.org", "192.0.2.3");
  zone_.AddAddress("worse.example.org", "192.0.2.4");
  EXPECT_EQ(Places(Search(Mx())),
            (List{"first.example.com 192.0.2.1:25", "second.example.com 192.0.2.2:25"}));
}

TEST_F(PrimarySearchTest, AnAddressOfOursIsWeUnderAnotherName) {
  zone_.AddMx("example.com", 10, "first.example.com");
  zone_.AddMx("example.com", 20, "also-we.example.com");
  zone_.AddMx("example.com", 30, "worse.example.com");
  zone_.AddAddress("first.example.com", "192.0.2.1");
  zone_.AddAddress("also-we.example.com", "203.0.113.1");
  zone_.AddAddress("worse.example.com", "192.0.2.3");
  ours_ = {"203.0.113.1:25"};
  EXPECT_EQ(Places(Search(Mx())), (List{"first.example.com 192.0.2.1:25"}));
}

TEST_F(PrimarySearchTest, AllExchangesCountIfWeAreNone) {
  zone_.AddMx("example.com", 10, "a.example.com");
  zone_.AddMx("example.com", 20, "b.example.com");
  zone_.AddAddress("a.example.com", "192.0.2.1");
  zone_.AddAddress("b.example.com", "192.0.2.2");
  EXPECT_EQ(Search(Mx()).hosts.size(), 2u);
}

TEST_F(PrimarySearchTest, NobodyBetterThanWeIsAVerdictOfItsOwn) {
  zone_.AddMx("example.com", 10, "mx2.example.net");
  zone_.AddMx("example.com", 20, "worse.example.com");
  zone_.AddAddress("worse.example.com", "192.0.2.2");
  EXPECT_EQ(Search(Mx()).standing, Standing::kBestMx);
}

TEST_F(PrimarySearchTest, NobodyBetterByAddressEither) {
  zone_.AddMx("example.com", 10, "we.example.com");
  zone_.AddAddress("we.example.com", "203.0.113.1");
  ours_ = {"203.0.113.1:25"};
  EXPECT_EQ(Search(Mx()).standing, Standing::kBestMx);
}

TEST_F(PrimarySearchTest, NoMxMeansTheDomainItself) {
  zone_.AddAddress("example.com", "192.0.2.1");
  EXPECT_EQ(Places(Search(Mx())), (List{"example.com 192.0.2.1:25"}));
}

TEST_F(PrimarySearchTest, NullMxAndVanishedDomainsHaveNoAddress) {
  EXPECT_EQ(Search(Mx()).standing, Standing::kNoAddress);
  zone_.AddMx("example.com", 0, "");
  zone_.AddAddress("example.com", "192.0.2.1");
  const FoundPrimaries found = Search(Mx());
  EXPECT_EQ(found.standing, Standing::kNoAddress) << "its own address is not to be used";
  EXPECT_NE(found.reason.find("null MX"), std::string::npos);
}

TEST_F(PrimarySearchTest, EqualExchangesAreShuffledAndBothTried) {
  std::set<std::string> first;
  for (int host = 0; host < 3; ++host) {
    const std::string name = std::string(1, static_cast<char>('a' + host)) + ".example.com";
    zone_.AddMx("example.com", 10, name);
    zone_.AddAddress(name, "192.0.2." + std::to_string(host + 1));
  }
  for (int round = 0; round < 50; ++round) {
    const FoundPrimaries found = Search(Mx());
    ASSERT_EQ(found.hosts.size(), 3u);
    first.insert(found.hosts[0].name);
    questions_ = 0;
  }
  EXPECT_EQ(first.size(), 3u);
  before_ = Search(Mx());
  for (int round = 0; round < 20; ++round) {
    questions_ = 0;
    EXPECT_EQ(Places(Search(Mx())), Places(before_)) << "nothing has changed";
  }
}

TEST_F(PrimarySearchTest, AliasesAreFollowedToABound) {
  zone_.SetFollowsAliases(false);
  zone_.AddAlias("example.com", "hosted.example.org");
  zone_.AddMx("hosted.example.org", 10, "mx.example.org");
  zone_.AddAlias("mx.example.org", "real.example.org");
  zone_.AddAddress("real.example.org", "192.0.2.1");
  EXPECT_EQ(Places(Search(Mx())), (List{"mx.example.org 192.0.2.1:25"}));
  zone_.AddAlias("loop1.example", "loop2.example");
  zone_.AddAlias("loop2.example", "loop1.example");
  EXPECT_EQ(Search(Hosts({"loop1.example"})).standing, Standing::kFailed);
}

TEST_F(PrimarySearchTest, DnsThatFailsSaysNothing) {
  for (const DnsZone::Mood mood : {DnsZone::Mood::kFails, DnsZone::Mood::kSilent}) {
    zone_.SetMood(mood);
    EXPECT_EQ(Search(Mx()).standing, Standing::kFailed);
    EXPECT_EQ(Search(Hosts({"mx1.example.com"})).standing, Standing::kFailed);
    EXPECT_FALSE(Search(Mx()).reason.empty());
  }
}

TEST_F(PrimarySearchTest, AHostThatCannotBeAskedKeepsWhereItWas) {
  zone_.AddAddress("mx1.example.com", "192.0.2.1");
  zone_.AddAddress("mx2.example.com", "192.0.2.2");
  before_ = Search(Hosts({"mx1.example.com", "mx2.example.com"}));
  zone_.Remove("mx1.example.com");
  zone_.AddAlias("mx1.example.com", "mx1.example.com");
  const FoundPrimaries found = Search(Hosts({"mx1.example.com", "mx2.example.com"}));
  EXPECT_EQ(Places(found), Places(before_));
  EXPECT_EQ(found.ttl, absl::ZeroDuration()) << "to be asked again soon";
}

TEST_F(PrimarySearchTest, OnlyPlacesThatAreAllowed) {
  zone_.AddAddress("mx1.example.com", "192.0.2.1");
  zone_.AddAddress("mx1.example.com", "2001:db8::1");
  refused_ = {"192.0.2.1:25"};
  EXPECT_EQ(Places(Search(Hosts({"mx1.example.com"}))), (List{"mx1.example.com [2001:db8::1]:25"}));
  refused_.insert("[2001:db8::1]:25");
  EXPECT_EQ(Search(Hosts({"mx1.example.com"})).standing, Standing::kNotAllowed);
}

TEST_F(PrimarySearchTest, NeverOurselves) {
  zone_.AddAddress("mx1.example.com", "203.0.113.1");
  zone_.AddAddress("mx1.example.com", "192.0.2.1");
  ours_ = {"203.0.113.1:25", "192.0.2.5:25"};
  EXPECT_EQ(Places(Search(Hosts({"mx1.example.com"}))), (List{"mx1.example.com 192.0.2.1:25"}));
  EXPECT_EQ(Search(Hosts({"192.0.2.5"})).standing, Standing::kSelf);
}

TEST_F(PrimarySearchTest, CrowdsAreCut) {
  for (int host = 0; host < 100; ++host) {
    const std::string name = "mx" + std::to_string(host) + ".example.com";
    zone_.AddMx("example.com", static_cast<uint16_t>(host), name);
    for (int address = 0; address < 5; ++address) {
      zone_.AddAddress(name, "10.0." + std::to_string(host) + "." + std::to_string(address + 1));
    }
  }
  const FoundPrimaries found = Search(Mx());
  EXPECT_EQ(found.hosts.size(), PrimarySearch::kAddressesMax);
  EXPECT_EQ(found.hosts[0].name, "mx0.example.com") << "the best are kept";
}

}  // namespace
}  // namespace backstay
