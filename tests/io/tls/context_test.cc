// tests/io/tls/context_test.cc -- which certificate a client gets, which versions and ciphers.
#include "io/tls/context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <optional>

#include "tests/io/tls/tls_pair.h"

namespace backstay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using State = TlsSession::State;

class TlsContextTest : public testing::Test {
 protected:
  // The label of the certificate that the client was shown; nothing: no handshake.
  std::optional<std::string> Shown(const TlsContext& context, RawClient& client,
                                   const std::string& name) {
    TlsSession server(context, TlsSession::Server{keys_});
    if (client.Connect(server, name) != State::kOpen) {
      return std::nullopt;
    }
    const bssl::UniquePtr<X509> certificate(SSL_get_peer_certificate(client.ssl()));
    std::array<char, 64> label{};
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName,
                              label.data(), label.size());
    return label.data();
  }
  static void KnowOnly(RawClient& client, uint16_t scheme) {
    SSL_CTX_set_verify_algorithm_prefs(client.settings(), &scheme, 1);
  }
  static void SpeakOnly(RawClient& client, uint16_t version) {
    SSL_CTX_set_min_proto_version(client.settings(), version);
    SSL_CTX_set_max_proto_version(client.settings(), version);
  }

  const TestFolder folder_;
  const TicketKeys keys_ = FixedKeys();
};

TEST_F(TlsContextTest, EcdsaFirstAndRsaForWhoKnowsNothingElse) {
  const TestCertificate rsa(folder_.path(), "rsa", {.key = TestCertificate::Key::kRsa});
  const TestCertificate ecdsa(folder_.path(), "ecdsa", {.key = TestCertificate::Key::kP256});
  for (const auto& files :
       {std::vector{rsa.files(), ecdsa.files()}, std::vector{ecdsa.files(), rsa.files()}}) {
    const auto context = Served(files);
    for (const uint16_t version : std::initializer_list<uint16_t>{TLS1_2_VERSION, TLS1_3_VERSION}) {
      RawClient modern;
      SpeakOnly(modern, version);
      EXPECT_EQ(Shown(*context, modern, "mx2.example.net"), "ecdsa");
      RawClient old;
      SpeakOnly(old, version);
      KnowOnly(old, SSL_SIGN_RSA_PSS_RSAE_SHA256);
      EXPECT_EQ(Shown(*context, old, "mx2.example.net"), "rsa");
    }
    RawClient no_suite;
    SpeakOnly(no_suite, TLS1_2_VERSION);
    SSL_CTX_set_strict_cipher_list(no_suite.settings(), "ECDHE-RSA-AES128-GCM-SHA256");
    EXPECT_EQ(Shown(*context, no_suite, ""), "rsa");
  }
}

TEST_F(TlsContextTest, ACurveThatTheClientDoesNotKnowIsNotUsed) {
  const TestCertificate p384(folder_.path(), "p384", {.key = TestCertificate::Key::kP384});
  const TestCertificate rsa(folder_.path(), "rsa", {.key = TestCertificate::Key::kRsa});
  const auto context = Served({p384.files(), rsa.files()});
  RawClient any;
  EXPECT_EQ(Shown(*context, any, ""), "p384");
  RawClient small;
  const std::array<uint16_t, 2> schemes = {SSL_SIGN_ECDSA_SECP256R1_SHA256,
                                           SSL_SIGN_RSA_PSS_RSAE_SHA256};
  SSL_CTX_set_verify_algorithm_prefs(small.settings(), schemes.data(), schemes.size());
  EXPECT_EQ(Shown(*context, small, ""), "rsa");
}

TEST_F(TlsContextTest, TheNameDecidesAndOtherNamesGetOurs) {
  const TestCertificate other(folder_.path(), "other", {.names = {"*.example.org"}});
  const TestCertificate ours(folder_.path(), "ours", {.names = {"mx2.example.net"}});
  const auto context = Served({other.files(), ours.files()});
  const std::vector<std::pair<std::string, std::string>> cases = {{"mx.example.org", "other"},
                                                                  {"MX.EXAMPLE.ORG", "other"},
                                                                  {"mx2.example.net", "ours"},
                                                                  {"elsewhere.test", "ours"},
                                                                  {"", "ours"}};
  for (const auto& [name, label] : cases) {
    RawClient client;
    EXPECT_EQ(Shown(*context, client, name), label) << name;
  }
}

TEST_F(TlsContextTest, ACertificateOfAnotherNameIsBetterThanNone) {
  const TestCertificate only(folder_.path(), "only", {.names = {"unrelated.test"}});
  const auto context = Served({only.files()});
  RawClient client;
  EXPECT_EQ(Shown(*context, client, "mx2.example.net"), "only");
  RawClient stranger;
  KnowOnly(stranger, SSL_SIGN_RSA_PSS_RSAE_SHA256);
  EXPECT_EQ(Shown(*context, stranger, "mx2.example.net"), std::nullopt);
}

TEST_F(TlsContextTest, OldVersionsAndWeakCiphersAreRefused) {
  const TestCertificate rsa(folder_.path(), "rsa", {.key = TestCertificate::Key::kRsa});
  const auto context = Served({rsa.files()});
  for (const uint16_t version : std::initializer_list<uint16_t>{TLS1_VERSION, TLS1_1_VERSION}) {
    RawClient client;
    SpeakOnly(client, version);
    EXPECT_EQ(Shown(*context, client, ""), std::nullopt);
  }
  struct Case {
    const char* cipher;
    bool taken;
  };
  for (const Case& row : {Case{"ECDHE-RSA-AES128-GCM-SHA256", true},
                          {"ECDHE-RSA-CHACHA20-POLY1305", true},
                          {"ECDHE-RSA-AES256-SHA", true},
                          {"AES128-GCM-SHA256", false},  // no forward secrecy
                          {"DES-CBC3-SHA", false}}) {
    RawClient client;
    SpeakOnly(client, TLS1_2_VERSION);
    ASSERT_EQ(SSL_CTX_set_strict_cipher_list(client.settings(), row.cipher), 1);
    EXPECT_EQ(Shown(*context, client, "").has_value(), row.taken) << row.cipher;
  }
}

TEST_F(TlsContextTest, OutlivedByItsSessions) {
  const TestCertificate made(folder_.path(), "made");
  auto context = Served({made.files()});
  const auto client_context = Trusting(made.files().certificate);
  TlsPair pair(*context, keys_, *client_context, {.host = "mx2.example.net"});
  context.reset();
  EXPECT_TRUE(pair.Connect());
}

TEST_F(TlsContextTest, WarnsOfTimes) {
  const TestCertificate made(folder_.path(), "made",
                             {.begins = absl::ZeroDuration(), .ends = absl::Hours(24 * 30)});
  const auto context = Served({made.files()});
  const WallTime now = WallTime::FromNanoseconds(absl::GetCurrentTimeNanos());
  EXPECT_THAT(context->Warnings(now + absl::Minutes(1)), IsEmpty());
  EXPECT_THAT(context->Warnings(now - absl::Hours(1)),
              ElementsAre(HasSubstr("made.pem: the certificate is not valid before")));
  EXPECT_THAT(context->Warnings(now + absl::Hours(24 * 24)),
              ElementsAre(HasSubstr("made.pem: the certificate ends on")));
  EXPECT_FALSE(context->Expired(now + absl::Hours(24 * 29)));
  EXPECT_THAT(context->Warnings(now + absl::Hours(24 * 31)),
              ElementsAre(HasSubstr("made.pem: the certificate expired on")));
  EXPECT_TRUE(context->Expired(now + absl::Hours(24 * 31)));
  EXPECT_FALSE((*TlsContext::MakeClient({}))->Expired(now));  // it shows none
}

TEST_F(TlsContextTest, OneBadFileRefusesAll) {
  const TestCertificate good(folder_.path(), "good");
  const auto context = TlsContext::MakeServer(
      {.certificates = {good.files(), {folder_.File("x"), ""}}, .hostname = ""});
  EXPECT_THAT(std::string(context.status().message()), HasSubstr("No such file"));
  const auto client =
      TlsContext::MakeClient({.certificate = std::nullopt, .trust_file = folder_.File("x")});
  EXPECT_THAT(std::string(client.status().message()), HasSubstr("x: no certificates to trust"));
  ASSERT_EQ(mkfifo(folder_.File("x").c_str(), 0600), 0);  // nobody writes to it
  EXPECT_FALSE(
      TlsContext::MakeClient({.certificate = std::nullopt, .trust_file = folder_.File("x")}).ok());
}

}  // namespace
}  // namespace backstay
