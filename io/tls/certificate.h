// io/tls/certificate.h -- one certificate with its chain and its private key, from PEM files.
//
// Life:   loaded once, then only read; any number of sessions of any thread may be given it.
// Errors: absl::Status: which file, what is wrong with it, what to do. A certificate whose time is
//         over is no error: see TlsContext::Warnings.
#pragma once

#include <openssl/base.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/units.h"

namespace backstay {

struct TlsFiles {
  std::string certificate;  // PEM: the server's own first, then the chain up to the root
  std::string private_key;  // PEM, without a passphrase
};

class TlsCertificate {
 public:
  static absl::StatusOr<std::unique_ptr<const TlsCertificate>> Load(const TlsFiles& files);
  TlsCertificate(const TlsCertificate&) = delete;
  TlsCertificate& operator=(const TlsCertificate&) = delete;
  ~TlsCertificate();

  // The certificate names this host, itself or by a wildcard.
  bool Covers(const std::string& host) const;
  // RFC 8446 s4.2.3: what a client must know to verify our signature. 0: RSA, which all know.
  uint16_t signature_scheme() const { return signature_scheme_; }
  WallTime not_before() const { return not_before_; }
  WallTime not_after() const { return not_after_; }
  const std::string& file() const { return file_; }

  // From now on the session, or every session of the context, presents it.
  void GiveTo(SSL* session) const;
  void GiveTo(SSL_CTX* context) const;

 private:
  TlsCertificate() = default;
  absl::Status TryOut() const;
  std::vector<CRYPTO_BUFFER*> ChainPointers() const;

  std::string file_;
  std::vector<bssl::UniquePtr<CRYPTO_BUFFER>> chain_;
  bssl::UniquePtr<X509> leaf_;
  bssl::UniquePtr<EVP_PKEY> key_;
  uint16_t signature_scheme_ = 0;
  WallTime not_before_;
  WallTime not_after_;
};

}  // namespace backstay
