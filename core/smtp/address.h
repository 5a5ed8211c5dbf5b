// core/smtp/address.h -- reverse-path and forward-path: what is a mailbox, what a relay trick.
//
// A path is judged as it stands: nothing is dequoted, folded or guessed, and the address that comes
// out is a view of the very bytes that came in, so that it can be re-emitted byte for byte.
//
// Owns: nothing; views into the text that was given.
// See:  RFC 5321 s4.1.2 (grammar), s4.1.3 (literals), s4.5.3.1 (limits), appendix C (routes).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace backstay {

enum class PathError : uint8_t {
  kNone,
  kSyntax,
  kTooLong,    // local part, label or whole path
  kUtf8,       // good under SMTPUTF8 only (RFC 6531); address and rest are there
  kEightBit,   // bytes above 0x7f that are not UTF-8
  kRelayTrick  // forward-path only: '%', '!' or '@' in the local part asks the primary to relay
};

struct Path {
  PathError error = PathError::kSyntax;
  std::string_view address;  // without brackets and source route; empty: the null reverse-path
  std::string_view rest;     // what stands behind the closing bracket
};

// "<a@b> SIZE=3": `text` begins at the bracket. The null reverse-path "<>" is an empty address.
Path ParseReversePath(std::string_view text);
// As above; "<Postmaster>" in any case is taken without a domain (RFC 5321 s4.5.1), "<>" is not.
Path ParseForwardPath(std::string_view text);

// A host name, an address literal, or what clients take for one: any word that cannot be mistaken
// for something else in a header field. Whether it is a true name does not matter.
bool IsHostWord(std::string_view text);
// A domain in ASCII, with one trailing dot allowed; no literal.
bool IsDomainName(std::string_view text);

// What stands behind the last @, in lower case, without a trailing dot, and in ASCII (RFC 5890):
// the name by which a domain is known here. Without an @ empty.
std::string DomainOf(std::string_view address);
// The same into `domain`, whose capacity is kept.
void AssignDomainOf(std::string_view address, std::string& domain);

}  // namespace backstay
