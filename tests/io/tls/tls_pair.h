// tests/io/tls/tls_pair.h -- a server session and a client session, joined by two strings.
#pragma once

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>

#include "core/base/units.h"
#include "io/tls/context.h"
#include "io/tls/session.h"
#include "io/tls/ticket_keys.h"
#include "tests/support/certificates.h"

namespace backstay {

inline std::unique_ptr<const TlsContext> Served(std::vector<TlsFiles> certificates,
                                                const std::string& hostname = "mx2.example.net") {
  auto context =
      TlsContext::MakeServer({.certificates = std::move(certificates), .hostname = hostname});
  EXPECT_TRUE(context.ok()) << context.status();
  return std::move(context).value();
}

inline std::unique_ptr<const TlsContext> Trusting(const std::string& file) {
  auto context = TlsContext::MakeClient({.certificate = std::nullopt, .trust_file = file});
  EXPECT_TRUE(context.ok()) << context.status();
  return std::move(context).value();
}

inline TicketKeys FixedKeys() {
  return TicketKeys(TicketSecret{1, 2, 3}, Instant());
}

// One way: what the sender has said, and what the receiver has made of it.
struct Direction {
  std::string cipher;
  std::string plain;
};

// Moves bytes until neither side has anything to say, `piece` at a time.
class TlsPair {
 public:
  TlsPair(const TlsContext& server, const TicketKeys& keys, const TlsContext& client,
          const TlsSession::Client& wish, uint32_t listener = 0)
      : server_(server, TlsSession::Server{keys, listener}), client_(client, wish) {}

  bool Connect(size_t piece = std::string::npos) {
    Bytes nothing;
    client_.Handshake(nothing, to_server_.cipher);
    Exchange(piece);
    return server_.state() == TlsSession::State::kOpen &&
           client_.state() == TlsSession::State::kOpen;
  }
  void Exchange(size_t piece = std::string::npos) {
    while (!to_server_.cipher.empty() || !to_client_.cipher.empty()) {
      Move(server_, to_server_, to_client_.cipher, piece);
      Move(client_, to_client_, to_server_.cipher, piece);
    }
  }
  void ClientSays(std::string_view text) { client_.Write(AsBytes(text), to_server_.cipher); }
  void ServerSays(std::string_view text) { server_.Write(AsBytes(text), to_client_.cipher); }
  std::string ServerHeard() { return std::exchange(to_server_.plain, ""); }
  std::string ClientHeard() { return std::exchange(to_client_.plain, ""); }

  TlsSession& server() { return server_; }
  TlsSession& client() { return client_; }
  std::string& to_server() { return to_server_.cipher; }
  std::string& to_client() { return to_client_.cipher; }

 private:
  static void Move(TlsSession& receiver, Direction& direction, std::string& answer, size_t piece) {
    // A copy of its own, so that the sanitizer sees a read beyond it.
    const std::string arrived = direction.cipher.substr(0, piece);
    direction.cipher.erase(0, arrived.size());
    Bytes cipher = AsBytes(arrived);
    if (receiver.state() == TlsSession::State::kHandshaking) {
      receiver.Handshake(cipher, answer);
    }
    std::array<uint8_t, 1000> plain;
    size_t count = plain.size();
    while (receiver.state() == TlsSession::State::kOpen && count == plain.size()) {
      count = receiver.Read(cipher, plain, answer);
      direction.plain.append(AsText(Bytes(plain).first(count)));
    }
  }

  TlsSession server_;
  TlsSession client_;
  Direction to_server_;
  Direction to_client_;
};

// A client of BoringSSL itself, for what TlsSession will not do: other versions and ciphers,
// renegotiation, tickets that are kept.
class RawClient {
 public:
  RawClient() : context_(SSL_CTX_new(TLS_method())) {
    SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_CLIENT);
    SSL_CTX_set_app_data(context_.get(), this);
    SSL_CTX_sess_set_new_cb(context_.get(), [](SSL* ssl, SSL_SESSION* session) {
      auto* self = static_cast<RawClient*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
      self->ticket_.reset(session);
      return 1;
    });
  }
  SSL_CTX* settings() { return context_.get(); }
  bool has_ticket() const { return ticket_ != nullptr; }
  bool resumed() const { return SSL_session_reused(ssl_.get()) == 1; }
  SSL* ssl() { return ssl_.get(); }

  // Presents the ticket of the connection before, if there was one. The server's state at the end.
  TlsSession::State Connect(TlsSession& server, const std::string& name = "") {
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl_.get());
    if (!name.empty()) {
      SSL_set_tlsext_host_name(ssl_.get(), name.c_str());
    }
    if (ticket_ != nullptr) {
      SSL_set_session(ssl_.get(), ticket_.get());
    }
    for (int round = 0; round < 6; ++round) {
      SSL_do_handshake(ssl_.get());
      Deliver(server);
    }
    return server.state();
  }
  // What the client has said goes to the server, and what that answers comes back and is read.
  std::string Deliver(TlsSession& server, std::string_view reply = "") {
    const uint8_t* said = nullptr;
    size_t bytes = 0;
    BIO_mem_contents(SSL_get_wbio(ssl_.get()), &said, &bytes);
    const std::string arrived(reinterpret_cast<const char*>(said), bytes);
    BIO_reset(SSL_get_wbio(ssl_.get()));
    Bytes cipher = AsBytes(arrived);
    std::string answer;
    if (server.state() == TlsSession::State::kHandshaking) {
      server.Handshake(cipher, answer);
    }
    std::array<uint8_t, 4096> plain;
    const size_t count = server.Read(cipher, plain, answer);
    if (!reply.empty()) {
      server.Write(AsBytes(reply), answer);
    }
    BIO_write(SSL_get_rbio(ssl_.get()), answer.data(), static_cast<int>(answer.size()));
    SSL_read(ssl_.get(), heard_.data(), static_cast<int>(heard_.size()));  // takes tickets too
    return std::string(AsText(Bytes(plain).first(count)));
  }

 private:
  bssl::UniquePtr<SSL_CTX> context_;
  bssl::UniquePtr<SSL_SESSION> ticket_;
  bssl::UniquePtr<SSL> ssl_;
  std::array<char, 4096> heard_{};
};

}  // namespace backstay
