// tests/io/tls/library_guard_test.cc -- the process has BoringSSL and refuses company.
#include "io/tls/library_guard.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <string>

namespace backstay {
namespace {

TEST(LibraryGuard, OurCallsReachBoringSsl) {
  const CryptoLibrary library = LoadedCryptoLibrary();
  EXPECT_GE(library.api_number, 17);
  EXPECT_FALSE(library.ssl_path.empty());
  EXPECT_FALSE(library.crypto_path.empty());
  EXPECT_EQ(library.crypto_path.find("libcrypto.so.3"), std::string::npos) << library.crypto_path;
}

TEST(LibraryGuard, OneLibraryIsAccepted) {
  const absl::Status status = CheckOneCryptoLibrary();
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// In a child, because a process with both in it is not one to go on with.
TEST(LibraryGuardDeathTest, ASecondLibraryIsNamed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        void* second = dlopen("libcrypto.so.3", RTLD_LAZY | RTLD_LOCAL);
        if (second == nullptr) {
          std::fprintf(stderr, "not installed: libcrypto.so.3");
          _exit(0);
        }
        const std::string message = CheckOneCryptoLibrary().ToString();
        std::fprintf(stderr, "%s", message.c_str());
        _exit(0);
      },
      testing::ExitedWithCode(0),
      "a second crypto library is loaded: .*libcrypto.so.3|not installed");
}

}  // namespace
}  // namespace backstay
