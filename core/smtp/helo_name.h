// core/smtp/helo_name.h -- whether what a client calls itself could be found by it.
//
// See: RFC 5321 s4.1.1.1, s4.1.3 (literals), s4.1.4.
#pragma once

#include <string_view>

namespace backstay {

// A fully qualified host name, with one trailing dot allowed, or an address literal. Whether there
// is such a host, and whose it is, does not matter.
bool IsFullHelo(std::string_view helo);

}  // namespace backstay
