// tests/io/contract_world_uring.cc -- two rings on one kernel, 127.0.0.1 and a temporary directory.
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>

#include "core/base/check.h"
#include "io/uring/uring_io.h"
#include "tests/io/contract_world.h"
#include "tests/support/dns_responder.h"

namespace backstay {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);
constexpr absl::Duration kTurnMax = absl::Milliseconds(1);

std::unique_ptr<Io> MakeIo(const std::string& dns_servers) {
  UringOptions options;
  options.seed = 1;
  options.dns_servers = dns_servers;
  auto made = MakeUringIo(options);
  ASSERT(made.ok());
  return std::move(made).value();
}

class UringContractWorld : public ContractWorld {
 public:
  UringContractWorld() : io_(MakeIo(responder_.servers())), peer_io_(MakeIo(responder_.servers())) {
    char name[] = "/tmp/backstay-contract-XXXXXX";
    const char* made = mkdtemp(name);
    ASSERT(made != nullptr);
    scratch_ = made;
  }
  ~UringContractWorld() override {
    std::error_code ignored;
    std::filesystem::remove_all(scratch_, ignored);
  }

  Io& io() override { return *io_; }
  Io& peer_io() override { return *peer_io_; }
  SocketAddress listen_address() override { return SocketAddress::V4({127, 0, 0, 1}, 0); }
  // Port 1 (tcpmux) is below the ephemeral range, and nothing listens on it.
  SocketAddress refusing_address() override { return SocketAddress::V4({127, 0, 0, 1}, 1); }
  DnsZone& zone() override { return zone_; }
  std::string scratch_directory() override { return scratch_; }
  void OpenScratchToTheWorld() override { ASSERT(chmod(scratch_.c_str(), 0705) == 0); }

  bool RunUntil(const std::function<bool()>& done) override {
    const Instant deadline = io_->Now() + kPatience;
    while (!done()) {
      if (io_->Now() > deadline) {
        return false;
      }
      TurnBoth();
    }
    return true;
  }
  void RunFor(absl::Duration duration) override {
    io_->Turn(io_->Now());
    const Instant deadline = io_->Now() + duration;
    while (io_->Now() < deadline) {
      TurnBoth();
    }
  }

 private:
  void TurnBoth() {
    responder_.Poll();
    io_->Turn(io_->Now() + kTurnMax);
    peer_io_->Turn(peer_io_->Now() + kTurnMax);
  }

  DnsZone zone_;
  DnsResponder responder_{zone_};
  std::unique_ptr<Io> io_;
  std::unique_ptr<Io> peer_io_;
  std::string scratch_;
};

}  // namespace

std::unique_ptr<ContractWorld> MakeContractWorld() {
  return std::make_unique<UringContractWorld>();
}

}  // namespace backstay
