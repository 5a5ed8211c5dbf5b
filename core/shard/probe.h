// core/shard/probe.h -- asks a primary whether it is back: connect, banner, EHLO, QUIT. No mail.
//
// One round asks the addresses in order until one answers EHLO. An address that is connected and
// silent keeps its connection as long as RFC 5321 wants (its banner may wait for a resolver that is
// away); the round goes on without it, and the next one asks beside it. Whatever answers first
// counts, also between rounds.
//
// Life:  Start() begins a round; one of the ProbeEvents ends it. Then it may be started again.
// Owns:  at most kTriesMax connections.
// Turn:  events come from Io::Turn or the timer wheel.
// See:   DESIGN 6 "Down".
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/dns/primary_host.h"
#include "core/shard/outbound.h"

namespace backstay {

class ProbeEvents {
 public:
  // It got through EHLO, in a round or between two, and is told QUIT. `host`: index of its address.
  virtual void OnProbeAnswered(size_t host) = 0;
  // The host greets with our own name. The round is over.
  virtual void OnProbeMetOurselves(const OutboundConnection& connection) = 0;
  // No address did in this round. `is_soft`: the last one is there, but slow, or says not now.
  virtual void OnProbeFailed(bool is_soft, std::string_view reason) = 0;

 protected:
  ~ProbeEvents() = default;
};

class Probe : private OutboundEvents {
 public:
  static constexpr size_t kTriesMax = 10;

  Probe(const OutboundParts& parts, ProbeEvents& events);

  void Start(const std::vector<PrimaryHost>& hosts, std::string_view hostname);
  // Ends all of it; nothing more is told.
  void Stop();
  // In a round.
  bool running() const { return running_; }
  // Nothing in flight: safe to destroy.
  bool idle() const;

 private:
  struct Try {
    Try(const OutboundParts& parts, std::string_view hostname, OutboundEvents& events, size_t to)
        : connection(parts, hostname, events), host(to) {}

    OutboundConnection connection;
    const size_t host;
    bool answered = false;
    bool closed = false;
  };

  void OnOutboundReady(OutboundConnection& connection) override;
  void OnOutboundContentWanted(OutboundConnection& connection) override;
  void OnOutboundClosed(OutboundConnection& connection) override;
  void OnPatienceOver();
  void Ask(size_t host);
  void NextHost(bool is_soft);
  void EndRound();
  Try& Of(const OutboundConnection& connection);

  const OutboundParts parts_;
  ProbeEvents& events_;
  std::vector<PrimaryHost> hosts_;
  std::string hostname_;
  bool running_ = false;
  std::string reason_;
  Alarm<&Probe::OnPatienceOver> patience_{this};
  std::vector<std::unique_ptr<Try>> tries_;  // the last one is the round's
};

}  // namespace backstay
