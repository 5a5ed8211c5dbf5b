// io/tls/session.h -- one TLS connection: ciphertext in, plaintext out, and back. No socket.
//
// Life:     Handshake() until the state is no longer kHandshaking; then Read() and Write(); End().
//           kEnded and kFailed are final: nothing that comes later is read, in clear text or not.
// Owns:     of what came, less than one record (16 KiB), and nothing while none is incomplete; of
//           what goes out, nothing: it is appended to the caller's buffer. After the handshake its
//           configuration is given back, so an idle session is a few KiB.
// Outlives: nothing of a context: it may be gone before its sessions. `tickets` outlives them.
// Errors:   what a peer does wrong is State::kFailed, with an alert for it in the output.
// See:      RFC 8446; RFC 5246; DESIGN 8 for the verify modes.
#pragma once

#include <openssl/base.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "io/tls/context.h"
#include "io/tls/ticket_keys.h"

namespace backstay {

// Whom a client talks to. What follows from a failure is the caller's: "opportunistic" and
// "require" take any certificate, "verify" takes the host's own only.
enum class TlsVerify : uint8_t {
  kNothing,  // against who listens in, not against who pretends to be the host
  kHost      // a chain to a trusted root, valid now, for the name that was asked for
};

class TlsSession {
 public:
  struct Server {
    const TicketKeys& tickets;
    uint32_t listener = 0;  // a ticket is good at the listener that gave it, at no other
  };
  struct Client {
    std::string host;  // name or address
    TlsVerify verify = TlsVerify::kNothing;
  };
  enum class State : uint8_t {
    kHandshaking,
    kOpen,
    kEnded,  // the peer said close_notify
    kFailed
  };

  TlsSession(const TlsContext& context, const Server& server);
  TlsSession(const TlsContext& context, const Client& client);
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  ~TlsSession();

  // One step: takes what it needs off the front of `cipher`. A client begins with an empty one.
  void Handshake(Bytes& cipher, std::string& output);
  // Fills `plain` from the front of `cipher`; returns the bytes. Fewer than its size: `cipher` was
  // taken whole, or the session is over.
  size_t Read(Bytes& cipher, MutableBytes plain, std::string& output);
  // Nothing once the session is over.
  void Write(Bytes plain, std::string& output);
  // close_notify: nothing more comes from us.
  void End(std::string& output);

  State state() const { return state_; }
  // Why it failed, in a few words of BoringSSL; lives for ever.
  std::string_view failure() const { return failure_; }
  std::string_view protocol() const;  // "TLSv1.3"
  std::string_view cipher() const;
  bool resumed() const;

  // For the callbacks of TlsContext.
  static const TicketKeys* TicketKeysOf(const SSL* ssl);

 private:
  // Both ends of the wire, for the time of one call.
  struct Wire {
    Bytes input;
    std::string* output = nullptr;
  };
  class Exchange;
  static int ReadWire(BIO* bio, char* into, int count);
  static int WriteWire(BIO* bio, const char* from, int count);
  static long ControlWire(BIO* bio, int command, long number, void* pointer);
  static const BIO_METHOD* WireMethod();

  explicit TlsSession(const TlsContext& context);
  void Fail();

  bssl::UniquePtr<SSL> ssl_;
  Wire wire_;
  const TicketKeys* tickets_ = nullptr;
  std::string_view failure_;
  State state_ = State::kHandshaking;
};

}  // namespace backstay
