// tests/io/tls/trust_test.cc -- who is believed, and that nothing is read during a handshake.
#include "io/tls/trust.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>

#include "tests/io/tls/tls_pair.h"

namespace backstay {
namespace {

// An environment that names these, and nothing after the test.
class TrustTest : public testing::Test {
 protected:
  ~TrustTest() override {
    unsetenv("SSL_CERT_FILE");
    unsetenv("SSL_CERT_DIR");
  }
  bool Believes(const TlsContext& client) {
    const std::unique_ptr<const TlsContext> server = Served({own_.files()});
    const TicketKeys keys = FixedKeys();
    TlsPair pair(*server, keys, client, {.host = "mx2.example.net", .verify = TlsVerify::kHost});
    return pair.Connect();
  }

  const TestFolder folder_;
  const TestCertificate own_{folder_.path(), "own"};
};

TEST_F(TrustTest, ADirectoryIsReadOnceAndNotAgainInAHandshake) {
  std::optional<TestFolder> trusted(std::in_place);
  WriteTextFile(trusted->File("no-hash.pem"), ReadTextFile(own_.files().certificate));
  WriteTextFile(trusted->File("README"), "not a certificate\n");
  setenv("SSL_CERT_DIR", trusted->path().c_str(), 1);
  const auto client = TlsContext::MakeClient({});
  ASSERT_TRUE(client.ok()) << client.status();
  trusted.reset();
  EXPECT_TRUE(Believes(**client));
}

TEST_F(TrustTest, AFileIsEnoughAndTheSystemIsNotAsked) {
  setenv("SSL_CERT_FILE", own_.files().certificate.c_str(), 1);
  EXPECT_TRUE(Believes(**TlsContext::MakeClient({})));
  const TestCertificate other(folder_.path(), "other");
  setenv("SSL_CERT_FILE", other.files().certificate.c_str(), 1);
  EXPECT_FALSE(Believes(**TlsContext::MakeClient({})));
}

TEST_F(TrustTest, AFileThatIsNamedMustHaveSome) {
  setenv("SSL_CERT_FILE", folder_.File("none").c_str(), 1);
  const auto client = TlsContext::MakeClient({});
  EXPECT_THAT(std::string(client.status().message()),
              testing::HasSubstr("none: no certificates to trust in it"));
}

TEST_F(TrustTest, NobodyIsBelievedByDefaultWhoIsNoAuthority) {
  const auto client = TlsContext::MakeClient({});
  ASSERT_TRUE(client.ok()) << "also where no authorities are installed";
  EXPECT_FALSE(Believes(**client));
  setenv("SSL_CERT_DIR", folder_.File("no directory").c_str(), 1);
  EXPECT_FALSE(Believes(**TlsContext::MakeClient({})));
}

}  // namespace
}  // namespace backstay
