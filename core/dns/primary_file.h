// core/dns/primary_file.h -- the file that remembers where the primaries were found, when they were
// down, and what they said of a domain's mail: text, checked as a whole.
//
//   backstay-primaries 1
//   0123456789abcdef 10 192.0.2.1:25 mx1.example.com      a line an address: whose, preference
//   0123456789abcdef down 1790000000 0 refused            a line an outage: since, until (0: lasts)
//   0123456789abcdef said 980 1000                        a line a domain: taken, answers
//   end 89abcdef                                          CRC32C of every byte before this line
//
// Errors: nothing for a file that is damaged, cut or of another version: it is then asked again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "core/dns/outage.h"
#include "core/dns/primary_search.h"

namespace backstay {

struct SavedPrimary {
  std::vector<PrimaryCandidate> candidates;  // sorted; none: it needs no DNS
  Outages outages;                           // to the second
  size_t taken = 0;
  size_t answers = 0;  // 0: nothing is known
  friend bool operator==(const SavedPrimary&, const SavedPrimary&) = default;
};
// By DestinationPlan::key; answers by DomainPlan::key.
using SavedPrimaries = absl::btree_map<uint64_t, SavedPrimary>;

std::string EncodePrimaries(const SavedPrimaries& primaries);
std::optional<SavedPrimaries> DecodePrimaries(std::string_view text);

}  // namespace backstay
