// io/tls/context.cc -- settings of BoringSSL, and the choice of a certificate for a client.
#include "io/tls/context.h"

#include <fmt/format.h>
#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/check.h"
#include "core/base/mark.h"
#include "core/base/status_macros.h"
#include "io/tls/session.h"
#include "io/tls/ticket_keys.h"
#include "io/tls/trust.h"

namespace backstay {
namespace {

// Forward secrecy or nothing. CBC is there for old servers, whose other choice is plain text.
constexpr const char* kCiphersOfTls12 = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES";
// How long before its end a certificate is worth a line of the log: automatic renewal is done with
// a month left, so one that is still there has failed more than once.
constexpr absl::Duration kEndIsNear = absl::Hours(7 * 24);

// What the sessions of a server choose from. Owned by its SSL_CTX, so that it lives as long as the
// last session, which may be longer than the TlsContext.
struct Certificates {
  std::vector<std::unique_ptr<const TlsCertificate>> list;
  std::string hostname;
};

void FreeCertificates(void*, void* certificates, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<Certificates*>(certificates);
}

int CertificatesIndex() {
  static const int index =
      SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, &FreeCertificates);
  return index;
}

const Certificates& CertificatesOf(const SSL_CTX* context) {
  return *static_cast<const Certificates*>(SSL_CTX_get_ex_data(context, CertificatesIndex()));
}

// ---- what a ClientHello says ----

bool TakeExtension(const SSL_CLIENT_HELLO* hello, uint16_t type, CBS& body) {
  const uint8_t* data = nullptr;
  size_t bytes = 0;
  if (SSL_early_callback_ctx_extension_get(hello, type, &data, &bytes) != 1) {
    return false;
  }
  CBS_init(&body, data, bytes);
  return true;
}

bool OffersScheme(const SSL_CLIENT_HELLO* hello, uint16_t wanted) {
  CBS body;
  CBS schemes;
  if (!TakeExtension(hello, TLSEXT_TYPE_signature_algorithms, body) ||
      CBS_get_u16_length_prefixed(&body, &schemes) != 1) {
    return false;
  }
  uint16_t scheme = 0;
  while (CBS_get_u16(&schemes, &scheme) == 1) {
    if (scheme == wanted) {
      return true;
    }
  }
  return false;
}

// TLS 1.2 names the kind of key in the cipher suite; TLS 1.3 leaves it open.
bool OffersEcdsaCipher(const SSL_CLIENT_HELLO* hello) {
  CBS suites;
  CBS_init(&suites, hello->cipher_suites, hello->cipher_suites_len);
  uint16_t suite = 0;
  while (CBS_get_u16(&suites, &suite) == 1) {
    const SSL_CIPHER* cipher = SSL_get_cipher_by_value(suite);
    const int key = cipher == nullptr ? NID_undef : SSL_CIPHER_get_auth_nid(cipher);
    if (key == NID_auth_ecdsa || key == NID_auth_any) {
      return true;
    }
  }
  return false;
}

bool Understands(const SSL_CLIENT_HELLO* hello, const TlsCertificate& certificate) {
  const uint16_t scheme = certificate.signature_scheme();
  return scheme == 0 || (OffersScheme(hello, scheme) && OffersEcdsaCipher(hello));
}

// Of those that cover `name` (empty: of all) the first ECDSA one that the client understands, as it
// costs us a tenth of the other; else the first RSA one; else null.
const TlsCertificate* Find(const Certificates& certificates, const std::string& name,
                           const SSL_CLIENT_HELLO* hello) {
  const TlsCertificate* found = nullptr;
  for (const std::unique_ptr<const TlsCertificate>& certificate : certificates.list) {
    const bool better = found == nullptr ||
                        (found->signature_scheme() == 0 && certificate->signature_scheme() != 0);
    if (better && (name.empty() || certificate->Covers(name)) && Understands(hello, *certificate)) {
      found = certificate.get();
    }
  }
  return found;
}

std::string ServerNameOf(const SSL_CLIENT_HELLO* hello) {
  CBS body;
  CBS names;
  CBS name;
  uint8_t type = 0;
  const bool named = TakeExtension(hello, TLSEXT_TYPE_server_name, body) &&
                     CBS_get_u16_length_prefixed(&body, &names) == 1 &&
                     CBS_get_u8(&names, &type) == 1 && type == TLSEXT_NAMETYPE_host_name &&
                     CBS_get_u16_length_prefixed(&names, &name) == 1;
  return named ? std::string(reinterpret_cast<const char*>(CBS_data(&name)), CBS_len(&name)) : "";
}

ssl_select_cert_result_t SelectCertificate(const SSL_CLIENT_HELLO* hello) {
  const Certificates& certificates = CertificatesOf(SSL_get_SSL_CTX(hello->ssl));
  const std::string asked = ServerNameOf(hello);
  const TlsCertificate* chosen = asked.empty() ? nullptr : Find(certificates, asked, hello);
  for (const std::string& name : {certificates.hostname, std::string()}) {
    chosen = chosen == nullptr ? Find(certificates, name, hello) : chosen;
  }
  if (chosen == nullptr) {
    MARK("tls: a client without a common signature");
    chosen = certificates.list.front().get();  // the handshake ends with the alert that says so
  }
  chosen->GiveTo(hello->ssl);
  return ssl_select_cert_success;
}

// ---- tickets ----

int OnTicket(SSL* ssl, uint8_t* name, uint8_t* iv, EVP_CIPHER_CTX* cipher, HMAC_CTX* hmac,
             int sealing) {
  const TicketKeys* keys = TlsSession::TicketKeysOf(ssl);
  ASSERT(keys != nullptr);
  if (sealing == 1) {
    return keys->Seal(name, iv, cipher, hmac) ? 1 : -1;
  }
  switch (keys->Open(name, iv, cipher, hmac)) {
    case TicketKeys::Opened::kUnknown:
      MARK("tls: a ticket of an unknown key");
      return 0;  // a full handshake
    case TicketKeys::Opened::kCurrent:
      return 1;
    case TicketKeys::Opened::kPrevious:
      MARK("tls: a ticket of the previous key");
      return 2;  // accepted, and renewed
  }
  UNREACHABLE();
}

std::string Date(WallTime time) {
  return absl::FormatTime("%Y-%m-%d %H:%M UTC",
                          absl::UnixEpoch() + absl::Nanoseconds(time.nanoseconds()),
                          absl::UTCTimeZone());
}

}  // namespace

// With ERR_clear_error() behind whatever may fail: the queue of errors is the thread's, and what is
// left in it would be taken for the failure of another session.
TlsContext::TlsContext() : handle_(SSL_CTX_new(TLS_method())) {
  ASSERT(handle_ != nullptr);
  ASSERT(SSL_CTX_set_min_proto_version(handle_.get(), TLS1_2_VERSION) == 1);
  ASSERT(SSL_CTX_set_strict_cipher_list(handle_.get(), kCiphersOfTls12) == 1);
  SSL_CTX_set_early_data_enabled(handle_.get(), 0);
  SSL_CTX_set_session_cache_mode(handle_.get(), SSL_SESS_CACHE_OFF);  // it would need a lock
}

TlsContext::~TlsContext() = default;

absl::StatusOr<std::unique_ptr<const TlsContext>> TlsContext::MakeServer(
    const ServerOptions& options) {
  ASSERT(!options.certificates.empty());
  auto certificates = std::make_unique<Certificates>();
  certificates->hostname = options.hostname;
  for (const TlsFiles& files : options.certificates) {
    ASSIGN_OR_RETURN(std::unique_ptr<const TlsCertificate> loaded, TlsCertificate::Load(files));
    certificates->list.push_back(std::move(loaded));
  }
  std::unique_ptr<TlsContext> context(new TlsContext);
  SSL_CTX* handle = context->handle_.get();
  SSL_CTX_set_options(handle, SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_select_certificate_cb(handle, &SelectCertificate);
  SSL_CTX_set_tlsext_ticket_key_cb(handle, &OnTicket);
  const auto ticket_seconds = static_cast<uint32_t>(absl::ToInt64Seconds(TicketKeys::kTicketLife));
  SSL_CTX_set_timeout(handle, ticket_seconds);
  SSL_CTX_set_session_psk_dhe_timeout(handle, ticket_seconds);
  ASSERT(SSL_CTX_set_ex_data(handle, CertificatesIndex(), certificates.release()) == 1);
  return context;
}

absl::StatusOr<std::unique_ptr<const TlsContext>> TlsContext::MakeClient(
    const ClientOptions& options) {
  auto certificates = std::make_unique<Certificates>();
  std::unique_ptr<TlsContext> context(new TlsContext);
  SSL_CTX* handle = context->handle_.get();
  if (options.verifies) {
    RETURN_IF_ERROR(LoadTrust(handle, options.trust_file));
  }
  if (options.certificate.has_value()) {
    ASSIGN_OR_RETURN(std::unique_ptr<const TlsCertificate> loaded,
                     TlsCertificate::Load(*options.certificate));
    loaded->GiveTo(handle);
    certificates->list.push_back(std::move(loaded));
  }
  ASSERT(SSL_CTX_set_ex_data(handle, CertificatesIndex(), certificates.release()) == 1);
  return context;
}

std::vector<std::string> TlsContext::Warnings(WallTime now) const {
  std::vector<std::string> warnings;
  for (const std::unique_ptr<const TlsCertificate>& certificate :
       CertificatesOf(handle_.get()).list) {
    const std::string& file = certificate->file();
    if (now >= certificate->not_after()) {
      warnings.push_back(fmt::format("{}: the certificate expired on {}; renew it and reload", file,
                                     Date(certificate->not_after())));
    } else if (now < certificate->not_before()) {
      warnings.push_back(
          fmt::format("{}: the certificate is not valid before {}; is the clock "
                      "right?",
                      file, Date(certificate->not_before())));
    } else if (now + kEndIsNear >= certificate->not_after()) {
      warnings.push_back(fmt::format("{}: the certificate ends on {}; renew it and reload", file,
                                     Date(certificate->not_after())));
    }
  }
  return warnings;
}

bool TlsContext::Expired(WallTime now) const {
  const auto& list = CertificatesOf(handle_.get()).list;
  return !list.empty() && std::all_of(list.begin(), list.end(), [now](const auto& certificate) {
    return now >= certificate->not_after();
  });
}

}  // namespace backstay
