// tests/io/tls/ticket_keys_test.cc -- who can open which ticket, and until when.
#include "io/tls/ticket_keys.h"

#include <gtest/gtest.h>
#include <openssl/cipher.h>
#include <openssl/hmac.h>

#include <string>

namespace backstay {
namespace {

constexpr absl::Duration kPeriod = TicketKeys::kPeriod;
constexpr TicketSecret kSecret = {7};

Instant After(absl::Duration time) {
  return Instant() + absl::Hours(100) + time;
}

struct Ticket {
  std::array<uint8_t, 16> name{};
  std::array<uint8_t, 16> iv{};
  std::string cipher;
  std::array<uint8_t, 32> hmac{};
};

constexpr std::string_view kState = "what the server wants to remember of a session";

Ticket Seal(const TicketKeys& keys) {
  Ticket ticket;
  bssl::ScopedEVP_CIPHER_CTX cipher;
  bssl::ScopedHMAC_CTX hmac;
  EXPECT_TRUE(keys.Seal(ticket.name.data(), ticket.iv.data(), cipher.get(), hmac.get()));
  ticket.cipher.resize(kState.size() + 32);
  auto* out = reinterpret_cast<uint8_t*>(ticket.cipher.data());
  int bytes = 0;
  int last = 0;
  EVP_EncryptUpdate(cipher.get(), out, &bytes, reinterpret_cast<const uint8_t*>(kState.data()),
                    static_cast<int>(kState.size()));
  EVP_EncryptFinal_ex(cipher.get(), out + bytes, &last);
  ticket.cipher.resize(static_cast<size_t>(bytes + last));
  HMAC_Update(hmac.get(), out, ticket.cipher.size());
  HMAC_Final(hmac.get(), ticket.hmac.data(), nullptr);
  return ticket;
}

// As BoringSSL does it: the key by its name, the HMAC, then the content.
TicketKeys::Opened Open(const TicketKeys& keys, const Ticket& ticket) {
  bssl::ScopedEVP_CIPHER_CTX cipher;
  bssl::ScopedHMAC_CTX hmac;
  const TicketKeys::Opened opened =
      keys.Open(ticket.name.data(), ticket.iv.data(), cipher.get(), hmac.get());
  if (opened == TicketKeys::Opened::kUnknown) {
    return opened;
  }
  const auto* in = reinterpret_cast<const uint8_t*>(ticket.cipher.data());
  std::array<uint8_t, 32> check{};
  HMAC_Update(hmac.get(), in, ticket.cipher.size());
  HMAC_Final(hmac.get(), check.data(), nullptr);
  EXPECT_EQ(check, ticket.hmac);
  std::string plain(ticket.cipher.size() + 16, '\0');
  auto* out = reinterpret_cast<uint8_t*>(plain.data());
  int bytes = 0;
  int last = 0;
  EVP_DecryptUpdate(cipher.get(), out, &bytes, in, static_cast<int>(ticket.cipher.size()));
  EXPECT_EQ(EVP_DecryptFinal_ex(cipher.get(), out + bytes, &last), 1);
  EXPECT_EQ(plain.substr(0, static_cast<size_t>(bytes + last)), kState);
  return opened;
}

TEST(TicketKeys, TwoPeriodsThenNeverAgain) {
  TicketKeys keys(kSecret, After(absl::ZeroDuration()));
  const Ticket ticket = Seal(keys);
  struct Case {
    absl::Duration after;
    TicketKeys::Opened opened;
  };
  for (const Case& row : {Case{absl::ZeroDuration(), TicketKeys::Opened::kCurrent},
                          {kPeriod - absl::Nanoseconds(1), TicketKeys::Opened::kCurrent},
                          {kPeriod, TicketKeys::Opened::kPrevious},
                          {2 * kPeriod - absl::Nanoseconds(1), TicketKeys::Opened::kPrevious},
                          {2 * kPeriod, TicketKeys::Opened::kUnknown},
                          {1000 * kPeriod, TicketKeys::Opened::kUnknown}}) {
    keys.AdvanceTo(After(row.after));
    EXPECT_EQ(Open(keys, ticket), row.opened) << row.after;
  }
}

TEST(TicketKeys, CopiesThatAdvanceByThemselvesAgree) {
  const TicketKeys origin(kSecret, After(absl::ZeroDuration()));
  TicketKeys often = origin;
  TicketKeys seldom = origin;
  for (int step = 1; step <= 20; ++step) {
    often.AdvanceTo(After(step * kPeriod / 4));
  }
  seldom.AdvanceTo(After(5 * kPeriod));
  EXPECT_EQ(Open(seldom, Seal(often)), TicketKeys::Opened::kCurrent);
  EXPECT_EQ(Open(often, Seal(seldom)), TicketKeys::Opened::kCurrent);
}

TEST(TicketKeys, ASecretOfItsOwnOpensNothingOfOthers) {
  const TicketKeys ours(kSecret, After(absl::ZeroDuration()));
  const TicketKeys others(NewTicketSecret(), After(absl::ZeroDuration()));
  EXPECT_EQ(Open(others, Seal(ours)), TicketKeys::Opened::kUnknown);
  EXPECT_NE(NewTicketSecret(), NewTicketSecret());
}

// There is no previous key at the start, not even one of zeros.
TEST(TicketKeys, ANameOfZerosIsUnknown) {
  const TicketKeys keys(kSecret, After(absl::ZeroDuration()));
  EXPECT_EQ(Open(keys, Ticket()), TicketKeys::Opened::kUnknown);
}

TEST(TicketKeys, EachTicketHasAnIvOfItsOwn) {
  const TicketKeys keys(kSecret, After(absl::ZeroDuration()));
  EXPECT_NE(Seal(keys).iv, Seal(keys).iv);
}

}  // namespace
}  // namespace backstay
