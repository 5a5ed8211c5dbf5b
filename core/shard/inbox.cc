// core/shard/inbox.cc -- rings for each pair of shards.
#include "core/shard/inbox.h"

namespace backstay {
namespace {

// A destination changes state at most about once a second. Rings for each pair of 64 shards are
// 4,000, so they are short; what finds one full waits in the sender's backlog.
constexpr size_t kRingCapacity = 64;

}  // namespace

PostOffice::PostOffice(size_t shards) : shards_(shards), ios_(shards + 1), backlogs_(shards + 2) {
  rings_.resize((shards + 2) * (shards + 1));
  for (size_t pair = 0; pair < rings_.size(); ++pair) {
    const size_t from = pair / (shards + 1);
    const bool is_to_desk = pair % (shards + 1) == shards;
    if (from < shards || !is_to_desk) {  // neither the engine nor the desk writes to the desk
      rings_[pair] = std::make_unique<SpscRing<ShardMessage>>(kRingCapacity);
    }
  }
}

bool PostOffice::TryPost(size_t from, size_t to, const ShardMessage& message) {
  if (!Ring(from, to).Push(message)) {
    return false;
  }
  Io* io = ios_[Receiver(to)].load();
  if (io != nullptr) {
    io->Wake();
  }
  return true;
}

void PostOffice::Post(size_t from, size_t to, const ShardMessage& message) {
  ASSERT(from <= desk());
  ASSERT(to != engine());
  // Order matters (down, up): nothing overtakes what waits already.
  if (!backlogs_[from].empty() || !TryPost(from, to, message)) {
    backlogs_[from].push_back({to, message});
  }
}

void PostOffice::Flush(size_t from) {
  std::deque<Waiting>& backlog = backlogs_[from];
  while (!backlog.empty() && TryPost(from, backlog.front().to, backlog.front().message)) {
    backlog.pop_front();
  }
}

void PostOffice::Drain(size_t to, absl::FunctionRef<void(const ShardMessage&)> receive) {
  const size_t senders = to == desk() ? shards_ : desk() + 1;
  for (size_t from = 0; from < senders; ++from) {
    ShardMessage message;
    // The bound keeps a flood from holding the turn; what comes meanwhile brings its own wake-up.
    for (size_t count = 0; count < kRingCapacity && Ring(from, to).Pop(message); ++count) {
      receive(message);
    }
  }
}

}  // namespace backstay
