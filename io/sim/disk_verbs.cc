// io/sim/disk_verbs.cc -- file operations: when each takes effect, and what goes wrong.
//
// An operation takes effect when it completes, the latest moment that the contract allows; so bytes
// of a write that are changed too early, and a sync that does not wait for its writes, show.
#include <algorithm>
#include <cstring>

#include "core/base/check.h"
#include "core/base/crc32c.h"
#include "io/sim/backend.h"

namespace backstay {

Fd Io::Backend::AddNode(DescriptorKind kind, NodeId node) {
  Descriptor descriptor;
  descriptor.kind = kind;
  descriptor.object = static_cast<uint64_t>(node);
  descriptor.writable = true;
  return Add(descriptor);
}

PendingOp& Io::Backend::StartDisk(Op* op, IoVerb verb, Fd fd, OpToken* token) {
  const bool on_directory = verb == IoVerb::kOpen || verb == IoVerb::kUnlink ||
                            verb == IoVerb::kRename || verb == IoVerb::kSyncDirectory;
  if (verb != IoVerb::kOpen || fd.valid()) {
    Get(fd, on_directory ? DescriptorKind::kDirectory : DescriptorKind::kFile);
  }
  PendingOp& pending = Start(op, verb, fd, token);
  pending.injected = world_.CountDiskOperation(id_, verb);
  pending.count_max = world_.ShortenedTo(verb);
  const FaultPlan& plan = world_.plan();
  const bool is_sync = verb == IoVerb::kSyncData || verb == IoVerb::kSyncDirectory;
  absl::Duration time = is_sync ? world_.DrawDuration(plan.sync_min, plan.sync_max)
                                : world_.DrawDuration(plan.disk_min, plan.disk_max);
  if (is_sync && world_.Draw(plan.slow_sync)) {
    time += world_.DrawDuration(absl::ZeroDuration(), plan.slow_sync_max);
  }
  world_.scheduler().After(time, [world = &world_, named = *token] {
    Backend* backend = world->FindBackend(named.backend);
    if (backend != nullptr) {
      backend->RunDisk(named);
    }
  });
  return pending;
}

void Io::Backend::RunDisk(const OpToken& token) {
  const PendingOp* pending = Find(token);
  if (pending == nullptr) {
    return;  // canceled
  }
  const PendingOp op = *pending;
  Complete(token, DoDisk(op));
}

IoResult Io::Backend::DoDisk(const PendingOp& op) {
  switch (op.verb) {
    case IoVerb::kOpen:
      return DoOpen(op);
    case IoVerb::kRead:
      return DoRead(op);
    case IoVerb::kWrite:
      return DoWrite(op);
    case IoVerb::kSyncData:
      return DoSyncData(op);
    case IoVerb::kSyncDirectory:
      return DoSyncDirectory(op);
    case IoVerb::kAllocate:
    case IoVerb::kTruncate:
      return DoResize(op);
    case IoVerb::kUnlink:
      return DoUnlink(op);
    case IoVerb::kRename:
      return DoRename(op);
    case IoVerb::kAccept:
    case IoVerb::kConnect:
    case IoVerb::kReceive:
    case IoVerb::kSend:
    case IoVerb::kAsk:
      break;
  }
  UNREACHABLE();
}

std::optional<IoError> Io::Backend::DrawFailure(const PendingOp& op, uint32_t per_million,
                                                IoError error) {
  if (op.injected.has_value()) {
    return op.injected;
  }
  return world_.Draw(per_million) ? std::optional(error) : std::nullopt;
}

// Without a descriptor the name is a path: its last component is left of it.
NodeId Io::Backend::DirectoryOf(PendingOp& op) {
  if (op.fd.valid()) {
    return NodeId{Get(op.fd, DescriptorKind::kDirectory).object};
  }
  const size_t slash = op.name.rfind('/');
  ASSERT(slash != std::string::npos);  // a simulated host has no current directory
  const NodeId directory = host_.disk().WalkDirectory(op.name.substr(0, slash), /*create=*/false);
  op.name.erase(0, slash + 1);
  return directory;
}

IoResult Io::Backend::DoOpen(PendingOp op) {
  Disk& disk = host_.disk();
  const NodeId directory = DirectoryOf(op);
  const std::optional<IoError> failure =
      DrawFailure(op, world_.plan().open_error, IoError::kDevice);
  if (failure.has_value()) {
    return IoResult::Failure(*failure);
  }
  if (directory == kNoNode) {
    return IoResult::Failure(IoError::kNotFound);
  }
  const bool create = op.mode == OpenMode::kCreateNew || op.mode == OpenMode::kCreateOrOpen ||
                      op.mode == OpenMode::kAppend;
  const bool writable = create || op.mode == OpenMode::kReadWrite;
  NodeId node = disk.Find(directory, op.name);
  if (node != kNoNode && op.mode == OpenMode::kCreateNew) {
    return IoResult::Failure(IoError::kExists);
  }
  if (node == kNoNode && !create) {
    return IoResult::Failure(IoError::kNotFound);
  }
  if (writable && disk.read_only()) {
    return IoResult::Failure(IoError::kReadOnly);
  }
  if (node != kNoNode && disk.IsDirectory(node)) {
    return IoResult::Failure(IoError::kInvalid);
  }
  if (node == kNoNode) {
    const IoError error = disk.Create(directory, op.name, /*is_directory=*/false, &node);
    ASSERT(error == IoError::kNone);
  }
  const Fd fd = AddNode(DescriptorKind::kFile, node);
  Descriptor& descriptor = Get(fd, DescriptorKind::kFile);
  descriptor.writable = writable;
  descriptor.direct = op.mode == OpenMode::kReadDirect;
  return IoResult::Descriptor(fd);
}

IoResult Io::Backend::DoRead(const PendingOp& op) {
  const FaultPlan& plan = world_.plan();
  const Descriptor& descriptor = Get(op.fd, DescriptorKind::kFile);
  SimFile& file = host_.disk().File(NodeId{descriptor.object});
  const std::optional<IoError> failure = DrawFailure(op, plan.read_error, IoError::kDevice);
  if (failure.has_value() || host_.disk().IsUnreadable(NodeId{descriptor.object})) {
    return IoResult::Failure(failure.value_or(IoError::kDevice));
  }
  MutableBytes into = op.into;
  if (into.size() > 1 && world_.Draw(plan.short_read)) {
    into = into.first(static_cast<size_t>(world_.random().Between(1, into.size())));
  }
  into = into.first(std::min(into.size(), op.count_max.value_or(into.size())));
  if (world_.Draw(plan.evict)) {
    file.Evict(op.at, into.size());
  }
  return IoResult::Count(descriptor.direct ? file.ReadDirect(op.at, into) : file.Read(op.at, into));
}

IoResult Io::Backend::DoWrite(PendingOp op) {
  const FaultPlan& plan = world_.plan();
  const Descriptor& descriptor = Get(op.fd, DescriptorKind::kFile);
  Disk& disk = host_.disk();
  const NodeId node{descriptor.object};
  ASSERT(descriptor.writable);
  if (op.at == kAtTheEnd) {
    op.at = disk.File(node).size();
  }
  world_.Trace(TraceKind::kContent, id_, Crc32c(0, op.from), op.at);
  std::optional<IoError> failure = DrawFailure(op, plan.write_error, IoError::kDevice);
  if (!failure.has_value()) {
    failure = DrawFailure(op, plan.write_no_space, IoError::kNoSpace);
  }
  if (failure.has_value()) {
    if (!disk.read_only() && world_.Draw(plan.failed_write_applies)) {
      const uint64_t room = disk.RoomFor(node, op.at + op.from.size());
      const uint64_t most = room > op.at ? room - op.at : 0;
      disk.File(node).Write(op.at,
                            op.from.first(static_cast<size_t>(world_.random().Between(0, most))));
    }
    return IoResult::Failure(*failure);
  }
  if (!disk.read_only() && world_.Draw(plan.read_only)) {
    world_.MakeReadOnly(host_);
  }
  if (disk.read_only()) {
    return IoResult::Failure(IoError::kReadOnly);
  }
  if (world_.Draw(plan.zero_write)) {
    return IoResult::Count(0);
  }
  const uint64_t room = disk.RoomFor(node, op.at + op.from.size());
  if (room <= op.at && !op.from.empty()) {
    return IoResult::Failure(IoError::kNoSpace);
  }
  size_t count = static_cast<size_t>(std::min<uint64_t>(op.from.size(), room - op.at));
  if (count > 1 && world_.Draw(plan.short_write)) {
    count = static_cast<size_t>(world_.random().Between(1, count));
  }
  count = std::min(count, op.count_max.value_or(count));
  disk.File(node).Write(op.at, op.from.first(count));
  return IoResult::Count(count);
}

IoResult Io::Backend::DoSyncData(const PendingOp& op) {
  const NodeId node{Get(op.fd, DescriptorKind::kFile).object};
  SimFile& file = host_.disk().File(node);
  const std::optional<IoError> failure =
      DrawFailure(op, world_.plan().sync_error, IoError::kDevice);
  if (failure.has_value()) {
    file.FailSync(op.at, world_.plan(), world_.random());
    return IoResult::Failure(*failure);
  }
  file.Sync(op.at);
  return IoResult::Count(0);
}

IoResult Io::Backend::DoSyncDirectory(const PendingOp& op) {
  const NodeId node{Get(op.fd, DescriptorKind::kDirectory).object};
  const std::optional<IoError> failure =
      DrawFailure(op, world_.plan().sync_error, IoError::kDevice);
  if (failure.has_value()) {
    return IoResult::Failure(*failure);
  }
  host_.disk().SyncDirectory(node, op.at);
  return IoResult::Count(0);
}

IoResult Io::Backend::DoResize(const PendingOp& op) {
  const Descriptor& descriptor = Get(op.fd, DescriptorKind::kFile);
  const NodeId node{descriptor.object};
  ASSERT(descriptor.writable);
  const std::optional<IoError> failure =
      DrawFailure(op, world_.plan().open_error,
                  op.verb == IoVerb::kAllocate ? IoError::kNoSpace : IoError::kDevice);
  if (failure.has_value()) {
    return IoResult::Failure(*failure);
  }
  if (host_.disk().read_only()) {
    return IoResult::Failure(IoError::kReadOnly);
  }
  SimFile& file = host_.disk().File(node);
  const bool grows = op.at > file.size();
  if (grows && op.verb == IoVerb::kAllocate && host_.disk().RoomFor(node, op.at) < op.at) {
    return IoResult::Failure(IoError::kNoSpace);
  }
  if (grows || op.verb == IoVerb::kTruncate) {
    file.Resize(op.at);
  }
  return IoResult::Count(0);
}

IoResult Io::Backend::DoUnlink(const PendingOp& op) {
  const NodeId directory{Get(op.fd, DescriptorKind::kDirectory).object};
  const std::optional<IoError> failure =
      DrawFailure(op, world_.plan().open_error, IoError::kDevice);
  if (failure.has_value()) {
    return IoResult::Failure(*failure);
  }
  const IoError error = host_.disk().Unlink(directory, op.name);
  return error == IoError::kNone ? IoResult::Count(0) : IoResult::Failure(error);
}

IoResult Io::Backend::DoRename(const PendingOp& op) {
  const NodeId directory{Get(op.fd, DescriptorKind::kDirectory).object};
  const std::optional<IoError> failure =
      DrawFailure(op, world_.plan().open_error, IoError::kDevice);
  const IoError error = failure.value_or(IoError::kNone) != IoError::kNone
                            ? *failure
                            : host_.disk().Rename(directory, op.name, op.other_name);
  return error == IoError::kNone ? IoResult::Count(0) : IoResult::Failure(error);
}

// The kernel may have begun, or even finished, what was in flight when the process died.
void Io::Backend::FinishInFlightAtRandom(CrashMode mode) {
  if (mode == CrashMode::kNothingUnsynced) {
    return;
  }
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    PendingOp op = slots_[slot];
    const bool changes = op.verb == IoVerb::kOpen || op.verb == IoVerb::kWrite ||
                         op.verb == IoVerb::kAllocate || op.verb == IoVerb::kTruncate ||
                         op.verb == IoVerb::kUnlink || op.verb == IoVerb::kRename;
    if (op.op == nullptr || op.last_queued || !changes || !world_.random().Chance(1, 2)) {
      continue;
    }
    if (op.verb == IoVerb::kWrite) {
      op.from = op.from.first(static_cast<size_t>(world_.random().Between(0, op.from.size())));
    }
    DoDisk(op);
  }
}

}  // namespace backstay
