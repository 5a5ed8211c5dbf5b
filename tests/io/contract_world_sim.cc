// tests/io/contract_world_sim.cc -- the contract's world on the simulator, a new seed each time.
//
// BACKSTAY_SIM_PLAN=manners makes the simulated kernel use everything a healthy kernel may do:
// splits, short transfers, ended multishots, no free buffers. BACKSTAY_SIM_SEED sets the first
// seed.
#include <cstdlib>
#include <string_view>

#include "core/base/check.h"
#include "io/sim/world.h"
#include "tests/io/contract_world.h"

namespace backstay {
namespace {

constexpr absl::Duration kWaitMax = absl::Milliseconds(10);

uint64_t NextSeed() {
  static uint64_t next = [] {
    const char* first = std::getenv("BACKSTAY_SIM_SEED");
    return first == nullptr ? uint64_t{1} : std::strtoull(first, nullptr, 10);
  }();
  return next++;
}

FaultPlan Plan() {
  const char* name = std::getenv("BACKSTAY_SIM_PLAN");
  return name != nullptr && std::string_view(name) == "manners" ? FaultPlan::Manners()
                                                                : FaultPlan::None();
}

class SimContractWorld : public ContractWorld {
 public:
  SimContractWorld()
      : world_(NextSeed(), Plan()),
        host_(world_.AddHost("here", SocketAddress::V4({10, 0, 0, 1}, 0))),
        peer_host_(world_.AddHost("peer", SocketAddress::V4({10, 0, 0, 2}, 0))),
        io_(world_.MakeIo(host_)),
        peer_io_(world_.MakeIo(peer_host_)) {
    ASSERT(host_.disk().WalkDirectory("/scratch", /*create=*/true) != kNoNode);
  }

  Io& io() override { return *io_; }
  Io& peer_io() override { return *peer_io_; }
  SocketAddress listen_address() override { return host_.address(); }
  SocketAddress refusing_address() override { return host_.address().WithPort(9); }
  std::string scratch_directory() override { return "/scratch"; }

  bool RunUntil(const std::function<bool()>& done) override {
    const Instant end = world_.Now() + absl::Seconds(10);
    while (!done()) {
      if (world_.Now() >= end) {
        return false;
      }
      TurnBoth();
    }
    return true;
  }

  void RunFor(absl::Duration duration) override {
    const Instant end = world_.Now() + duration;
    while (world_.Now() < end) {
      TurnBoth();
    }
  }

 private:
  void TurnBoth() {
    io_->Turn(world_.Now() + kWaitMax);
    peer_io_->Turn(world_.Now() + kWaitMax);
  }

  World world_;
  Host& host_;
  Host& peer_host_;
  std::unique_ptr<Io> io_;
  std::unique_ptr<Io> peer_io_;
};

}  // namespace

std::unique_ptr<ContractWorld> MakeContractWorld() {
  return std::make_unique<SimContractWorld>();
}

}  // namespace backstay
