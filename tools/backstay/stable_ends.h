// tools/backstay/stable_ends.h -- how far the log of a running daemon may be read.
//
// A reader beside the writer may meet a batch half written, and later, when it comes to what lies
// behind, find that valid: it would look like damage. FORMAT.md 4 rule 2: every byte of a batch is
// synced before the next one is begun. So what lies before the last batch that ends in a commit
// record, read once, is whole. An idle daemon ends its log in an empty batch: nothing is missed.
#pragma once

#include <cstdint>
#include <vector>

#include "tools/backstay/shard_files.h"

namespace backstay {

// For each entry where to stop; kDataStart: nothing of it is to be read.
std::vector<uint64_t> StableEnds(ShardFiles& files);

}  // namespace backstay
