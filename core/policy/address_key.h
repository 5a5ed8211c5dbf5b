// core/policy/address_key.h -- a mail address as 64 bits, under the spool's own secret.
//
// Addresses are not kept, only this: 48 bits of the whole address, then 16 of its domain, by which
// all of one domain can be found again. With ten million addresses known, a stranger's guess is
// taken for one of them once in 28 million.
// Letters count as equal in both cases, also before the @: what a primary distinguishes by case
// alone is asked once too little.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/siphash.h"

namespace backstay {

enum class AddressKey : uint64_t {};

constexpr int kDomainTagBits = 16;

// `address`: with an @; its domain by the name that we know it by (DomainOf). Longer ones than RFC
// 5321 knows are cut.
AddressKey KeyOf(const SipKey& secret, std::string_view address);
// Of no address: what is known of a whole domain is kept under it.
AddressKey KeyOfDomain(const SipKey& secret, std::string_view domain);
// The last bits of every key of the domain.
uint16_t TagOf(const SipKey& secret, std::string_view domain);

constexpr uint16_t TagOf(AddressKey key) {
  return static_cast<uint16_t>(static_cast<uint64_t>(key));
}

}  // namespace backstay
