// io/sim/backend.cc -- slots, completions and turns of one simulated Io.
#include "io/sim/backend.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "io/sim/network.h"

namespace backstay {

Io::Backend::Backend(World& world, Host& host, uint32_t id, Random random)
    : busy_until(world.Now()),
      world_(world),
      host_(host),
      id_(id),
      random_(random),
      now_(world.Now()),
      wall_(world.WallNow()) {}

Io::Backend::~Backend() {
  if (!dead_) {
    for (const PendingOp& op : slots_) {
      ASSERT(op.op == nullptr);  // "no op may be in flight"
    }
    while (!descriptors_.empty()) {
      Close(Fd(descriptors_.begin()->first));  // as the end of a process does
    }
  }
  world_.RemoveBackend(id_);
}

// ---- ops ----

PendingOp& Io::Backend::Start(Op* op, IoVerb verb, Fd fd, OpToken* token) {
  ASSERT(!dead_);
  ASSERT(!op->in_flight);
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  PendingOp& pending = slots_[slot];
  pending = PendingOp();
  pending.op = op;
  pending.serial = world_.NextSerial();
  pending.verb = verb;
  pending.fd = fd;
  op->in_flight = true;
  op->backend_slot = slot + 1;
  *token = OpToken{id_, slot, pending.serial};
  world_.Trace(TraceKind::kSubmit, id_, static_cast<uint64_t>(verb),
               static_cast<uint64_t>(fd.number()));
  return pending;
}

PendingOp* Io::Backend::Find(const OpToken& token) {
  PendingOp& pending = slots_[token.slot];
  const bool same = pending.op != nullptr && pending.serial == token.serial;
  return same && !pending.last_queued ? &pending : nullptr;
}

void Io::Backend::Complete(const OpToken& token, const IoResult& result) {
  Queue(Ready{token, result, std::string(), false});
}

void Io::Backend::CompleteLent(const OpToken& token, std::string lent) {
  ++lent_waiting_;
  Queue(Ready{token, IoResult::Lent(Bytes()), std::move(lent), true});
}

void Io::Backend::Queue(Ready ready) {
  PendingOp* pending = Find(ready.token);
  ASSERT(pending != nullptr);
  pending->last_queued = !ready.result.more();
  ready_.push_back(std::move(ready));
  world_.WantTurn(*this,
                  world_.Now() + world_.DrawDuration(absl::ZeroDuration(), absl::Microseconds(5)));
}

bool Io::Backend::InFlightOn(Fd fd) const {
  return std::any_of(slots_.begin(), slots_.end(), [&](const PendingOp& pending) {
    return pending.op != nullptr && pending.fd == fd;
  });
}

void Io::Backend::Cancel(Op* op) {
  if (dead_ || !op->in_flight) {
    return;
  }
  const uint32_t slot = op->backend_slot - 1;
  ASSERT(slots_[slot].op == op);
  const OpToken token{id_, slot, slots_[slot].serial};
  world_.Trace(TraceKind::kCancel, id_, static_cast<uint64_t>(slots_[slot].verb));
  const absl::Duration delay = world_.DrawDuration(absl::ZeroDuration(), absl::Microseconds(20));
  world_.scheduler().After(delay, [world = &world_, token] {
    Backend* backend = world->FindBackend(token.backend);
    if (backend != nullptr) {
      backend->CancelArrives(token);
    }
  });
}

// The last completion may be queued already: then the cancel has lost. A file operation that has
// begun is not stopped either; a socket operation that waits always is.
void Io::Backend::CancelArrives(const OpToken& token) {
  const PendingOp* pending = Find(token);
  if (pending == nullptr) {
    return;
  }
  if (!IsSocketVerb(pending->verb) && world_.Draw(world_.plan().cancel_loses)) {
    return;
  }
  Complete(token, IoResult::Failure(IoError::kCanceled));
}

// ---- descriptors ----

Fd Io::Backend::Add(const Descriptor& descriptor) {
  // Numbers are never used twice, so that use after close is always found.
  const int number = world_.NextDescriptor();
  descriptors_[number] = descriptor;
  if (descriptor.kind == DescriptorKind::kFile || descriptor.kind == DescriptorKind::kDirectory) {
    host_.disk().AddOpen(NodeId{descriptor.object});
  }
  return Fd(number);
}

Descriptor* Io::Backend::FindDescriptor(Fd fd) {
  const auto found = descriptors_.find(fd.number());
  return found == descriptors_.end() ? nullptr : &found->second;
}

Descriptor& Io::Backend::Get(Fd fd, DescriptorKind kind) {
  Descriptor* descriptor = FindDescriptor(fd);
  ASSERT(descriptor != nullptr);  // closed, of another Io, or never opened
  ASSERT(descriptor->kind == kind);
  return *descriptor;
}

void Io::Backend::Close(Fd fd) {
  if (dead_) {
    return;
  }
  Descriptor* descriptor = FindDescriptor(fd);
  ASSERT(descriptor != nullptr);
  ASSERT(!InFlightOn(fd));
  const Descriptor closed = *descriptor;
  descriptors_.erase(fd.number());
  switch (closed.kind) {
    case DescriptorKind::kListener:
      world_.network().CloseListener(closed.object, /*host_died=*/false);
      return;
    case DescriptorKind::kSocket:
      world_.network().Close(closed.object, closed.end);
      return;
    case DescriptorKind::kFile:
    case DescriptorKind::kDirectory:
      if (closed.locked) {
        host_.locks().erase(NodeId{closed.object});
      }
      host_.disk().RemoveOpen(NodeId{closed.object});
      return;
  }
  UNREACHABLE();
}

// ---- turns ----

void Io::Backend::Turn(Instant wake) {
  ASSERT(!dead_);
  ASSERT(!in_turn_);
  if (actor == nullptr) {
    world_.DriveUntilReady(*this, wake);
  }
  ++turns;
  now_ = world_.Now();
  wall_ = world_.WallNow();
  const bool active = HasWork() || wake <= now_;
  woken_ = false;
  world_.Trace(TraceKind::kTurn, id_, ready_.size());
  in_turn_ = true;
  RunReady();
  in_turn_ = false;
  // After a turn with work the actor's next wake time is not known yet: one more turn asks for it.
  world_.WantTurn(*this, active || HasWork() ? now_ : wake);
}

// A drawn order of `ready` in which the events of one op keep theirs.
std::vector<size_t> Io::Backend::DrawOrder(const std::vector<Ready>& ready) {
  std::vector<size_t> order(ready.size());
  std::map<uint64_t, std::vector<size_t>> places;  // of the events of each op
  for (size_t index = 0; index < order.size(); ++index) {
    order[index] = index;
    std::swap(order[index], order[static_cast<size_t>(world_.random().Below(index + 1))]);
  }
  for (size_t place = 0; place < order.size(); ++place) {
    places[ready[order[place]].token.serial].push_back(place);
  }
  std::map<uint64_t, size_t> taken;
  for (size_t index = 0; index < ready.size(); ++index) {
    const uint64_t serial = ready[index].token.serial;
    order[places[serial][taken[serial]++]] = index;
  }
  return order;
}

// Some completions may wait for the next turn.
void Io::Backend::RunReady() {
  std::vector<Ready> batch = std::move(ready_);
  ready_.clear();
  const std::vector<size_t> order = DrawOrder(batch);
  size_t most = order.size();
  if (most > 1 && world_.Draw(world_.plan().late_completions)) {
    most = static_cast<size_t>(world_.random().Between(1, most));
  }
  for (size_t count = 0; count < most; ++count) {
    RunOne(std::move(batch[order[count]]));
  }
  ASSERT(ready_.empty());  // no verb completes inside a turn
  for (size_t count = most; count < order.size(); ++count) {
    ready_.push_back(std::move(batch[order[count]]));
  }
}

void Io::Backend::RunOne(Ready ready) {
  PendingOp& pending = slots_[ready.token.slot];
  ASSERT(pending.serial == ready.token.serial);
  Op* op = pending.op;
  world_.Trace(TraceKind::kComplete, id_, static_cast<uint64_t>(pending.verb),
               ready.result.ok() ? ready.lent.size() + ready.result.count()
                                 : kTraceError | static_cast<uint64_t>(ready.result.error()));
  if (!ready.result.more()) {
    pending = PendingOp();
    free_slots_.push_back(ready.token.slot);
    op->backend_slot = 0;
    op->in_flight = false;
  }
  if (!ready.is_lent) {
    op->run(op, ready.result);
    return;
  }
  --lent_waiting_;
  // A block of its own and of the exact size: reading beyond it or later than allowed is found.
  const size_t count = ready.lent.size();
  const std::unique_ptr<uint8_t[]> block = std::make_unique<uint8_t[]>(count);
  std::copy(ready.lent.begin(), ready.lent.end(), block.get());
  op->run(op, IoResult::Lent(Bytes(block.get(), count)));
  std::fill_n(block.get(), count, uint8_t{0xdd});
}

void Io::Backend::Wake() {
  if (dead_) {
    return;
  }
  woken_ = true;
  world_.Trace(TraceKind::kWake, id_);
  world_.WantTurn(*this,
                  world_.Now() + world_.DrawDuration(absl::ZeroDuration(), absl::Microseconds(20)));
}

void Io::Backend::Die(CrashMode mode) {
  ASSERT(!in_turn_);
  ASSERT(!dead_);
  FinishInFlightAtRandom(mode);
  dead_ = true;
  actor = nullptr;
  for (PendingOp& pending : slots_) {
    if (pending.op != nullptr) {
      pending.op->in_flight = false;
      pending.op->backend_slot = 0;
      pending = PendingOp();
    }
  }
  ready_.clear();
  for (const auto& [number, descriptor] : descriptors_) {
    if (descriptor.kind == DescriptorKind::kListener) {
      world_.network().CloseListener(descriptor.object, /*host_died=*/true);
    } else if (descriptor.kind == DescriptorKind::kSocket) {
      world_.network().Abandon(descriptor.object, descriptor.end, /*host_died=*/true);
    }
  }
  descriptors_.clear();
}

}  // namespace backstay
