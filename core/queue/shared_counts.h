// core/queue/shared_counts.h -- what the shards of a daemon count together: limits that are meant
// for all of them.
//
// The one thing beside the inboxes that all shards touch: made before them, gone behind them.
//
// Owns:    counts of clients, of each destination, of each domain whose queue is asked for, of a
//          domain's answers, of probes; what was said of block lists.
// Threads: as its parts say: any. Nobody waits for anybody.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/queue/client_census.h"
#include "core/queue/domain_tally.h"
#include "core/queue/probe_pace.h"
#include "core/queue/ramp.h"
#include "core/queue/shared_answers.h"
#include "core/queue/shared_notice.h"
#include "core/queue/shared_places.h"
#include "core/queue/shared_table.h"

namespace backstay {

struct SharedDestination {
  explicit SharedDestination(size_t shards) : ramp(shards), places(shards) {}

  Ramp ramp;
  SharedPlaces places;
};

struct SharedCounts {
  // `seed`: see ClientCensus.
  SharedCounts(size_t shards, size_t connections_max, uint64_t seed)
      : clients(connections_max, seed),
        destinations(shards),
        domains(shards),
        answers(shards),
        block_lists(shards) {}

  ClientCensus clients;
  SharedTable<SharedDestination> destinations;  // by DestinationPlan::key
  SharedTable<DomainTally> domains;             // by DomainPlan::key
  SharedTable<SharedAnswers> answers;           // of a domain's primary: by DomainPlan::key
  SharedTable<SharedNotice> block_lists;        // by DomainKey of the zone
  ProbePace probes;
};

}  // namespace backstay
