// core/shard/engine.cc -- one pinned thread for each shard.
#include "core/shard/engine.h"

#include <pthread.h>
#include <sched.h>

#include <cstring>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "core/shard/giving_up.h"

namespace backstay {
namespace {

constexpr Fd kStandardError{2};

// A shard keeps its core's caches; where it cannot be pinned (cpuset), it runs unpinned.
void PinToCore(size_t index) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
    return;
  }
  const auto usable = static_cast<size_t>(CPU_COUNT(&allowed));
  if (usable == 0) {
    return;
  }
  size_t wanted = index % usable;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &allowed)) {
      continue;
    }
    if (wanted-- == 0) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(core, &one);
      (void)pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
      return;
    }
  }
}

}  // namespace

Engine::Engine(MakeIo make_io, std::unique_ptr<const Snapshot> snapshot,
               const SpoolDirectory& spool)
    : make_io_(make_io),
      snapshot_(std::move(snapshot)),
      spool_(spool),
      post_(spool.shard_directories().size()),
      ios_(spool.shard_directories().size()),
      errors_(spool.shard_directories().size()),
      ios_made_(spool.shard_directories().size()) {}

Engine::~Engine() {
  Join();
}

absl::Status Engine::Listen(Io& io) {
  for (size_t index = 0; index < spool_.intake_shards(); ++index) {
    absl::StatusOr<std::vector<Fd>> sockets =
        OpenListeners(io, snapshot_->config.smtp.listen, index);
    if (!sockets.ok()) {
      CloseListeners(io);
      return sockets.status();
    }
    listeners_.push_back(*std::move(sockets));
  }
  // Those of an earlier run with more shards take nothing new: they are empty one day.
  listeners_.resize(post_.shards());
  return absl::OkStatus();
}

void Engine::CloseListeners(Io& io) {
  for (const std::vector<Fd>& sockets : listeners_) {
    for (const Fd socket : sockets) {
      io.Close(socket);
    }
  }
  listeners_.clear();
}

absl::Status Engine::Start(Io& io) {
  ASSERT(listeners_.size() == post_.shards());
  // They stay over a reload, so that clients need no full handshake behind one.
  ticket_keys_.emplace(NewTicketSecret(), io.Now());
  shared_.emplace(post_.shards(), snapshot_->connections_max, io.random().Next());
  OpenRecipients(io);
  OpenPrimaries(io);
  const size_t shards = post_.shards();
  for (size_t index = 0; index < shards; ++index) {
    threads_.emplace_back([this, index] { RunShard(index); });
  }
  uint32_t seen = progress_.changes.load();
  while (progress_.ready.load() + progress_.failed.load() < shards) {
    progress_.changes.wait(seen);
    seen = progress_.changes.load();
  }
  if (progress_.failed.load() == 0) {
    return absl::OkStatus();
  }
  Stop();
  Join();
  for (size_t index = 0; index < shards; ++index) {
    if (!errors_[index].ok()) {
      failed_at_ = ios_made_[index] ? Step::kOpenSpool : Step::kMakeIo;
      return errors_[index];
    }
  }
  UNREACHABLE();
}

// Mail is taken without them as well.
void Engine::OpenRecipients(Io& io) {
  SipKey fresh;
  const TicketSecret random = NewTicketSecret();
  static_assert(sizeof(fresh) <= sizeof(random));
  std::memcpy(&fresh, random.data(), sizeof(fresh));
  const absl::StatusOr<RecipientFiles> files = OpenRecipientFiles(io, spool_.root(), fresh);
  recipients_.secret = fresh;
  if (files.ok()) {
    recipients_ = *files;
  } else {
    LogWarning("recipients: {}; what is learned of them is not kept",
               std::string(files.status().message()));
  }
}

void Engine::OpenPrimaries(Io& io) {
  absl::StatusOr<PrimaryFiles> files = OpenPrimaryFiles(io, spool_.root());
  if (files.ok()) {
    primaries_ = *std::move(files);
  } else {
    LogWarning("primaries: {}; a start will not know where they were, nor that one is down",
               std::string(files.status().message()));
  }
}

void Engine::RunShard(size_t index) {
  PinToCore(index);
  errors_[index] = ServeShard(index);
  if (!errors_[index].ok()) {
    progress_.failed.fetch_add(1);
    progress_.changes.fetch_add(1);
    progress_.changes.notify_all();
  }
}

absl::Status Engine::ServeShard(size_t index) {
  ASSIGN_OR_RETURN(ios_[index], make_io_());
  Io& io = *ios_[index];
  ios_made_[index] = true;
  Shard shard(io, {.index = index,
                   .spool_directory = spool_.shard_directories()[index],
                   .listeners = listeners_[index],
                   .intake_shards = spool_.intake_shards(),
                   .node = spool_.node(),
                   .post = post_,
                   .shared = *shared_,
                   .snapshot = *snapshot_,
                   .ticket_keys = *ticket_keys_,
                   .standard_error = kStandardError,
                   .recipients = recipients_,
                   .primaries = primaries_});
  post_.Register(index, &io);
  shard.Start();
  bool counted = false;
  while (!shard.finished()) {
    shard.Turn();
    if (!counted && shard.serving()) {
      counted = true;
      progress_.ready.fetch_add(1);
      progress_.changes.fetch_add(1);
      progress_.changes.notify_all();
    }
  }
  return counted ? absl::OkStatus() : shard.status();
}

// Until every shard has taken it.
void Engine::PostAndWait(ShardMessage message) {
  std::atomic<uint32_t> taken{0};
  message.taken = &taken;
  for (size_t shard = 0; shard < post_.shards(); ++shard) {
    post_.Post(post_.engine(), shard, message);
  }
  for (uint32_t count = taken.load(); count < post_.shards(); count = taken.load()) {
    taken.wait(count);
  }
}

absl::Status Engine::KeepsMail(const Snapshot& next) {
  GivingUp sum;
  PostAndWait({.kind = ShardMessage::Kind::kReloadPlanned, .snapshot = &next, .giving_up = &sum});
  return Judge(sum, next);
}

void Engine::Reload(std::unique_ptr<const Snapshot> snapshot) {
  PostAndWait({.kind = ShardMessage::Kind::kReload, .snapshot = snapshot.get()});
  snapshot_ = std::move(snapshot);  // no shard can look at the old one any more
}

void Engine::Stop() {
  if (std::exchange(stopping_, true)) {
    return;
  }
  for (size_t shard = 0; shard < post_.shards(); ++shard) {
    post_.Post(post_.engine(), shard, {.kind = ShardMessage::Kind::kStop});
  }
}

void Engine::Join() {
  for (std::thread& thread : threads_) {
    thread.join();
  }
  threads_.clear();
  ios_.clear();  // only now: until here another shard might have been waking one of them
}

}  // namespace backstay
