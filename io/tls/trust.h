// io/tls/trust.h -- the authorities that a client believes, all of them read at once.
//
// BoringSSL would look into a directory during each handshake, on a thread that may not wait.
//
// Turn:   blocks; at start and at a reload.
// See:    core/OPERATING.md "Configuration".
#pragma once

#include <openssl/base.h>

#include <string>

#include "absl/status/status.h"

namespace backstay {

// `file`: PEM. Empty: those that SSL_CERT_FILE and SSL_CERT_DIR name, or the system's. A file that
// was named and has none is an error; a system without any is not, nobody is believed then.
absl::Status LoadTrust(SSL_CTX* context, const std::string& file);

}  // namespace backstay
