// io/tls/library_guard.cc -- walks the loaded objects.
#include "io/tls/library_guard.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>
#include <openssl/base.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>

#include <string_view>
#include <vector>

#ifndef OPENSSL_IS_BORINGSSL
#error "these are the headers of OpenSSL; see tools/cmake/FindBoringSSL.cmake"
#endif

namespace backstay {
namespace {

std::string ObjectOf(const void* function) {
  Dl_info found{};
  return dladdr(function, &found) != 0 && found.dli_fname != nullptr ? found.dli_fname : "";
}

bool NamesCryptoLibrary(std::string_view path) {
  const size_t slash = path.rfind('/');
  const std::string_view file = slash == std::string_view::npos ? path : path.substr(slash + 1);
  return file.starts_with("libcrypto.so") || file.starts_with("libssl.so") ||
         file.starts_with("libcrypto-") || file.starts_with("libssl-");
}

int CollectCryptoLibrary(dl_phdr_info* object, size_t /*info_bytes*/, void* into) {
  if (object->dlpi_name != nullptr && NamesCryptoLibrary(object->dlpi_name)) {
    static_cast<std::vector<std::string>*>(into)->push_back(object->dlpi_name);
  }
  return 0;
}

}  // namespace

absl::Status CheckOneCryptoLibrary() {
  const CryptoLibrary ours = LoadedCryptoLibrary();
  std::vector<std::string> loaded;
  dl_iterate_phdr(&CollectCryptoLibrary, &loaded);
  for (const std::string& path : loaded) {
    if (path != ours.ssl_path && path != ours.crypto_path) {
      return absl::FailedPreconditionError(fmt::format(
          "a second crypto library is loaded: {} beside {}; memory would be corrupted. Remove the "
          "plugin or preloaded library that brings it (ldd and LD_PRELOAD show which)",
          path, ours.crypto_path));
    }
  }
  return absl::OkStatus();
}

CryptoLibrary LoadedCryptoLibrary() {
  CryptoLibrary library;
  library.api_number = BORINGSSL_API_VERSION;
  library.ssl_path = ObjectOf(reinterpret_cast<const void*>(&SSL_new));
  library.crypto_path = ObjectOf(reinterpret_cast<const void*>(&SHA256_Update));
  return library;
}

}  // namespace backstay
