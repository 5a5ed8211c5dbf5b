// io/tls/certificate.cc -- reads PEM, compares certificate and key, and says what is wrong.
#include "io/tls/certificate.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <utility>

#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/base/units.h"
#include "io/file/text_file.h"

namespace backstay {
namespace {

// A public chain has two to four; a file with more is a trust store by mistake.
constexpr size_t kChainMax = 10;
constexpr size_t kPemBytesMax = 1_MiB;  // a hundred times what they have

using Chain = std::vector<bssl::UniquePtr<X509>>;

absl::StatusOr<std::string> ReadPem(const std::string& path) {
  absl::StatusOr<std::string> text = ReadTextFile(path, kPemBytesMax);
  if (!text.ok()) {
    return absl::Status(text.status().code(),
                        fmt::format("{}; give the path of a PEM file that the daemon may read",
                                    std::string(text.status().message())));
  }
  return text;
}

bssl::UniquePtr<BIO> ReaderOf(const std::string& pem) {
  bssl::UniquePtr<BIO> reader(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  ASSERT(reader != nullptr);
  return reader;
}

// The end of a PEM file is reported as an error like any other.
bool AtEndOfPem() {
  const uint32_t error = ERR_peek_last_error();
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

absl::StatusOr<Chain> ReadChain(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string pem, ReadPem(path));
  const bssl::UniquePtr<BIO> file = ReaderOf(pem);
  Chain chain;
  while (chain.size() <= kChainMax) {
    bssl::UniquePtr<X509> certificate(PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr));
    if (certificate == nullptr) {
      break;
    }
    chain.push_back(std::move(certificate));
  }
  const bool whole = AtEndOfPem();
  ERR_clear_error();
  if (chain.size() > kChainMax) {
    return absl::InvalidArgumentError(fmt::format(
        "{}: more than {} certificates; only the server's own and its chain belong there", path,
        kChainMax));
  }
  if (!whole) {
    return absl::InvalidArgumentError(fmt::format(
        "{}: certificate number {} cannot be read; write the file again", path, chain.size() + 1));
  }
  if (chain.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("{}: no certificate in it; PEM begins with BEGIN CERTIFICATE", path));
  }
  return chain;
}

// Instead of a prompt on the terminal.
int NoPassphrase(char*, int, int, void*) {
  return 0;
}

absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> ReadKey(const std::string& path) {
  ASSIGN_OR_RETURN(std::string pem, ReadPem(path));
  bssl::UniquePtr<EVP_PKEY> key(
      PEM_read_bio_PrivateKey(ReaderOf(pem).get(), nullptr, &NoPassphrase, nullptr));
  ERR_clear_error();
  OPENSSL_cleanse(pem.data(), pem.size());
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        fmt::format("{}: no private key in it that can be read; it must be PEM, whole, and without "
                    "a passphrase",
                    path));
  }
  return key;
}

// The kinds of key that clients of mail servers know.
absl::StatusOr<uint16_t> SchemeOf(const EVP_PKEY* key, const std::string& path) {
  if (EVP_PKEY_id(key) == EVP_PKEY_RSA) {
    return uint16_t{0};
  }
  if (EVP_PKEY_id(key) == EVP_PKEY_EC) {
    switch (EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)))) {
      case NID_X9_62_prime256v1:
        return uint16_t{SSL_SIGN_ECDSA_SECP256R1_SHA256};
      case NID_secp384r1:
        return uint16_t{SSL_SIGN_ECDSA_SECP384R1_SHA384};
      default:
        break;
    }
  }
  return absl::InvalidArgumentError(
      fmt::format("{}: this kind of key is not served; use RSA, or ECDSA on P-256 or P-384", path));
}

// Years that nanoseconds cannot hold become WallTime::Max().
WallTime TimeOf(const ASN1_TIME* time) {
  const bssl::UniquePtr<ASN1_TIME> epoch(ASN1_TIME_set(nullptr, 0));
  int days = 0;
  int seconds = 0;
  const bool valid = ASN1_TIME_diff(&days, &seconds, epoch.get(), time) == 1;
  return valid ? WallTime() + absl::Hours(24) * days + absl::Seconds(seconds) : WallTime();
}

bssl::UniquePtr<CRYPTO_BUFFER> Encoded(X509* certificate) {
  uint8_t* encoded = nullptr;
  const int bytes = i2d_X509(certificate, &encoded);
  ASSERT(bytes > 0);
  bssl::UniquePtr<CRYPTO_BUFFER> buffer(
      CRYPTO_BUFFER_new(encoded, static_cast<size_t>(bytes), nullptr));
  OPENSSL_free(encoded);
  return buffer;
}

}  // namespace

absl::StatusOr<std::unique_ptr<const TlsCertificate>> TlsCertificate::Load(const TlsFiles& files) {
  ASSIGN_OR_RETURN(Chain chain, ReadChain(files.certificate));
  ASSIGN_OR_RETURN(bssl::UniquePtr<EVP_PKEY> key, ReadKey(files.private_key));
  ASSIGN_OR_RETURN(const uint16_t scheme, SchemeOf(key.get(), files.private_key));
  const bool matches = X509_check_private_key(chain.front().get(), key.get()) == 1;
  ERR_clear_error();
  if (!matches) {
    return absl::InvalidArgumentError(fmt::format(
        "{}: not the private key of the first certificate in {}; give two files that belong "
        "together",
        files.private_key, files.certificate));
  }
  std::unique_ptr<TlsCertificate> loaded(new TlsCertificate);
  loaded->file_ = files.certificate;
  for (const bssl::UniquePtr<X509>& certificate : chain) {
    loaded->chain_.push_back(Encoded(certificate.get()));
  }
  loaded->leaf_ = std::move(chain.front());
  loaded->key_ = std::move(key);
  loaded->signature_scheme_ = scheme;
  loaded->not_before_ = TimeOf(X509_get0_notBefore(loaded->leaf_.get()));
  loaded->not_after_ = TimeOf(X509_get0_notAfter(loaded->leaf_.get()));
  RETURN_IF_ERROR(loaded->TryOut());
  return loaded;
}

// What BoringSSL asks of a certificate beyond matching its key, such as its key usage, is found out
// here and not by the first client.
absl::Status TlsCertificate::TryOut() const {
  const bssl::UniquePtr<SSL_CTX> context(SSL_CTX_new(TLS_method()));
  const std::vector<CRYPTO_BUFFER*> chain = ChainPointers();
  if (SSL_CTX_set_chain_and_key(context.get(), chain.data(), chain.size(), key_.get(), nullptr) ==
      1) {
    return absl::OkStatus();
  }
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  ERR_clear_error();
  return absl::InvalidArgumentError(
      fmt::format("{}: not a certificate for TLS ({}); ask for one with the key usage digital "
                  "signature",
                  file_, reason == nullptr ? "no reason given" : reason));
}

TlsCertificate::~TlsCertificate() = default;

bool TlsCertificate::Covers(const std::string& host) const {
  const bool covers = X509_check_host(leaf_.get(), host.data(), host.size(), 0, nullptr) == 1;
  ERR_clear_error();
  return covers;
}

std::vector<CRYPTO_BUFFER*> TlsCertificate::ChainPointers() const {
  std::vector<CRYPTO_BUFFER*> pointers;
  for (const bssl::UniquePtr<CRYPTO_BUFFER>& certificate : chain_) {
    pointers.push_back(certificate.get());
  }
  return pointers;
}

void TlsCertificate::GiveTo(SSL* session) const {
  const std::vector<CRYPTO_BUFFER*> chain = ChainPointers();
  ASSERT(SSL_set_chain_and_key(session, chain.data(), chain.size(), key_.get(), nullptr) == 1);
}

void TlsCertificate::GiveTo(SSL_CTX* context) const {
  const std::vector<CRYPTO_BUFFER*> chain = ChainPointers();
  ASSERT(SSL_CTX_set_chain_and_key(context, chain.data(), chain.size(), key_.get(), nullptr) == 1);
}

}  // namespace backstay
