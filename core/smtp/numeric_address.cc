// core/smtp/numeric_address.cc -- inet_pton for texts that do not end in a NUL.
#include "core/smtp/numeric_address.h"

#include <arpa/inet.h>

namespace backstay {

std::optional<NumericAddress> ParseNumericAddress(std::string_view text, bool is_v6) {
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  // inet_pton ends at a NUL, the text may not.
  if (text.size() >= terminated.size() || text.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  text.copy(terminated.data(), text.size());
  NumericAddress address{.is_v6 = is_v6};
  if (inet_pton(is_v6 ? AF_INET6 : AF_INET, terminated.data(), address.bytes.data()) != 1) {
    return std::nullopt;
  }
  return address;
}

}  // namespace backstay
