// tests/io/uring/dns_client_test.cc -- servers that are silent, lie, or send us to TCP.
#include "io/uring/dns_client.h"

#include <gtest/gtest.h>

#include "core/dns/answer.h"
#include "io/uring/uring_io.h"
#include "tests/support/dns_responder.h"

namespace backstay {
namespace {

class UringDns : public testing::Test {
 protected:
  UringDns() {
    UringOptions options;
    options.dns_servers = responder_.servers();
    auto made = MakeUringIo(options);
    EXPECT_TRUE(made.ok());
    io_ = std::move(made).value();
  }
  // The reply; empty for a failure.
  std::string Ask(std::string_view name, DnsType type) {
    std::string reply;
    struct Asked {
      void OnReply(const IoResult& result) {
        error = result.error();
        bytes.assign(AsText(result.lent()));
      }
      IoError error = IoError::kNone;
      std::string bytes;
      Completion<&Asked::OnReply> op{this};
    } asked;
    io_->Ask(&asked.op, name, type);
    const Instant end = io_->Now() + absl::Seconds(20);
    while (asked.op.in_flight && io_->Now() < end) {
      responder_.Poll();
      io_->Turn(io_->Now() + absl::Milliseconds(5));
    }
    if (asked.op.in_flight) {
      ADD_FAILURE() << "no answer and no time-out";
      io_->Cancel(&asked.op);
      io_->Turn(io_->Now());
    }
    error_ = asked.error;
    return asked.bytes;
  }
  DnsAnswer Parsed(std::string_view name, DnsType type) {
    return ParseDnsAnswer(AsBytes(Ask(name, type)), name, type);
  }

  DnsZone zone_;
  DnsResponder responder_{zone_};
  std::unique_ptr<Io> io_;
  IoError error_ = IoError::kNone;
};

TEST_F(UringDns, ATruncatedReplyIsAskedForByTcp) {
  zone_.AddMx("example.com", 10, "mx1.example.com");
  responder_.truncates = true;
  EXPECT_EQ(Parsed("example.com", DnsType::kMx).kind, DnsAnswer::Kind::kFound);
  EXPECT_EQ(responder_.questions_by_tcp, 1u);
}

TEST_F(UringDns, ALongReplyComesWhole) {
  responder_.truncates = true;
  for (int host = 0; host < 200; ++host) {
    zone_.AddMx("example.com", 10, "mx" + std::to_string(host) + ".a-rather-long.example.com");
  }
  EXPECT_EQ(Parsed("example.com", DnsType::kMx).exchanges.size(), 200u);
}

TEST_F(UringDns, ForgedRepliesAreNotTaken) {
  zone_.AddAddress("mx1.example.com", "192.0.2.1");
  responder_.forged = {DnsHeader(0x8180, 1, 1) + DnsQuestionPart("mx1.example.com", DnsType::kA) +
                       DnsRecord("mx1.example.com", DnsType::kA, 60, "\x0a\x06\x06\x06")};
  responder_.answers_another_name = true;
  const DnsAnswer answer = Parsed("mx1.example.com", DnsType::kA);
  ASSERT_EQ(answer.addresses.size(), 1u);
  EXPECT_EQ(answer.addresses[0].AddressString(), "192.0.2.1");
}

TEST_F(UringDns, SilenceTimesOutAndTheNextQuestionIsAnswered) {
  zone_.SetMood(DnsZone::Mood::kSilent);
  const Instant before = io_->Now();
  EXPECT_EQ(Ask("mx1.example.com", DnsType::kA), "");
  EXPECT_EQ(error_, IoError::kTimedOut);
  EXPECT_LT(io_->Now() - before, absl::Seconds(16));
  EXPECT_GE(zone_.questions(), 2u) << "a lost packet is sent again";
  zone_.SetMood(DnsZone::Mood::kAnswers);
  zone_.AddAddress("mx1.example.com", "192.0.2.1");
  EXPECT_EQ(Parsed("mx1.example.com", DnsType::kA).kind, DnsAnswer::Kind::kFound);
}

TEST_F(UringDns, NobodyThereIsRefusedAtOnce) {
  UringOptions options;
  options.dns_servers = "127.0.0.1:1";
  auto made = MakeUringIo(options);
  ASSERT_TRUE(made.ok());
  io_ = std::move(made).value();
  EXPECT_EQ(Ask("mx1.example.com", DnsType::kA), "");
  EXPECT_EQ(error_, IoError::kRefused);
}

TEST_F(UringDns, ServersThatAreNoneAreNamed) {
  UringOptions options;
  options.dns_servers = "not an address";
  EXPECT_FALSE(MakeUringIo(options).ok());
}

TEST_F(UringDns, AnIoMayEndWithoutHavingAskedAnybody) {
  UringOptions options;
  options.dns_servers = responder_.servers();
  EXPECT_TRUE(MakeUringIo(options).ok());
}

}  // namespace
}  // namespace backstay
