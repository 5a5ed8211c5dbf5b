// tests/io/contract_world_sim.cc -- the contract's world on the simulator, a new seed each time.
//
// BACKSTAY_SIM_PLAN=mild adds what the cases allow a healthy kernel: small buffers, late
// completions, cancels that lose, slow syncs, dropped caches. (Multishots that end early, short
// sends and split lines are for sim_network_test.cc; the cases speak of a kind world.)
// BACKSTAY_SIM_SEED is the first seed.
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
  FaultPlan plan = FaultPlan::None();
  const char* name = std::getenv("BACKSTAY_SIM_PLAN");
  if (name != nullptr && std::string_view(name) == "mild") {
    plan.latency_max = absl::Milliseconds(2);
    plan.socket_buffer_bytes = 4096;
    plan.segment_bytes_max = 1460;
    plan.late_completions = 300'000;
    plan.cancel_loses = 900'000;
    plan.slow_sync = 300'000;
    plan.slow_sync_max = absl::Milliseconds(100);
    plan.evict = 300'000;
  }
  return plan;
}

class SimContractWorld : public ContractWorld {
 public:
  SimContractWorld()
      : world_(NextSeed(), Plan()),
        host_(world_.AddHost("here", SocketAddress::V4({10, 0, 0, 1}, 0))),
        peer_host_(world_.AddHost("peer", SocketAddress::V4({10, 0, 0, 2}, 0))),
        io_(world_.MakeIo(host_)),
        peer_io_(world_.MakeIo(peer_host_)) {
    world_.SetResolver(
        [this](std::string_view name, DnsType type) { return zone_.Answer(name, type); });
    ASSERT(host_.disk().WalkDirectory("/scratch", /*create=*/true) != kNoNode);
  }

  Io& io() override { return *io_; }
  Io& peer_io() override { return *peer_io_; }
  SocketAddress listen_address() override { return host_.address(); }
  SocketAddress refusing_address() override { return host_.address().WithPort(9); }
  DnsZone& zone() override { return zone_; }
  std::string scratch_directory() override { return "/scratch"; }
  void OpenScratchToTheWorld() override { host_.disk().SetWorldAccess("/scratch", true); }

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

  DnsZone zone_;
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
