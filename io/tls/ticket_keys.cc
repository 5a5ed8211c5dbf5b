// io/tls/ticket_keys.cc -- a chain of hashes, one link a period.
#include "io/tls/ticket_keys.h"

#include <openssl/cipher.h>
#include <openssl/crypto.h>
#include <openssl/digest.h>
#include <openssl/hkdf.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/rand.h>

#include <algorithm>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/check.h"

namespace backstay {
namespace {

// RFC 5869: independent keys from one secret, told apart by their label.
void Derive(const TicketSecret& secret, std::string_view label, MutableBytes into) {
  const Bytes info = AsBytes(label);
  ASSERT(HKDF_expand(into.data(), into.size(), EVP_sha256(), secret.data(), secret.size(),
                     info.data(), info.size()) == 1);
}

}  // namespace

TicketSecret NewTicketSecret() {
  TicketSecret secret;
  ASSERT(RAND_bytes(secret.data(), secret.size()) == 1);
  return secret;
}

TicketKeys::TicketKeys(const TicketSecret& secret, Instant start)
    : secret_(secret), current_{}, previous_{}, renewal_(start) {
  Renew();
  has_previous_ = false;
}

TicketKeys::~TicketKeys() {
  OPENSSL_cleanse(&secret_, sizeof(secret_));
  OPENSSL_cleanse(&current_, sizeof(current_));
  OPENSSL_cleanse(&previous_, sizeof(previous_));
}

void TicketKeys::AdvanceTo(Instant now) {
  while (now >= renewal_) {  // six hours a link: a year asleep is 1,461 of them
    Renew();
  }
}

void TicketKeys::Renew() {
  previous_ = current_;
  has_previous_ = true;
  Derive(secret_, "backstay ticket name", current_.name);
  Derive(secret_, "backstay ticket cipher", current_.cipher);
  Derive(secret_, "backstay ticket hmac", current_.hmac);
  TicketSecret next;
  Derive(secret_, "backstay ticket next", next);
  secret_ = next;
  OPENSSL_cleanse(&next, sizeof(next));
  renewal_ = renewal_ + kPeriod;
}

bool TicketKeys::Seal(uint8_t* name, uint8_t* iv, EVP_CIPHER_CTX* cipher, HMAC_CTX* hmac) const {
  std::copy(current_.name.begin(), current_.name.end(), name);
  RAND_bytes(iv, EVP_CIPHER_iv_length(EVP_aes_256_cbc()));
  return EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, current_.cipher.data(), iv) == 1 &&
         HMAC_Init_ex(hmac, current_.hmac.data(), current_.hmac.size(), EVP_sha256(), nullptr) == 1;
}

TicketKeys::Opened TicketKeys::Open(const uint8_t* name, const uint8_t* iv, EVP_CIPHER_CTX* cipher,
                                    HMAC_CTX* hmac) const {
  const auto named = [name](const Key& key) {
    return CRYPTO_memcmp(key.name.data(), name, key.name.size()) == 0;
  };
  const bool is_current = named(current_);
  if (!is_current && !(has_previous_ && named(previous_))) {
    return Opened::kUnknown;
  }
  const Key& key = is_current ? current_ : previous_;
  const bool ready =
      HMAC_Init_ex(hmac, key.hmac.data(), key.hmac.size(), EVP_sha256(), nullptr) == 1 &&
      EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv) == 1;
  ASSERT(ready);
  return is_current ? Opened::kCurrent : Opened::kPrevious;
}

}  // namespace backstay
