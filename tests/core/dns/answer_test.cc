// tests/core/dns/answer_test.cc -- what a reply says of a name, and that a bad one says nothing.
#include "core/dns/answer.h"

#include <gtest/gtest.h>

#include "core/base/random.h"
#include "tests/support/dns_zone.h"

namespace backstay {
namespace {

using Kind = DnsAnswer::Kind;

constexpr uint16_t kReply = 0x8180;

DnsAnswer Parse(const std::string& reply, std::string_view name, DnsType type) {
  return ParseDnsAnswer(AsBytes(reply), name, type);
}

std::string OneRecord(DnsType type, std::string_view data) {
  return DnsHeader(kReply, 1, 1) + DnsQuestionPart("a.example", type) +
         DnsRecord("a.example", type, 60, data);
}

TEST(DnsAnswer, AddressesOfBothFamilies) {
  DnsZone zone;
  zone.AddAddress("a.example", "192.0.2.1", 300);
  zone.AddAddress("a.example", "192.0.2.2", 60);
  zone.AddAddress("a.example", "2001:db8::1", 10);
  const DnsAnswer v4 = Parse(*zone.Answer("a.example", DnsType::kA), "a.example", DnsType::kA);
  EXPECT_EQ(v4.kind, Kind::kFound);
  EXPECT_EQ(v4.addresses.size(), 2u);
  EXPECT_EQ(v4.ttl, absl::Seconds(60)) << "the least";
  const DnsAnswer v6 =
      Parse(*zone.Answer("a.example", DnsType::kAaaa), "a.example", DnsType::kAaaa);
  ASSERT_EQ(v6.addresses.size(), 1u);
  EXPECT_EQ(v6.addresses[0].AddressString(), "2001:db8::1");
}

TEST(DnsAnswer, MappedAddressIsTheOneItMeans) {
  const std::string mapped =
      std::string(10, '\0') + "\xff\xff" + std::string("\xc0\x00\x02\x07", 4);
  const DnsAnswer answer = Parse(OneRecord(DnsType::kAaaa, mapped), "a.example", DnsType::kAaaa);
  ASSERT_EQ(answer.addresses.size(), 1u);
  EXPECT_EQ(answer.addresses[0].AddressString(), "192.0.2.7");
}

TEST(DnsAnswer, ExchangesInLowerCaseAndTheRootAsNoName) {
  DnsZone zone;
  zone.AddMx("a.example", 10, "MX1.Example.NET");
  zone.AddMx("a.example", 0, "");
  const DnsAnswer answer =
      Parse(*zone.Answer("a.example", DnsType::kMx), "a.example", DnsType::kMx);
  EXPECT_EQ(answer.exchanges, (std::vector<MailExchange>{{10, "mx1.example.net"}, {0, ""}}));
}

TEST(DnsAnswer, NoSuchNameAndNothingOfThisKindAreTold) {
  DnsZone zone;
  zone.AddAddress("a.example", "192.0.2.1");
  EXPECT_EQ(Parse(*zone.Answer("b.example", DnsType::kA), "b.example", DnsType::kA).kind,
            Kind::kNoName);
  EXPECT_EQ(Parse(*zone.Answer("a.example", DnsType::kMx), "a.example", DnsType::kMx).kind,
            Kind::kNoData);
}

TEST(DnsAnswer, AliasesAreFollowedInTheReplyAndNamedWhenTheyLeaveIt) {
  DnsZone zone;
  zone.AddAlias("a.example", "b.example", 20);
  zone.AddAlias("b.example", "c.example");
  zone.AddAddress("c.example", "192.0.2.3");
  DnsAnswer answer = Parse(*zone.Answer("a.example", DnsType::kA), "a.example", DnsType::kA);
  EXPECT_EQ(answer.kind, Kind::kFound);
  EXPECT_EQ(answer.ttl, absl::Seconds(20));
  zone.SetFollowsAliases(false);
  answer = Parse(*zone.Answer("a.example", DnsType::kA), "a.example", DnsType::kA);
  EXPECT_EQ(answer.kind, Kind::kAlias);
  EXPECT_EQ(answer.alias, "b.example");
}

TEST(DnsAnswer, NamesAndTexts) {
  DnsZone zone;
  zone.AddPointer("192.0.2.1", "Mail.example");
  const std::string reverse = "1.2.0.192.in-addr.arpa";
  EXPECT_EQ(Parse(*zone.Answer(reverse, DnsType::kPtr), reverse, DnsType::kPtr).names,
            (std::vector<std::string>{"mail.example"}));
  const auto text = [](const std::string& data) {
    return Parse(OneRecord(DnsType::kTxt, data), "a.example", DnsType::kTxt).texts;
  };
  using Texts = std::vector<std::string>;
  EXPECT_EQ(text("\x03one\x04 two"), Texts{"one two"});
  EXPECT_EQ(text("\x05"
                 "a\r\n\x80z"),
            Texts{"a???z"})
      << "no control byte of a stranger";
  EXPECT_EQ(text("\xff"
                 "cut"),
            Texts{"cut"})
      << "not beyond the record";
}

TEST(DnsAnswer, AliasesInACircleAreAFailure) {
  DnsZone zone;
  zone.AddAlias("a.example", "b.example");
  zone.AddAlias("b.example", "a.example");
  EXPECT_EQ(Parse(*zone.Answer("a.example", DnsType::kA), "a.example", DnsType::kA).kind,
            Kind::kFailed);
}

TEST(DnsAnswer, RecordsOfOtherNamesClassesAndLengthsDoNotCount) {
  const std::string question = DnsQuestionPart("a.example", DnsType::kA);
  const std::string foreign = DnsRecord("evil.example", DnsType::kA, 60, "\x0a\x01\x01\x01");
  std::string chaos = DnsRecord("a.example", DnsType::kA, 60, "\x0a\x01\x01\x01");
  chaos[DnsName("a.example").size() + 3] = 3;
  const std::string long_one = DnsRecord("a.example", DnsType::kA, 60, "\x0a\x01\x01\x01\x01");
  EXPECT_EQ(
      Parse(DnsHeader(kReply, 1, 2) + question + foreign + chaos, "a.example", DnsType::kA).kind,
      Kind::kNoData);
  EXPECT_EQ(Parse(DnsHeader(kReply, 1, 1) + question + long_one, "a.example", DnsType::kA).kind,
            Kind::kFailed);
}

TEST(DnsAnswer, NamesThatNoHostHasAreNoExchanges) {
  for (const std::string& bad : {std::string("mx one.example"), std::string("mx\0a.example", 12),
                                 std::string("mx\n.example"), std::string("\xc3\xa9.example")}) {
    const DnsAnswer answer =
        Parse(OneRecord(DnsType::kMx, DnsNumber(10) + DnsName(bad)), "a.example", DnsType::kMx);
    EXPECT_TRUE(answer.exchanges.empty()) << bad;
    EXPECT_EQ(answer.kind, Kind::kFailed);
  }
}

TEST(DnsAnswer, ATimeToLiveWithTheSignBitIsZero) {
  const std::string reply = DnsHeader(kReply, 1, 1) + DnsQuestionPart("a.example", DnsType::kA) +
                            DnsRecord("a.example", DnsType::kA, 0x80000001, "\x0a\x01\x01\x01");
  EXPECT_EQ(Parse(reply, "a.example", DnsType::kA).ttl, absl::ZeroDuration());
}

TEST(DnsAnswer, WhatIsNoReplyToThisQuestionFails) {
  DnsZone zone;
  zone.AddAddress("a.example", "192.0.2.1");
  const std::string good = *zone.Answer("a.example", DnsType::kA);
  const auto with = [&good](size_t at, char byte) {
    std::string changed = good;
    changed[at] = byte;
    return changed;
  };
  const struct {
    const char* what;
    std::string reply;
  } rows[] = {{"empty", ""},
              {"a header alone", good.substr(0, 12)},
              {"a question", with(2, '\x01')},
              {"another opcode", with(2, '\x90')},
              {"truncated", with(2, '\x83')},
              {"server failure", with(3, '\x82')},
              {"refused", with(3, '\x85')},
              {"two questions", with(5, 2)},
              {"another name", with(13, 'b')},
              {"another type", with(12 + 11 + 1, 28)},
              {"more records than there are", with(7, 9)},
              {"cut", good.substr(0, good.size() - 1)}};
  ASSERT_EQ(Parse(good, "a.example", DnsType::kA).kind, Kind::kFound);
  for (const auto& row : rows) {
    EXPECT_EQ(Parse(row.reply, "a.example", DnsType::kA).kind, Kind::kFailed) << row.what;
  }
}

TEST(DnsAnswer, PointersLeadBackOnly) {
  const std::string question = DnsQuestionPart("a.example", DnsType::kMx);
  const auto reply = [&](const std::string& data) {
    const std::string owner = "\xc0\x0c";  // the question's name
    return DnsHeader(kReply, 1, 1) + question + owner + DnsNumber(15) + DnsNumber(1) +
           DnsNumber(0) + DnsNumber(60) + DnsNumber(static_cast<uint16_t>(data.size())) + data;
  };
  const size_t data_at = 12 + question.size() + 12;
  const DnsAnswer good = Parse(reply(DnsNumber(5) + "\x02mx\xc0\x0c"), "a.example", DnsType::kMx);
  EXPECT_EQ(good.exchanges, (std::vector<MailExchange>{{5, "mx.a.example"}}));
  for (const size_t target : {data_at + 2, data_at + 4, size_t{0x3fff}}) {
    const std::string loop = DnsNumber(5) + DnsNumber(static_cast<uint16_t>(0xc000 | target));
    EXPECT_EQ(Parse(reply(loop), "a.example", DnsType::kMx).kind, Kind::kFailed) << target;
  }
}

TEST(DnsAnswer, AnyCutAndAnyChangedByteIsSurvived) {
  DnsZone zone;
  zone.AddAlias("a.example", "b.example");
  zone.AddMx("b.example", 10, "mx.example");
  const std::string good = *zone.Answer("a.example", DnsType::kMx);
  for (size_t bytes = 0; bytes < good.size(); ++bytes) {
    EXPECT_EQ(Parse(good.substr(0, bytes), "a.example", DnsType::kMx).kind, Kind::kFailed);
  }
  Random random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string changed = good;
    changed[static_cast<size_t>(random.Below(good.size()))] = static_cast<char>(random.Below(256));
    const DnsAnswer answer = Parse(changed, "a.example", DnsType::kMx);
    EXPECT_LE(answer.exchanges.size(), 1u);
  }
}

}  // namespace
}  // namespace backstay
