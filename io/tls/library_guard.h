// io/tls/library_guard.h -- one crypto library in the process, and it is BoringSSL.
//
// BoringSSL and OpenSSL export the same unversioned names. Loaded together they bind into each
// other and corrupt memory (BUILD_NOTES.md), so the daemon looks before it serves and refuses to
// run.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace backstay {

// Every loaded object whose file name says libcrypto or libssl must be the one that our own calls
// reach. kFailedPrecondition names the other one.
absl::Status CheckOneCryptoLibrary();

struct CryptoLibrary {
  int api_number = 0;  // BORINGSSL_API_VERSION of the headers
  // the object that SSL_new lives in; the program itself when it is static
  std::string ssl_path;
  std::string crypto_path;  // the same for the digests
};
CryptoLibrary LoadedCryptoLibrary();

}  // namespace backstay
