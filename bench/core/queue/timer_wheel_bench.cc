// bench/core/queue/timer_wheel_bench.cc -- what a deadline costs that is moved and seldom fires.
#include "core/queue/timer_wheel.h"

#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

namespace backstay {
namespace {

class Client {
 public:
  void OnDeadline() { ++fired_; }
  uint64_t fired_ = 0;
  Alarm<&Client::OnDeadline> deadline_{this};
};

// Each command of a client moves its deadline, in the midst of those of all the others.
void MoveADeadline(benchmark::State& state) {
  Instant now = Instant::FromNanoseconds(1'000'000'000);
  TimerWheel wheel(now);
  std::vector<std::unique_ptr<Client>> clients;
  for (int64_t count = 0; count < state.range(0); ++count) {
    clients.push_back(std::make_unique<Client>());
    wheel.Insert(&clients.back()->deadline_, now + absl::Minutes(5));
  }
  size_t next = 0;
  for (auto _ : state) {
    now = now + absl::Microseconds(10);
    wheel.Advance(now);
    wheel.Insert(&clients[next]->deadline_, now + absl::Minutes(5));
    next = next + 1 == clients.size() ? 0 : next + 1;
  }
  for (const std::unique_ptr<Client>& client : clients) {
    wheel.Cancel(&client->deadline_);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(MoveADeadline)->ArgName("clients")->Arg(1000)->Arg(100'000);

}  // namespace
}  // namespace backstay
