// core/shard/host_watch.h -- which hosts of a primary list answer and take nothing. Pure.
//
// A host that says EHLO and then puts off each message, or breaks each connection, would keep the
// mail from the others of its list for days. After a few in a row it is passed over for a while:
// longer each time until it has taken something. What is said of single recipients is no trouble,
// and what one message meets is none of the host unless all that come with it meet it, too.
//
// Owns:  an entry for each host in trouble; Keep() bounds them by the list.
// Turn:  times are arguments.
// See:   RFC 5321 s5.1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/base/units.h"
#include "core/dns/primary_host.h"

namespace backstay {

class HostWatch {
 public:
  static constexpr uint32_t kRunMax = 3;  // without one taken between them
  static constexpr uint32_t kSilenceCounts = 2;
  static constexpr absl::Duration kPassedOverFor = absl::Minutes(5);
  static constexpr uint32_t kDoublingsMax = 3;

  // A message.
  void OnTaken(const SocketAddress& host);
  // It put a message off as a whole, or ended a connection badly. `is_silence`: it was waited for
  // until a deadline, which counts for two. True: it is passed over from now on.
  bool OnTrouble(const SocketAddress& host, bool is_silence, Instant now);
  // It got through EHLO, or did not.
  void OnGreeted(const SocketAddress& host);
  void OnNotGreeted(const SocketAddress& host, Instant now);
  // Forgets all others.
  void Keep(const std::vector<PrimaryHost>& hosts);

  bool IsPassedOver(const SocketAddress& host, Instant now) const {
    return now < PassedOverUntil(host);
  }
  Instant PassedOverUntil(const SocketAddress& host) const;
  // The first that is not passed over and did not fail to greet a while ago. Nothing: there is
  // none.
  std::optional<size_t> FirstGood(const std::vector<PrimaryHost>& hosts, Instant now) const;

 private:
  struct Entry {
    SocketAddress host;
    uint32_t run = 0;    // of troubles
    uint32_t times = 0;  // passed over since one was taken
    Instant until;       // passed over
    Instant away_until;  // it did not greet
  };
  const Entry* Find(const SocketAddress& host) const;
  Entry& EntryOf(const SocketAddress& host);

  std::vector<Entry> entries_;
};

}  // namespace backstay
