// core/queue/relay_policy.h -- which recipients we take for whom. Immutable after it was built;
// pure.
//
// See: DESIGN 7; RFC 5321 s4.5.1 (postmaster).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "core/smtp/reply.h"

namespace backstay {

// Lookup of std::string keys by std::string_view: Debian's Abseil has another string_view.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const;
};
struct TextEqual {
  using is_transparent = void;
  bool operator()(std::string_view left, std::string_view right) const { return left == right; }
};
using TextSet = absl::flat_hash_set<std::string, TextHash, TextEqual>;

struct DomainPolicy {
  enum class Recipients : uint8_t { kAny, kNone, kList, kVerify };
  std::string name;  // lower case
  Recipients recipients = Recipients::kAny;
  TextSet list;  // kList: whole addresses in lower case, the domain as in `name`
};

struct RelayVerdict {
  Reply reply;
  std::string_view address;  // what is stored: as given, but for a bare Postmaster
  std::string_view domain;   // of a positive verdict: as configured
  bool is_asked = false;     // positive if the primary takes it
};

class RelayPolicy {
 public:
  RelayPolicy() = default;
  // `postmaster`: where mail for a bare Postmaster goes; empty: postmaster of the first domain.
  RelayPolicy(std::vector<DomainPolicy> domains, std::string postmaster);

  // `address`: syntactically valid, without brackets. The verdict's views live as long as the
  // policy and `address`.
  RelayVerdict Judge(std::string_view address) const;

 private:
  std::vector<DomainPolicy> domains_;
  absl::flat_hash_map<std::string, size_t, TextHash, TextEqual> by_name_;
  std::string postmaster_;
};

// In any case and of any domain: whom everybody may write to (RFC 5321 s4.5.1).
bool IsPostmaster(std::string_view address);

// The addresses of each of `domains` (lower case, in their order) in a file that they share. One
// address a line, its domain in any form that Judge takes; blank lines and lines that begin with #
// are skipped; CRLF is fine. No address of a domain is an error: it would refuse everyone, which is
// never meant.
absl::StatusOr<std::vector<TextSet>> ParseRecipientFile(std::string_view text,
                                                        std::string_view file_name,
                                                        const std::vector<std::string>& domains);

}  // namespace backstay
