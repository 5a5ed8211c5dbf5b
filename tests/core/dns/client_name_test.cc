// tests/core/dns/client_name_test.cc -- a name counts if it leads back to the address.
#include "core/dns/client_name.h"

#include <gtest/gtest.h>

#include "tests/support/dns_zone.h"

namespace backstay {
namespace {

class ClientNameTest : public testing::Test {
 protected:
  std::string NameOf(const std::string& address) { return Searched(address).name(); }
  bool IsNameless(const std::string& address) { return Searched(address).is_nameless(); }
  ClientNameSearch Searched(const std::string& address) {
    ClientNameSearch search(*SocketAddress::Parse(address, 40000));
    EXPECT_FALSE(search.is_nameless()) << "nobody was asked yet";
    for (int questions = 0; search.question() != nullptr; ++questions) {
      if (questions > 20) {
        ADD_FAILURE() << "questions without end";
        break;
      }
      const auto reply = zone_.Answer(search.question()->name, search.question()->type);
      if (reply.has_value()) {
        search.OnReply(AsBytes(*reply));
      } else {
        search.OnNoReply();
      }
    }
    return search;
  }
  DnsZone zone_;
};

TEST_F(ClientNameTest, ConfirmedNamesOfBothFamilies) {
  zone_.AddPointer("192.0.2.1", "Mail.Example.NET");
  zone_.AddAddress("mail.example.net", "192.0.2.9");
  zone_.AddAddress("mail.example.net", "192.0.2.1");
  EXPECT_EQ(NameOf("192.0.2.1"), "mail.example.net");
  zone_.AddPointer("2001:db8::1", "six.example.net");
  zone_.AddAddress("six.example.net", "2001:db8::1");
  EXPECT_EQ(NameOf("2001:db8::1"), "six.example.net");
}

TEST_F(ClientNameTest, NothingElseIsAName) {
  EXPECT_EQ(NameOf("192.0.2.1"), "") << "none";
  zone_.AddPointer("192.0.2.2", "somebody.else.example");
  EXPECT_EQ(NameOf("192.0.2.2"), "") << "a name that does not exist";
  zone_.AddAddress("somebody.else.example", "192.0.2.77");
  EXPECT_EQ(NameOf("192.0.2.2"), "") << "a name that is another's";
  zone_.AddPointer("192.0.2.3", "bad name.example");
  zone_.AddAddress("bad name.example", "192.0.2.3");
  EXPECT_EQ(NameOf("192.0.2.3"), "") << "no name of a host";
}

TEST_F(ClientNameTest, OneOfSeveralIsEnoughAndCrowdsAreCut) {
  zone_.AddPointer("192.0.2.1", "other.example");
  zone_.AddPointer("192.0.2.1", "right.example");
  zone_.AddAddress("right.example", "192.0.2.1");
  EXPECT_EQ(NameOf("192.0.2.1"), "right.example");
  for (int count = 0; count < 100; ++count) {
    zone_.AddPointer("192.0.2.4", "n" + std::to_string(count) + ".example");
  }
  EXPECT_EQ(NameOf("192.0.2.4"), "");
  EXPECT_LT(zone_.questions(), 12u);
}

TEST_F(ClientNameTest, DelegationByAliasIsFollowed) {  // RFC 2317
  zone_.SetFollowsAliases(false);
  zone_.AddAlias("1.2.0.192.in-addr.arpa", "1.0-63.2.0.192.in-addr.arpa");
  zone_.AddPointerNamed("1.0-63.2.0.192.in-addr.arpa", "mail.example.net");
  zone_.AddAddress("mail.example.net", "192.0.2.1");
  EXPECT_EQ(NameOf("192.0.2.1"), "mail.example.net");
}

// The form of RFC 2317 itself; a host's name has no such letter.
TEST_F(ClientNameTest, DelegationByAliasMayHaveASlash) {
  for (const bool follows : {false, true}) {
    zone_.SetFollowsAliases(follows);
    EXPECT_EQ(NameOf("192.0.2.5"), "") << "not there yet";
    zone_.AddAlias("5.2.0.192.in-addr.arpa", "5.0/25.2.0.192.in-addr.arpa");
    zone_.AddPointerNamed("5.0/25.2.0.192.in-addr.arpa", "mail.example.net");
    zone_.AddAddress("mail.example.net", "192.0.2.5");
    EXPECT_EQ(NameOf("192.0.2.5"), "mail.example.net");
    zone_.Remove("5.2.0.192.in-addr.arpa");
    zone_.Remove("5.0/25.2.0.192.in-addr.arpa");
  }
  zone_.AddPointer("192.0.2.6", "a/b.example.net");
  zone_.AddAddress("a/b.example.net", "192.0.2.6");
  EXPECT_EQ(NameOf("192.0.2.6"), "");
}

TEST_F(ClientNameTest, ADnsThatFailsGivesNoName) {
  for (const DnsZone::Mood mood : {DnsZone::Mood::kFails, DnsZone::Mood::kSilent}) {
    zone_.SetMood(mood);
    EXPECT_EQ(NameOf("192.0.2.1"), "");
    EXPECT_FALSE(IsNameless("192.0.2.1")) << "nobody knows";
  }
}

TEST_F(ClientNameTest, NamelessIsWhoHasNoNameThatLeadsBack) {
  EXPECT_TRUE(IsNameless("192.0.2.1")) << "none";
  zone_.AddAddress("1.2.0.192.in-addr.arpa", "192.0.2.1");
  EXPECT_TRUE(IsNameless("192.0.2.1")) << "none, though there is something";
  zone_.AddPointer("192.0.2.2", "client.example");
  EXPECT_TRUE(IsNameless("192.0.2.2")) << "a name that does not exist";
  zone_.AddAddress("client.example", "2001:db8::2");
  EXPECT_TRUE(IsNameless("192.0.2.2")) << "a name with addresses of another kind";
  zone_.AddAddress("client.example", "192.0.2.77");
  EXPECT_TRUE(IsNameless("192.0.2.2")) << "a name that is another's";
  zone_.AddAddress("client.example", "192.0.2.2");
  EXPECT_FALSE(IsNameless("192.0.2.2"));
  EXPECT_TRUE(IsNameless("2001:db8::9"));
}

TEST_F(ClientNameTest, NobodyIsNamelessWhileAQuestionIsOpen) {
  zone_.AddPointer("192.0.2.1", "client.example");
  zone_.AddPointer("192.0.2.1", "other.example");
  EXPECT_TRUE(IsNameless("192.0.2.1"));
  for (const char* name : {"client.example", "other.example", "1.2.0.192.in-addr.arpa"}) {
    zone_.SetSilent(name, true);
    EXPECT_FALSE(IsNameless("192.0.2.1")) << name;
    zone_.SetSilent(name, false);
  }
  for (int count = 0; count < 5; ++count) {
    zone_.AddPointer("192.0.2.2", "n" + std::to_string(count) + ".example");
  }
  EXPECT_FALSE(IsNameless("192.0.2.2")) << "not all names were asked for";
  zone_.AddPointer("192.0.2.3", "bad name.example");
  EXPECT_FALSE(IsNameless("192.0.2.3")) << "a reply that is damaged says nothing";
  zone_.SetFollowsAliases(false);
  for (int link = 0; link < 10; ++link) {
    const auto name = [](int number) { return "l" + std::to_string(number) + ".example"; };
    zone_.AddAlias(name(link), name(link + 1));
  }
  zone_.AddPointer("192.0.2.4", "l0.example");
  EXPECT_FALSE(IsNameless("192.0.2.4")) << "aliases that go on";
}

}  // namespace
}  // namespace backstay
