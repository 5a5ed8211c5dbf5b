// core/shard/parking.h -- mail whose time is over and that must not be given up is held instead.
//
// `on_expiry = "hold"`. In one domain of one shard the log's order is that of age, so one own rule
// of the spool (Spool::Park) parks everything up to a place, whatever the number of messages. What
// has an age of its own, by an order for that message, is parked by itself.
//
// Owns:  when the operator was told last, of domains with parked mail; where a look goes on.
// Turn:  Step() looks at a bounded number of messages and reads none.
// See:   DESIGN 6 "Giving up".
#pragma once

#include "absl/container/flat_hash_map.h"
#include "core/shard/route_table.h"
#include "io/io.h"
#include "spool/spool.h"

namespace backstay {

class Parking {
 public:
  Parking(Io& io, Spool& spool, RouteTable& routes) : io_(io), spool_(spool), routes_(routes) {}

  // Parks what is over of the domain. True: there may be more, and the next step goes on there.
  bool Step(DomainId domain);

 private:
  bool IsOver(DomainId domain, MessageRef message) const;
  bool IsOverForAll(MessageRef message) const;
  void ParkOne(MessageRef message);
  void Tell(DomainId domain, uint64_t messages);

  Io& io_;
  Spool& spool_;
  RouteTable& routes_;
  absl::flat_hash_map<DomainId, Instant> tell_from_;
  absl::flat_hash_map<DomainId, MessageRef> left_;  // the last one looked at, of unfinished steps
};

}  // namespace backstay
