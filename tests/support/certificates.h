// tests/support/certificates.h -- certificates and keys made on the spot, as PEM files.
#pragma once

#include <openssl/base.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "io/tls/certificate.h"

namespace backstay {

// A directory of its own, gone at the end.
class TestFolder {
 public:
  TestFolder();
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder();
  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// A certificate with its key, on disk for as long as the directory, in memory to sign others.
class TestCertificate {
 public:
  enum class Key : uint8_t { kP256, kP384, kRsa, kEd25519 };
  struct Options {
    std::vector<std::string> names = {"mx2.example.net"};  // or addresses: "IP:192.0.2.1"
    Key key = Key::kP256;
    absl::Duration begins = absl::Hours(-1);  // from now
    absl::Duration ends = absl::Hours(24 * 30);
    std::string key_usage = "";  // of the extension; empty: there is none
    bool is_authority = false;
    const TestCertificate* issuer = nullptr;  // null: signs itself
  };
  // Writes `label`.pem and `label`-key.pem into `directory`.
  TestCertificate(const std::string& directory, const std::string& label, const Options& options);
  TestCertificate(const std::string& directory, const std::string& label)
      : TestCertificate(directory, label, Options{}) {}
  TestCertificate(const TestCertificate&) = delete;
  TestCertificate& operator=(const TestCertificate&) = delete;
  ~TestCertificate();

  const TlsFiles& files() const { return files_; }

 private:
  TlsFiles files_;
  bssl::UniquePtr<EVP_PKEY> key_;
  bssl::UniquePtr<X509> certificate_;
};

void WriteTextFile(const std::string& path, const std::string& text);
std::string ReadTextFile(const std::string& path);

}  // namespace backstay
