// core/dns/reverse_name.cc -- the last part comes first.
#include "core/dns/reverse_name.h"

#include "core/base/text.h"

namespace backstay {

std::string ReversedBelow(const SocketAddress& address, std::string_view zone) {
  std::string name;
  const auto add = [&name](uint64_t part, int base) {
    AppendNumber(name, part, 1, '0', base);
    name += '.';
  };
  constexpr size_t kV4Bytes = 4;
  const size_t bytes = address.is_v6() ? address.bytes().size() : kV4Bytes;
  for (size_t left = bytes; left > 0; --left) {
    const uint8_t byte = address.bytes()[left - 1];
    if (address.is_v6()) {
      add(byte & 0x0f, 16);
      add(byte >> 4, 16);
    } else {
      add(byte, 10);
    }
  }
  name += zone;
  return name;
}

std::string ReverseName(const SocketAddress& address) {
  return ReversedBelow(address, address.is_v6() ? "ip6.arpa" : "in-addr.arpa");
}

}  // namespace backstay
