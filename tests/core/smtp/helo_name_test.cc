// tests/core/smtp/helo_name_test.cc -- what is a name of a host, and what is a word.
#include "core/smtp/helo_name.h"

#include <gtest/gtest.h>

#include <string>

namespace backstay {
namespace {

TEST(HeloName, NamesOfHostsAndLiteralsAreFull) {
  for (const char* helo :
       {"mail.example.org", "MAIL.Example.ORG", "example.org", "mail.example.org.", "a.b",
        "my_host.example.org", "xn--mller-kva.example", "1.2.3.example", "3com.example",
        "mail.example.4you", "[192.0.2.7]", "[IPv6:2001:db8::7]", "[ipv6:::1]"}) {
    EXPECT_TRUE(IsFullHelo(helo)) << helo;
  }
}

TEST(HeloName, EverythingElseIsNot) {
  for (const std::string& helo : {std::string(),
                                  std::string("localhost"),
                                  std::string("localhost."),
                                  std::string("."),
                                  std::string(".example"),
                                  std::string("mail..example"),
                                  std::string("-mail.example"),
                                  std::string("mail-.example"),
                                  std::string("mail.example.."),
                                  std::string("192.0.2.7"),
                                  std::string("192.0.2.7."),
                                  std::string("2001:db8::7"),
                                  std::string("mail.example:25"),
                                  std::string("mail.ex!mple"),
                                  std::string("m\xc3\xbcller.example"),
                                  std::string("["),
                                  std::string("[]"),
                                  std::string("[192.0.2.7"),
                                  std::string("192.0.2.7]"),
                                  std::string("[192.0.2]"),
                                  std::string("[2001:db8::7]"),
                                  std::string("[IPv6:]"),
                                  std::string("[IPv6:192.0.2.7]"),
                                  std::string("[mail.example.org]"),
                                  std::string(64, 'a') + ".example"}) {
    EXPECT_FALSE(IsFullHelo(helo)) << helo;
  }
}

}  // namespace
}  // namespace backstay
