// core/shard/giving_up.h -- how much of what waits a reload would give up at once.
//
// "5h" for "5d" would bounce all that waits for a primary that is down since yesterday. So the
// engine asks every shard before a reload, and refuses one that would do so, unless it is forced.
// What is held is not given up; what was over already is not the reload's doing.
// See: DESIGN 3.2.
#pragma once

#include "absl/status/status.h"
#include "core/shard/inbox.h"
#include "core/shard/route_table.h"
#include "core/shard/snapshot.h"
#include "spool/spool.h"

namespace backstay {

// One shard's part, added to `sum`. `is_queue_ready`: it knows all that it has.
void AddGivenUp(Spool& spool, const RouteTable& routes, bool is_queue_ready,
                const Snapshot& running, const Snapshot& next, GivingUp& sum);
// Of all shards. Not OK: the reload is refused, and why.
absl::Status Judge(const GivingUp& sum, const Snapshot& next);

}  // namespace backstay
