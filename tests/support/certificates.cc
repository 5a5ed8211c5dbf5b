// tests/support/certificates.cc -- X.509 by BoringSSL calls, no key ever committed.
#include "tests/support/certificates.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/digest.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "core/base/check.h"

namespace backstay {
namespace {

bssl::UniquePtr<EVP_PKEY> MakeKey(TestCertificate::Key kind) {
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  if (kind == TestCertificate::Key::kRsa) {
    bssl::UniquePtr<BIGNUM> exponent(BN_new());
    bssl::UniquePtr<RSA> rsa(RSA_new());
    ASSERT(BN_set_word(exponent.get(), RSA_F4) == 1);
    ASSERT(RSA_generate_key_ex(rsa.get(), 2048, exponent.get(), nullptr) == 1);
    ASSERT(EVP_PKEY_set1_RSA(key.get(), rsa.get()) == 1);
    return key;
  }
  if (kind == TestCertificate::Key::kEd25519) {
    std::array<uint8_t, 32> seed{};
    RAND_bytes(seed.data(), seed.size());
    return bssl::UniquePtr<EVP_PKEY>(
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
  }
  const int curve = kind == TestCertificate::Key::kP384 ? NID_secp384r1 : NID_X9_62_prime256v1;
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(curve));
  ASSERT(EC_KEY_generate_key(ec.get()) == 1);
  ASSERT(EVP_PKEY_set1_EC_KEY(key.get(), ec.get()) == 1);
  return key;
}

void AddExtension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  bssl::UniquePtr<X509_EXTENSION> extension(
      X509V3_EXT_nconf_nid(nullptr, &context, nid, value.c_str()));
  ASSERT(extension != nullptr);
  ASSERT(X509_add_ext(certificate, extension.get(), -1) == 1);
}

std::string AlternativeNames(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) {
    list += (list.empty() ? "" : ",") + (name.starts_with("IP:") ? name : "DNS:" + name);
  }
  return list;
}

}  // namespace

TestFolder::TestFolder()
    : path_((std::filesystem::temp_directory_path() / "backstay-test-XXXXXX").string()) {
  ASSERT(mkdtemp(path_.data()) != nullptr);
}

TestFolder::~TestFolder() {
  std::filesystem::remove_all(path_);
}

TestCertificate::TestCertificate(const std::string& directory, const std::string& label,
                                 const Options& options)
    : files_{directory + "/" + label + ".pem", directory + "/" + label + "-key.pem"},
      key_(MakeKey(options.key)),
      certificate_(X509_new()) {
  X509* certificate = certificate_.get();
  X509_set_version(certificate, 2);  // counts from 0
  uint32_t serial = 0;
  RAND_bytes(reinterpret_cast<uint8_t*>(&serial), sizeof(serial));
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial >> 1 | 1);
  X509_gmtime_adj(X509_get_notBefore(certificate), absl::ToInt64Seconds(options.begins));
  X509_gmtime_adj(X509_get_notAfter(certificate), absl::ToInt64Seconds(options.ends));
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const uint8_t*>(label.c_str()), -1, -1, 0);
  const TestCertificate& issuer = options.issuer == nullptr ? *this : *options.issuer;
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer.certificate_.get()));
  ASSERT(X509_set_pubkey(certificate, key_.get()) == 1);
  if (options.is_authority) {
    AddExtension(certificate, NID_basic_constraints, "critical,CA:TRUE");
  } else {
    AddExtension(certificate, NID_subject_alt_name, AlternativeNames(options.names));
  }
  if (!options.key_usage.empty()) {
    AddExtension(certificate, NID_key_usage, options.key_usage);
  }
  const bool own_digest = EVP_PKEY_id(issuer.key_.get()) == EVP_PKEY_ED25519;
  ASSERT(X509_sign(certificate, issuer.key_.get(), own_digest ? nullptr : EVP_sha256()) != 0);

  bssl::UniquePtr<BIO> file(BIO_new_file(files_.certificate.c_str(), "w"));
  ASSERT(PEM_write_bio_X509(file.get(), certificate) == 1);
  file.reset(BIO_new_file(files_.private_key.c_str(), "w"));
  ASSERT(PEM_write_bio_PrivateKey(file.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) ==
         1);
}

TestCertificate::~TestCertificate() = default;

void WriteTextFile(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  ASSERT(file != nullptr);
  ASSERT(std::fwrite(text.data(), 1, text.size(), file) == text.size());
  ASSERT(std::fclose(file) == 0);
}

std::string ReadTextFile(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  ASSERT(file != nullptr);
  std::string text;
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) {
    text.push_back(static_cast<char>(c));
  }
  std::fclose(file);
  return text;
}

}  // namespace backstay
