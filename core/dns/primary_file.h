// core/dns/primary_file.h -- the file that remembers where the primaries were found: text, checked
// as a whole.
//
//   backstay-primaries 1
//   0123456789abcdef 10 192.0.2.1:25 mx1.example.com      a line an address: whose, preference
//   end 89abcdef                                          CRC32C of every byte before this line
//
// Errors: nothing for a file that is damaged, cut or of another version: it is then asked again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "core/dns/primary_search.h"

namespace backstay {

// By DestinationPlan::key; sorted.
using SavedPrimaries = absl::btree_map<uint64_t, std::vector<PrimaryCandidate>>;

std::string EncodePrimaries(const SavedPrimaries& primaries);
std::optional<SavedPrimaries> DecodePrimaries(std::string_view text);

}  // namespace backstay
