// core/dns/reverse_name.h -- an address as a name below a zone: PTR records, block lists. Pure.
//
// See: RFC 1035 s3.5, RFC 3596 s2.5, RFC 5782 s2.1, s2.4.
#pragma once

#include <string>
#include <string_view>

#include "io/socket_address.h"

namespace backstay {

// "1.2.0.192.<zone>", or 32 nibbles for IPv6.
std::string ReversedBelow(const SocketAddress& address, std::string_view zone);
// Below in-addr.arpa or ip6.arpa.
std::string ReverseName(const SocketAddress& address);

}  // namespace backstay
