// tests/io/contract_world.h -- two Ios that can reach each other, whatever is behind them.
//
// The cases of contract_test.cc and stream_test.cc are written against this header; each back end
// brings its own MakeContractWorld (contract_world_uring.cc, contract_world_sim.cc). The world is
// kind: no faults, no losses, clocks that move. Faults of one back end are tested beside that back
// end.
//
// Owns: the Ios and the scratch directory. Everything goes with the world; before that, no op may
//       be in flight (the cases cancel and close what they opened).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "io/io.h"
#include "io/socket_address.h"
#include "tests/support/dns_zone.h"

namespace backstay {

class ContractWorld {
 public:
  virtual ~ContractWorld() = default;

  // The Io under test: files, listening and connecting.
  virtual Io& io() = 0;
  // Another Io: on the same kernel, or on another simulated host. Network only.
  virtual Io& peer_io() = 0;

  // An address of io()'s host with port 0, to be listened on; reachable from both Ios.
  virtual SocketAddress listen_address() = 0;
  // An address of io()'s host on which nobody listens: connecting is refused.
  virtual SocketAddress refusing_address() = 0;

  // What the resolvers of io() say.
  virtual DnsZone& zone() = 0;

  // An existing empty directory of io()'s host, as OpenDirectory takes it; no slash at the end.
  virtual std::string scratch_directory() = 0;
  // chmod o+rx of it; at first it is closed to the world.
  virtual void OpenScratchToTheWorld() = 0;

  // Turns both Ios, in turn, until `done` says true (asked before each turn). False when that has
  // not happened within 10 s of the Ios' own time; neither Io waits longer than 10 ms in one turn.
  virtual bool RunUntil(const std::function<bool()>& done) = 0;
  // Turns both Ios for at least `duration` of their own time: what was going to happen has
  // happened.
  virtual void RunFor(absl::Duration duration) = 0;
};

std::unique_ptr<ContractWorld> MakeContractWorld();

}  // namespace backstay
