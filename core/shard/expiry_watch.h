// core/shard/expiry_watch.h -- the operator is warned before much mail is given up.
//
// A day and six hours ahead of the first of a considerable number, one line in the log for each
// domain: how many follow within a day, when it begins, and which orders would keep them. Each
// shard looks at the oldest message of a domain and tells the domain's home shard, which adds up
// and speaks. A line comes once in a run for each of the two times, and again only when the mail of
// then is gone or has new time.
//
// Owns:  of domains whose mail is given up soon, what each shard said last.
// Turn:  Look() comes once a minute: one look-up a domain, and a count where time is short.
// See:   DESIGN 6 "Giving up".
#pragma once

#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "core/shard/inbox.h"
#include "core/shard/route_table.h"
#include "io/io.h"
#include "spool/spool.h"

namespace backstay {

class ExpiryWatch {
 public:
  struct Place {
    PostOffice& post;
    size_t shard;
  };
  ExpiryWatch(Io& io, Spool& spool, RouteTable& routes, const Place& place)
      : io_(io), spool_(spool), routes_(routes), place_(place) {}

  void Look();
  // Another shard's, or this one's own.
  void OnAhead(const ShardMessage& message);

 private:
  struct Share {  // of one shard
    Instant first;
    Instant said;
    uint64_t recipients = 0;
  };
  struct Domain {
    std::vector<Share> shares;  // by shard
    // The shortest time ahead that was told; Infinite: none.
    absl::Duration told = absl::InfiniteDuration();
  };

  void LookAt(DomainId domain);
  void Speak();
  void Tell(const std::string& name, uint64_t recipients, absl::Duration left);

  Io& io_;
  Spool& spool_;
  RouteTable& routes_;
  const Place place_;
  absl::btree_map<std::string, Domain> domains_;  // this shard is their home
};

}  // namespace backstay
