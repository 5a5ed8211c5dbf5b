// core/shard/primary_tls.h -- TLS towards the hosts of one route: when, how, and what came of it.
//
// Opportunistic: a host whose TLS does not work is spoken to in clear text for a while, beginning
// with its next connection. Required: it gets nothing until its TLS works. Either is said in the
// log once, when it begins.
//
// Life:     of its route; UsePlan() at a start and a reload forgets what was learned.
// Outlives: the connections that use it; `context` is the snapshot's, until the next UsePlan().
// See:      DESIGN 8; RFC 3207; reliability rows 84-86.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/list.h"
#include "core/shard/config.h"
#include "core/smtp/client_session.h"
#include "io/io.h"
#include "io/stream.h"
#include "io/tls/context.h"
#include "io/tls/session.h"

namespace backstay {

// What a connection is worth; more is greater.
enum class TlsLevel : uint8_t { kClear, kEncrypted, kVerified };

class PrimaryTls {
 public:
  PrimaryTls(const Io& io, List<PendingHandshake>& turns) : io_(io), turns_(turns) {}
  PrimaryTls(const PrimaryTls&) = delete;
  PrimaryTls& operator=(const PrimaryTls&) = delete;

  // `context` is null if `mode` is kOff. `is_home`: of the shard that speaks for all of them, as it
  // probes for all; the others need not say that mail waits.
  void UsePlan(DeliveryConfig::Tls mode, const TlsContext* context, bool is_home);

  // For a connection to `host` that begins now.
  ClientSession::Tls Wanted(const SocketAddress& host) const;
  // Mail may go over a connection of this level.
  bool Suffices(TlsLevel level) const { return level >= needed(); }
  // The level of what MakeSession makes.
  TlsLevel level() const;
  // For the host of this name. Null: a reload has turned TLS off.
  std::unique_ptr<TlsSession> MakeSession(const std::string& name) const;
  List<PendingHandshake>& turns() const { return turns_; }

  // How a connection fared for which it was wanted. `failure`: one of TLS.
  void OnFailed(const SocketAddress& host, ClientSession::Failure failure, std::string_view reason);
  void OnSecure(const SocketAddress& host);
  // It takes no mail over what it had: its next connection tries TLS again, whatever came of that.
  void OnDemanded(const SocketAddress& host) { Forget(host); }

 private:
  struct Trouble {
    SocketAddress host;
    ClientSession::Failure told;
    Instant until;  // in clear text, if it is not required
  };
  TlsLevel needed() const;
  void Forget(const SocketAddress& host);

  const Io& io_;
  List<PendingHandshake>& turns_;
  DeliveryConfig::Tls mode_ = DeliveryConfig::Tls::kOff;
  const TlsContext* context_ = nullptr;
  bool is_home_ = false;
  std::vector<Trouble> troubles_;  // at most one a host, kTroublesMax in all
};

}  // namespace backstay
