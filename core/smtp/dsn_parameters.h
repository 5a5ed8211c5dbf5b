// core/smtp/dsn_parameters.h -- the values of NOTIFY, ENVID and ORCPT: judged, and written again.
//
// They are a stranger's text that goes on to the primary and into reports: what is not to the
// letter is refused when it comes in, and left away when it would go out.
// See: RFC 3461 s4.1 to s4.4, s5.2.1; RFC 6533 s3 (utf-8 addresses).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace backstay {

// Bits of struct Notify; nothing: NEVER beside others, a word twice, a word that is none.
std::optional<uint8_t> ParseNotify(std::string_view value);
// `notify` is not 0.
std::string NotifyText(uint8_t notify);

bool IsEnvelopeId(std::string_view value);
// "rfc822;user@example.com". `utf8`: under SMTPUTF8 an address of type utf-8 may be written as it
// is.
bool IsOriginalRecipient(std::string_view value, bool utf8);

}  // namespace backstay
