// io/tls/context.h -- what all TLS sessions of one configuration share: certificates and settings.
//
// TLS 1.2 and 1.3 with forward secrecy only; no early data, no renegotiation, no session cache:
// who comes back brings a ticket (ticket_keys.h).
//
// Life:    made at a start or a reload, then immutable and read by every shard. A session may live
//          longer: what it still needs is counted by BoringSSL.
// Errors:  absl::Status: which file, what is wrong with it, what to do.
// See:     RFC 8446, RFC 5246, RFC 6066 s3 (server names).
#pragma once

#include <openssl/base.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/units.h"
#include "io/tls/certificate.h"

namespace backstay {

class TlsContext {
 public:
  struct ServerOptions {
    // At least one. Several for one name, such as ECDSA beside RSA: each client gets the best that
    // it understands. Several names: each client gets the one that it asks for.
    std::vector<TlsFiles> certificates;
    // Who asks for no name, or for one that no certificate covers, is treated as asking for this.
    std::string hostname;
  };
  struct ClientOptions {
    std::optional<TlsFiles> certificate;  // shown when the server asks for one
    bool verifies = true;                 // false: no session does, and no trust store is read
    std::string trust_file;               // PEM; empty: the trust store of the system
  };
  static absl::StatusOr<std::unique_ptr<const TlsContext>> MakeServer(const ServerOptions& options);
  static absl::StatusOr<std::unique_ptr<const TlsContext>> MakeClient(const ClientOptions& options);
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ~TlsContext();

  // One sentence for each certificate that is not valid at `now`, or not for long any more. They
  // are served all the same: senders to an MX rarely look, and plain text is no better.
  std::vector<std::string> Warnings(WallTime now) const;
  // It has certificates, and none is valid at `now`.
  bool Expired(WallTime now) const;

  SSL_CTX* handle() const { return handle_.get(); }

 private:
  TlsContext();

  bssl::UniquePtr<SSL_CTX> handle_;  // owns the certificates too
};

}  // namespace backstay
