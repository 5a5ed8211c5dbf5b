// tests/fuzz/dns/dns_answer_fuzz.cc -- any bytes as a reply to each kind of question.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/dns/answer.h"
#include "tests/fuzz/smtp/fuzz_input.h"

namespace {

bool IsHostName(const std::string& name) {
  return name.size() <= 253 && std::all_of(name.begin(), name.end(), [](char letter) {
           return (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9') ||
                  letter == '-' || letter == '_' || letter == '.';
         });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::vector<uint8_t> reply = backstay::Alone({data, size});
  for (const backstay::DnsType type :
       {backstay::DnsType::kA, backstay::DnsType::kAaaa, backstay::DnsType::kMx,
        backstay::DnsType::kPtr, backstay::DnsType::kTxt}) {
    const backstay::DnsAnswer answer = backstay::ParseDnsAnswer(reply, "a.example", type);
    for (const backstay::MailExchange& exchange : answer.exchanges) {
      ASSERT(IsHostName(exchange.name));
    }
    for (const std::string& name : answer.names) {
      ASSERT(IsHostName(name));
    }
    for (const std::string& text : answer.texts) {
      ASSERT(std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; }));
    }
    ASSERT(IsHostName(answer.alias));
    const size_t found = answer.addresses.size() + answer.exchanges.size() + answer.names.size() +
                         answer.texts.size();
    ASSERT(found <= 256);
    const bool is_found = found > 0;
    ASSERT(is_found == (answer.kind == backstay::DnsAnswer::Kind::kFound));
    ASSERT(answer.ttl >= absl::ZeroDuration());
  }
  return 0;
}
