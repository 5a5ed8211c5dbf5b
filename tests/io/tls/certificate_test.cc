// tests/io/tls/certificate_test.cc -- what is read from PEM files, and what is said about bad ones.
#include "io/tls/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include "tests/support/certificates.h"

namespace backstay {
namespace {

using testing::HasSubstr;

std::string ErrorOf(const TlsFiles& files) {
  const auto loaded = TlsCertificate::Load(files);
  return loaded.ok() ? "" : std::string(loaded.status().message());
}

TEST(TlsCertificate, KnowsItsKindOfKey) {
  const TestFolder folder;
  using Key = TestCertificate::Key;
  struct Case {
    Key key;
    uint16_t scheme;
  };
  for (const Case& row : {Case{Key::kP256, SSL_SIGN_ECDSA_SECP256R1_SHA256},
                          {Key::kP384, SSL_SIGN_ECDSA_SECP384R1_SHA384},
                          {Key::kRsa, 0}}) {
    const TestCertificate made(folder.path(), "kind", {.key = row.key});
    const auto loaded = TlsCertificate::Load(made.files());
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ((*loaded)->signature_scheme(), row.scheme);
  }
  const TestCertificate odd(folder.path(), "odd", {.key = Key::kEd25519});
  EXPECT_THAT(ErrorOf(odd.files()), HasSubstr("odd-key.pem: this kind of key is not served"));
}

TEST(TlsCertificate, CoversItsNamesAndWildcards) {
  const TestFolder folder;
  const TestCertificate made(folder.path(), "names",
                             {.names = {"mx2.example.net", "*.mail.example.org"}});
  const auto loaded = TlsCertificate::Load(made.files());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  for (const char* name : {"mx2.example.net", "MX2.Example.NET", "a.mail.example.org"}) {
    EXPECT_TRUE((*loaded)->Covers(name)) << name;
  }
  for (const char* name :
       {"example.net", "x.mx2.example.net", "a.b.mail.example.org", "", "mail.example.org"}) {
    EXPECT_FALSE((*loaded)->Covers(name)) << name;
  }
}

TEST(TlsCertificate, KnowsItsTimes) {
  const TestFolder folder;
  const TestCertificate made(folder.path(), "times",
                             {.begins = absl::Hours(-2), .ends = absl::Hours(3)});
  const auto loaded = TlsCertificate::Load(made.files());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->not_after() - (*loaded)->not_before(), absl::Hours(5));
  const absl::Duration age =
      absl::Nanoseconds(absl::GetCurrentTimeNanos() - (*loaded)->not_before().nanoseconds());
  EXPECT_NEAR(absl::ToDoubleMinutes(age), 120, 1);
}

TEST(TlsCertificate, YearsBeyondNanosecondsNeverEnd) {
  const TestFolder folder;
  const TestCertificate made(folder.path(), "far", {.ends = absl::Hours(24 * 365) * 900});
  const auto loaded = TlsCertificate::Load(made.files());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->not_after(), WallTime::Max());
}

TEST(TlsCertificate, KeyOfAnotherCertificateIsNamed) {
  const TestFolder folder;
  const TestCertificate one(folder.path(), "one");
  const TestCertificate other(folder.path(), "other");
  const TestCertificate rsa(folder.path(), "rsa", {.key = TestCertificate::Key::kRsa});
  for (const TestCertificate* wrong : {&other, &rsa}) {
    EXPECT_THAT(
        ErrorOf({one.files().certificate, wrong->files().private_key}),
        HasSubstr(wrong->files().private_key +
                  ": not the private key of the first certificate in " + one.files().certificate));
  }
}

// BoringSSL refuses it, and would do so at the first client.
TEST(TlsCertificate, KeyUsageThatForbidsSignaturesIsNamed) {
  const TestFolder folder;
  const TestCertificate good(folder.path(), "good", {.key_usage = "digitalSignature"});
  EXPECT_EQ(ErrorOf(good.files()), "");
  const TestCertificate odd(folder.path(), "odd", {.key_usage = "keyAgreement"});
  EXPECT_THAT(ErrorOf(odd.files()), HasSubstr("odd.pem: not a certificate for TLS ("));
}

TEST(TlsCertificate, UnreadableFilesAreNamedWithAFix) {
  const TestFolder folder;
  const TestCertificate good(folder.path(), "good");
  const auto [certificate, key] = good.files();
  const std::string pem = ReadTextFile(certificate);
  WriteTextFile(folder.File("empty.pem"), "");
  WriteTextFile(folder.File("torn.pem"), pem + pem.substr(0, pem.size() / 2));
  std::string damaged = pem;
  damaged.replace(damaged.size() / 2, 4, "####");
  WriteTextFile(folder.File("damaged.pem"), damaged);
  std::string many;
  for (int count = 0; count < 11; ++count) {
    many += pem;
  }
  WriteTextFile(folder.File("many.pem"), many);
  WriteTextFile(folder.File("large.pem"), std::string(1_MiB + 1, '-'));
  ASSERT_EQ(mkfifo(folder.File("pipe.pem").c_str(), 0600), 0);
  struct Case {
    TlsFiles files;
    std::string wanted;
  };
  const std::vector<Case> cases = {
      {{folder.File("none.pem"), key}, "none.pem: No such file or directory; give the path"},
      {{certificate, folder.File("none.pem")},
       "none.pem: No such file or directory; give the path"},
      {{folder.File("pipe.pem"), key}, "pipe.pem: is no regular file; give the path"},
      {{certificate, folder.File("pipe.pem")}, "pipe.pem: is no regular file; give the path"},
      {{folder.path(), key}, folder.path() + ": is no regular file; give the path"},
      {{certificate, folder.path()}, folder.path() + ": is no regular file; give the path"},
      {{folder.File("large.pem"), key}, "large.pem: larger than 1 MiB"},
      {{folder.File("empty.pem"), key}, "empty.pem: no certificate in it"},
      {{key, key}, "good-key.pem: no certificate in it"},
      {{folder.File("torn.pem"), key}, "torn.pem: certificate number 2 cannot be read"},
      {{folder.File("damaged.pem"), key}, "damaged.pem: certificate number 1 cannot be read"},
      {{folder.File("many.pem"), key}, "many.pem: more than 10 certificates"},
      {{certificate, certificate}, "good.pem: no private key in it that can be read"},
      {{certificate, folder.File("empty.pem")}, "empty.pem: no private key in it that can be read"},
  };
  for (const Case& row : cases) {
    EXPECT_THAT(ErrorOf(row.files), HasSubstr(row.wanted));
  }
}

}  // namespace
}  // namespace backstay
