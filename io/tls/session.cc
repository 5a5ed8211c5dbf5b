// io/tls/session.cc -- BoringSSL between two buffers of the caller.
//
// Its own memory BIOs keep their largest size for ever, and a connection idles most of its life. So
// the BIO is ours: it reads the bytes where they lie and writes where they are wanted.
#include "io/tls/session.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "core/base/check.h"
#include "core/base/mark.h"

namespace backstay {
namespace {

// SSL_read and SSL_write count in int.
constexpr size_t kCallBytesMax = 1_MiB;

// To BoringSSL "10.20.30.40.rev.example.net" is the address that it begins with.
bool MayBeAddress(const std::string& host) {
  return host.find(':') != std::string::npos ||
         host.find_first_not_of("0123456789.") == std::string::npos;
}

int IntOf(size_t bytes) {
  return static_cast<int>(std::min(bytes, kCallBytesMax));
}

}  // namespace

// Lends both ends to the BIO and takes them back.
class TlsSession::Exchange {
 public:
  Exchange(Wire& wire, Bytes& cipher, std::string& output) : wire_(wire), cipher_(cipher) {
    wire_.input = cipher;
    wire_.output = &output;
    ERR_clear_error();
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange() {
    cipher_ = wire_.input;
    wire_ = Wire();
    ERR_clear_error();
  }

 private:
  Wire& wire_;
  Bytes& cipher_;
};

int TlsSession::ReadWire(BIO* bio, char* into, int count) {
  BIO_clear_retry_flags(bio);
  Bytes& input = static_cast<Wire*>(BIO_get_data(bio))->input;
  if (input.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const size_t taken = std::min(input.size(), static_cast<size_t>(count));
  std::memcpy(into, input.data(), taken);
  input = input.subspan(taken);
  return static_cast<int>(taken);
}

int TlsSession::WriteWire(BIO* bio, const char* from, int count) {
  BIO_clear_retry_flags(bio);
  std::string* output = static_cast<Wire*>(BIO_get_data(bio))->output;
  ASSERT(output != nullptr);
  output->append(from, static_cast<size_t>(count));
  return count;
}

long TlsSession::ControlWire(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

const BIO_METHOD* TlsSession::WireMethod() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
    ASSERT(made != nullptr);
    BIO_meth_set_read(made, &ReadWire);
    BIO_meth_set_write(made, &WriteWire);
    BIO_meth_set_ctrl(made, &ControlWire);
    return made;
  }();
  return method;
}

TlsSession::TlsSession(const TlsContext& context) : ssl_(SSL_new(context.handle())) {
  ASSERT(ssl_ != nullptr);
  BIO* bio = BIO_new(WireMethod());
  ASSERT(bio != nullptr);
  BIO_set_data(bio, &wire_);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_app_data(ssl_.get(), this);
  SSL_set_shed_handshake_config(ssl_.get(), 1);
}

TlsSession::TlsSession(const TlsContext& context, const Server& server) : TlsSession(context) {
  tickets_ = &server.tickets;
  std::array<uint8_t, sizeof(server.listener)> listener{};
  StoreLittle(listener.data(), server.listener);
  ASSERT(SSL_set_session_id_context(ssl_.get(), listener.data(), listener.size()) == 1);
  SSL_set_accept_state(ssl_.get());
}

TlsSession::TlsSession(const TlsContext& context, const Client& client) : TlsSession(context) {
  X509_VERIFY_PARAM* param = SSL_get0_param(ssl_.get());
  const bool is_address =
      MayBeAddress(client.host) && X509_VERIFY_PARAM_set1_ip_asc(param, client.host.c_str()) == 1;
  if (!is_address) {
    ASSERT(X509_VERIFY_PARAM_set1_host(param, client.host.data(), client.host.size()) == 1);
    ASSERT(SSL_set_tlsext_host_name(ssl_.get(), client.host.c_str()) == 1);
  }
  const bool verifies = client.verify == TlsVerify::kHost;
  SSL_set_verify(ssl_.get(), verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  SSL_set_connect_state(ssl_.get());
  ERR_clear_error();
}

TlsSession::~TlsSession() = default;

void TlsSession::Handshake(Bytes& cipher, std::string& output) {
  ASSERT(state_ == State::kHandshaking);
  const Exchange exchange(wire_, cipher, output);
  const int done = SSL_do_handshake(ssl_.get());
  if (done == 1) {
    state_ = State::kOpen;
  } else if (SSL_get_error(ssl_.get(), done) != SSL_ERROR_WANT_READ) {
    Fail();
  }
}

size_t TlsSession::Read(Bytes& cipher, MutableBytes plain, std::string& output) {
  const Exchange exchange(wire_, cipher, output);
  size_t count = 0;
  while (count < plain.size() && state_ == State::kOpen) {
    const MutableBytes rest = plain.subspan(count);
    const int got = SSL_read(ssl_.get(), rest.data(), IntOf(rest.size()));
    if (got > 0) {
      count += static_cast<size_t>(got);
      continue;
    }
    switch (SSL_get_error(ssl_.get(), got)) {
      case SSL_ERROR_WANT_READ:
        return count;
      case SSL_ERROR_ZERO_RETURN:
        MARK("tls: close_notify");
        state_ = State::kEnded;
        break;
      default:
        Fail();
    }
  }
  return count;
}

void TlsSession::Write(Bytes plain, std::string& output) {
  ASSERT(state_ != State::kHandshaking);  // it would have to leave in clear text
  Bytes nothing;
  const Exchange exchange(wire_, nothing, output);
  while (!plain.empty() && state_ == State::kOpen) {
    const int written = SSL_write(ssl_.get(), plain.data(), IntOf(plain.size()));
    if (written <= 0) {
      Fail();
      return;
    }
    plain = plain.subspan(static_cast<size_t>(written));
  }
}

void TlsSession::End(std::string& output) {
  if (state_ != State::kOpen && state_ != State::kEnded) {
    return;
  }
  Bytes nothing;
  const Exchange exchange(wire_, nothing, output);
  SSL_shutdown(ssl_.get());
}

void TlsSession::Fail() {
  MARK("tls: failed");
  state_ = State::kFailed;
  const uint32_t error = ERR_peek_error();
  const char* reason = ERR_reason_error_string(error);
  const bool unverified =
      ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED;
  if (unverified) {
    reason = X509_verify_cert_error_string(SSL_get_verify_result(ssl_.get()));
  }
  failure_ = reason == nullptr ? "no reason given" : reason;
}

std::string_view TlsSession::protocol() const {
  return SSL_get_version(ssl_.get());
}

std::string_view TlsSession::cipher() const {
  return SSL_get_cipher_name(ssl_.get());
}

bool TlsSession::resumed() const {
  return SSL_session_reused(ssl_.get()) == 1;
}

const TicketKeys* TlsSession::TicketKeysOf(const SSL* ssl) {
  return static_cast<const TlsSession*>(SSL_get_app_data(ssl))->tickets_;
}

}  // namespace backstay
