// io/tls/trust.cc -- where authorities are found.
#include "io/tls/trust.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace backstay {
namespace {

// Everything in one file, as Debian and Alpine, Fedora, and openSUSE have it.
constexpr std::array<const char*, 3> kBundles = {"/etc/ssl/certs/ca-certificates.crt",
                                                 "/etc/pki/tls/certs/ca-bundle.crt",
                                                 "/etc/ssl/ca-bundle.pem"};
constexpr const char* kDirectory = "/etc/ssl/certs";

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

// A pipe would be waited for.
bool LoadFile(SSL_CTX* context, const std::string& file) {
  std::error_code error;
  const bool loaded = std::filesystem::is_regular_file(file, error) &&
                      SSL_CTX_load_verify_locations(context, file.c_str(), nullptr) == 1;
  ERR_clear_error();
  return loaded;
}

// What is no certificate is passed over, as a look-up by hash would.
void LoadDirectory(SSL_CTX* context, const std::string& directory) {
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    LoadFile(context, entry->path().string());
  }
}

void LoadSystem(SSL_CTX* context) {
  for (const char* const bundle : kBundles) {
    if (LoadFile(context, bundle)) {
      return;
    }
  }
  LoadDirectory(context, kDirectory);
}

}  // namespace

absl::Status LoadTrust(SSL_CTX* context, const std::string& file) {
  const std::string named = file.empty() ? Environment("SSL_CERT_FILE") : file;
  const std::string directory = file.empty() ? Environment("SSL_CERT_DIR") : "";
  if (!named.empty() && !LoadFile(context, named)) {
    return absl::InvalidArgumentError(
        fmt::format("{}: no certificates to trust in it; give a PEM file of authorities", named));
  }
  if (!directory.empty()) {
    LoadDirectory(context, directory);
  }
  if (named.empty() && directory.empty()) {
    LoadSystem(context);
  }
  return absl::OkStatus();
}

}  // namespace backstay
