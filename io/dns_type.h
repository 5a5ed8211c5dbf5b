// io/dns_type.h -- the kinds of DNS records that are asked for, with the numbers they have there.
//
// See: RFC 1035 s3.2.2, RFC 3596 (AAAA).
#pragma once

#include <cstdint>

namespace backstay {

enum class DnsType : uint16_t { kA = 1, kCname = 5, kPtr = 12, kMx = 15, kTxt = 16, kAaaa = 28 };

}  // namespace backstay
