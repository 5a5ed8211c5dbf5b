// bench/tls_primitives.cc -- what a full handshake cannot cost less than: one signature (ECDSA
// P-256), one key pair and one agreement (X25519), of the library that is linked. Prints JSON.
// Exit codes: 0; 64 usage.
#include <openssl/curve25519.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/nid.h>
#include <time.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>

#include "core/base/check.h"
#include "tools/traffic/program.h"

namespace backstay {
namespace {

constexpr double kSecondsMin = 0.001;  // none at all would measure nothing
constexpr double kSecondsMax = 3600;

// CPU time of this thread, so that others on the machine do not count.
double CpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

template <typename Work>
double MicrosecondsOf(double seconds, Work work) {
  const double begin = CpuSeconds();
  uint64_t count = 0;
  while (CpuSeconds() - begin < seconds) {
    for (int turn = 0; turn < 16; ++turn, ++count) {
      work();
    }
  }
  return (CpuSeconds() - begin) / static_cast<double>(count) * 1e6;
}

int Main(int argc, char** argv) {
  double seconds = 1;
  CLI::App app("What a full handshake cannot cost less than.");
  app.add_option("--seconds", seconds, "in all");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (!(seconds >= kSecondsMin && seconds <= kSecondsMax)) {  // of no number neither is true
    std::fprintf(stderr, "backstay-tls-primitives: --seconds: from %g to %g\n", kSecondsMin,
                 kSecondsMax);
    return kExitUsage;
  }
  EC_KEY* key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
  ASSERT(key != nullptr);
  ASSERT(EC_KEY_generate_key(key) == 1);
  std::array<uint8_t, 32> digest{};
  std::array<uint8_t, 128> signature{};
  std::array<uint8_t, 32> own_public{};
  std::array<uint8_t, 32> own_private{};
  std::array<uint8_t, 32> peer_public{};
  std::array<uint8_t, 32> peer_private{};
  std::array<uint8_t, 32> shared{};
  X25519_keypair(peer_public.data(), peer_private.data());
  const double sign = MicrosecondsOf(seconds / 3, [&] {
    unsigned bytes = 0;
    ASSERT(ECDSA_sign(0, digest.data(), digest.size(), signature.data(), &bytes, key) == 1);
  });
  const double generate =
      MicrosecondsOf(seconds / 3, [&] { X25519_keypair(own_public.data(), own_private.data()); });
  const double agree = MicrosecondsOf(seconds / 3, [&] {
    ASSERT(X25519(shared.data(), own_private.data(), peer_public.data()) == 1);
  });
  EC_KEY_free(key);
  std::printf("{\"sign_us\":%.2f,\"keygen_us\":%.2f,\"agree_us\":%.2f,\"handshake_us\":%.2f}\n",
              sign, generate, agree, sign + generate + agree);
  return 0;
}

}  // namespace
}  // namespace backstay

int main(int argc, char** argv) {
  return backstay::Main(argc, argv);
}
