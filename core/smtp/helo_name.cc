// core/smtp/helo_name.cc -- two labels at least, or an address in brackets.
#include "core/smtp/helo_name.h"

#include <algorithm>

#include "core/smtp/address.h"
#include "core/smtp/ascii.h"
#include "core/smtp/numeric_address.h"

namespace backstay {
namespace {

bool IsAddressLiteral(std::string_view text) {
  if (!text.starts_with('[') || !text.ends_with(']')) {
    return false;
  }
  std::string_view address = text.substr(1, text.size() - 2);
  constexpr std::string_view kTag = "IPv6:";
  const bool is_v6 = EqualsIgnoringCase(address.substr(0, kTag.size()), kTag);
  address.remove_prefix(is_v6 ? kTag.size() : 0);
  return ParseNumericAddress(address, is_v6).has_value();
}

}  // namespace

bool IsFullHelo(std::string_view helo) {
  if (!IsDomainName(helo)) {
    return IsAddressLiteral(helo);
  }
  helo.remove_suffix(helo.ends_with('.') ? 1 : 0);
  const size_t dot = helo.rfind('.');
  // RFC 3696 s2: no top-level domain is all digits; that is an address without its brackets.
  return dot != std::string_view::npos && !std::all_of(helo.begin() + dot + 1, helo.end(), IsDigit);
}

}  // namespace backstay
