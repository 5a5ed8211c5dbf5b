// core/policy/address_key.cc -- lower case on the stack, then two hashes.
#include "core/policy/address_key.h"

#include <algorithm>
#include <array>

#include "core/base/check.h"

namespace backstay {
namespace {

// RFC 5321 s4.5.3.1: a local part of 64, a domain of 255 bytes.
constexpr size_t kAddressBytesMax = 64 + 1 + 255;

uint64_t HashOf(const SipKey& secret, std::string_view text) {
  std::array<char, kAddressBytesMax> lower;
  const size_t size = std::min(text.size(), lower.size());
  std::transform(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size), lower.begin(),
                 [](char character) {
                   const bool is_upper = character >= 'A' && character <= 'Z';
                   return is_upper ? static_cast<char>(character + ('a' - 'A')) : character;
                 });
  return SipHash(secret, AsBytes(std::string_view(lower.data(), size)));
}

AddressKey Join(uint64_t hash, uint16_t tag) {
  const uint64_t key = (hash & ~uint64_t{UINT16_MAX}) | tag;
  return AddressKey{key != 0 ? key : uint64_t{1} << kDomainTagBits};  // 0 is no key
}

}  // namespace

uint16_t TagOf(const SipKey& secret, std::string_view domain) {
  return static_cast<uint16_t>(HashOf(secret, domain));
}

AddressKey KeyOf(const SipKey& secret, std::string_view address) {
  const size_t at = address.rfind('@');
  ASSERT(at != std::string_view::npos);
  return Join(HashOf(secret, address), TagOf(secret, address.substr(at + 1)));
}

// By a secret of its own, so that no address has this key but by chance.
AddressKey KeyOfDomain(const SipKey& secret, std::string_view domain) {
  const SipKey other{~secret.first, secret.second};
  return Join(HashOf(other, domain), TagOf(secret, domain));
}

}  // namespace backstay
