// tests/fuzz/tls/tls_session_fuzz.cc -- any bytes as the first of a client: alerts, never a crash.
//
// Mostly for what is ours: the reading of a ClientHello for the choice of a certificate, and the
// borders of the buffers. Input: four cut lengths, then what the client sends.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "io/tls/session.h"
#include "tests/fuzz/smtp/fuzz_input.h"
#include "tests/support/certificates.h"

namespace backstay {
namespace {

std::unique_ptr<const TlsContext> MakeContext() {
  const TestFolder folder;
  const TestCertificate ecdsa(folder.path(), "ecdsa");
  const TestCertificate other(folder.path(), "other", {.names = {"*.example.org"}});
  auto made = TlsContext::MakeServer(
      {.certificates = {ecdsa.files(), other.files()}, .hostname = "mx2.example.net"});
  ASSERT(made.ok());
  return std::move(made).value();
}

void Check(Bytes input) {
  static const std::unique_ptr<const TlsContext> context = MakeContext();
  static const TicketKeys keys(TicketSecret{}, Instant());
  constexpr size_t kCuts = 4;
  if (input.size() < kCuts) {
    return;
  }
  Cuts cuts(input.first(kCuts));
  Bytes sent = input.subspan(kCuts);
  TlsSession session(*context, TlsSession::Server{keys});
  std::string output;
  while (!sent.empty() && session.state() == TlsSession::State::kHandshaking) {
    const std::vector<uint8_t> piece = Alone(sent.first(std::min(cuts.Next() * 16, sent.size())));
    sent = sent.subspan(piece.size());
    Bytes cipher(piece);
    session.Handshake(cipher, output);
    ASSERT(cipher.empty() || session.state() != TlsSession::State::kHandshaking);
  }
  ASSERT(session.state() != TlsSession::State::kOpen);  // nobody guesses a Finished
  ASSERT(session.state() != TlsSession::State::kFailed || !session.failure().empty());
  ASSERT(output.size() < 8192);
}

}  // namespace
}  // namespace backstay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  backstay::Check({data, size});
  return 0;
}
