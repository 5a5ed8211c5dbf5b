// core/shard/inbox.cc -- rings for each pair of shards.
#include "core/shard/inbox.h"

namespace backstay {
namespace {

// A destination changes state at most about once a second, so this is hours of backlog.
constexpr size_t kRingCapacity = 1024;

}  // namespace

PostOffice::PostOffice(size_t shards) : shards_(shards), ios_(shards), backlogs_(shards + 1) {
  rings_.reserve((shards + 1) * shards);
  for (size_t pair = 0; pair < (shards + 1) * shards; ++pair) {
    rings_.push_back(std::make_unique<SpscRing<ShardMessage>>(kRingCapacity));
  }
}

bool PostOffice::TryPost(size_t from, size_t to, const ShardMessage& message) {
  if (!Ring(from, to).Push(message)) {
    return false;
  }
  Io* io = ios_[to].load();
  if (io != nullptr) {
    io->Wake();
  }
  return true;
}

void PostOffice::Post(size_t from, size_t to, const ShardMessage& message) {
  ASSERT(from <= shards_);
  ASSERT(to < shards_);
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
  for (size_t from = 0; from <= shards_; ++from) {
    ShardMessage message;
    // The bound keeps a flood from holding the turn; what comes meanwhile brings its own wake-up.
    for (size_t count = 0; count < kRingCapacity && Ring(from, to).Pop(message); ++count) {
      receive(message);
    }
  }
}

}  // namespace backstay
