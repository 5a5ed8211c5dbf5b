// io/sim/sim_io.cc -- the verbs of Io, handed to the simulated network, disk and clock.
#include <fmt/format.h>

#include <utility>

#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "io/sim/backend.h"
#include "io/sim/network.h"

namespace backstay {

Io::Io(std::unique_ptr<Backend> backend) : backend_(std::move(backend)) {}
Io::~Io() = default;

Instant Io::Now() const {
  return backend_->now();
}

WallTime Io::WallNow() const {
  return backend_->wall();
}

Random& Io::random() {
  return backend_->random();
}

void Io::Turn(Instant wake) {
  backend_->Turn(wake);
}

void Io::Wake() {
  backend_->Wake();
}

void Io::Cancel(Op* op) {
  backend_->Cancel(op);
}

void Io::Close(Fd fd) {
  backend_->Close(fd);
}

// ---- network ----

absl::StatusOr<Fd> Io::ListenFirst(const SocketAddress& address, int backlog) {
  SimNetwork& network = backend_->world().network();
  if (network.HasListener(backend_->host(), address)) {
    return absl::FailedPreconditionError(
        fmt::format("cannot listen on {}: another program has it", address.ToString()));
  }
  return Listen(address, backlog);
}

absl::StatusOr<Fd> Io::Listen(const SocketAddress& address, int backlog) {
  SimNetwork& network = backend_->world().network();
  ASSIGN_OR_RETURN(const uint64_t listener, network.Listen(backend_->host(), address, backlog));
  Descriptor descriptor;
  descriptor.kind = DescriptorKind::kListener;
  descriptor.object = listener;
  return backend_->Add(descriptor);
}

SocketAddress Io::LocalAddress(Fd socket) {
  SimNetwork& network = backend_->world().network();
  const Descriptor* descriptor = backend_->FindDescriptor(socket);
  ASSERT(descriptor != nullptr);
  if (descriptor->kind == DescriptorKind::kListener) {
    return network.ListenerAddress(descriptor->object);
  }
  const Descriptor& connected = backend_->Get(socket, DescriptorKind::kSocket);
  return network.LocalAddress(connected.object, connected.end);
}

SocketAddress Io::PeerAddress(Fd socket) {
  const Descriptor& descriptor = backend_->Get(socket, DescriptorKind::kSocket);
  return backend_->world().network().PeerAddress(descriptor.object, descriptor.end);
}

std::vector<SocketAddress> Io::OwnAddresses() {
  return {backend_->host().address()};
}

void Io::Ask(Op* op, std::string_view name, DnsType type) {
  OpToken token;
  backend_->Start(op, IoVerb::kAsk, Fd(), &token);
  backend_->world().Ask(token, name, type);
}

void Io::Accept(Op* op, Fd listener) {
  const Descriptor& descriptor = backend_->Get(listener, DescriptorKind::kListener);
  OpToken token;
  backend_->Start(op, IoVerb::kAccept, listener, &token);
  backend_->world().network().Accept(token, descriptor.object);
}

void Io::ConnectFrom(Op* op, const SocketAddress& from, const SocketAddress& to) {
  OpToken token;
  PendingOp& pending = backend_->Start(op, IoVerb::kConnect, Fd(), &token);
  pending.to = to;
  pending.source = from;
  backend_->world().network().Connect(token);
}

void Io::Receive(Op* op, Fd socket) {
  const Descriptor& descriptor = backend_->Get(socket, DescriptorKind::kSocket);
  OpToken token;
  backend_->Start(op, IoVerb::kReceive, socket, &token);
  backend_->world().network().Receive(token, descriptor.object, descriptor.end);
}

void Io::Send(Op* op, Fd socket, Bytes bytes) {
  const Descriptor& descriptor = backend_->Get(socket, DescriptorKind::kSocket);
  OpToken token;
  backend_->Start(op, IoVerb::kSend, socket, &token).from = bytes;
  backend_->world().network().Send(token, descriptor.object, descriptor.end);
}

void Io::Shutdown(Fd socket) {
  if (backend_->dead()) {
    return;
  }
  const Descriptor& descriptor = backend_->Get(socket, DescriptorKind::kSocket);
  backend_->world().network().Shutdown(descriptor.object, descriptor.end);
}

void Io::ShutdownSend(Fd socket) {
  if (backend_->dead()) {
    return;
  }
  const Descriptor& descriptor = backend_->Get(socket, DescriptorKind::kSocket);
  backend_->world().network().ShutdownSend(descriptor.object, descriptor.end);
}

void Io::Dismiss(Fd socket, Bytes text) {
  if (!backend_->dead()) {
    const Descriptor& descriptor = backend_->Get(socket, DescriptorKind::kSocket);
    backend_->world().network().Dismiss(descriptor.object, descriptor.end, text);
  }
  backend_->Close(socket);
}

// ---- start-up and rare questions about files ----

absl::StatusOr<Fd> Io::OpenDirectory(const std::string& path, bool create) {
  Disk& disk = backend_->host().disk();
  const NodeId node = disk.WalkDirectory(path, create);
  if (node == kNoNode) {
    return disk.read_only() && create ? absl::FailedPreconditionError(fmt::format(
                                            "cannot create {}: read-only file system", path))
                                      : absl::NotFoundError(fmt::format("no directory {}", path));
  }
  return backend_->AddNode(DescriptorKind::kDirectory, node);
}

absl::StatusOr<Fd> Io::OpenSubdirectory(Fd parent, const std::string& name, bool create) {
  Disk& disk = backend_->host().disk();
  const NodeId directory{backend_->Get(parent, DescriptorKind::kDirectory).object};
  ASSERT(name.find('/') == std::string::npos);
  RETURN_IF_ERROR(backend_->world().CountQuestion());
  NodeId node = disk.Find(directory, name);
  if (node == kNoNode) {
    if (!create) {
      return absl::NotFoundError(fmt::format("no directory {}", name));
    }
    const IoError error = disk.Create(directory, name, /*is_directory=*/true, &node);
    if (error != IoError::kNone) {
      return absl::FailedPreconditionError(
          fmt::format("cannot create {}: {}", name, Describe(error)));
    }
  }
  if (!disk.IsDirectory(node)) {
    return absl::FailedPreconditionError(fmt::format("{} is not a directory", name));
  }
  return backend_->AddNode(DescriptorKind::kDirectory, node);
}

absl::StatusOr<std::vector<DirectoryEntry>> Io::List(Fd directory) {
  const Descriptor& descriptor = backend_->Get(directory, DescriptorKind::kDirectory);
  RETURN_IF_ERROR(backend_->world().CountQuestion());
  return backend_->host().disk().Entries(NodeId{descriptor.object});
}

absl::StatusOr<Fd> Io::LockFile(Fd directory, const std::string& name) {
  Disk& disk = backend_->host().disk();
  const NodeId parent{backend_->Get(directory, DescriptorKind::kDirectory).object};
  NodeId node = disk.Find(parent, name);
  if (node == kNoNode) {
    const IoError error = disk.Create(parent, name, /*is_directory=*/false, &node);
    if (error != IoError::kNone) {
      return absl::InternalError(fmt::format("cannot create {}: {}", name, Describe(error)));
    }
  }
  const auto held = backend_->host().locks().find(node);
  if (held != backend_->host().locks().end()) {
    return absl::FailedPreconditionError(
        fmt::format("{} is locked by process {}", name, held->second));
  }
  backend_->host().locks()[node] = backend_->id();
  const Fd fd = backend_->AddNode(DescriptorKind::kFile, node);
  backend_->Get(fd, DescriptorKind::kFile).locked = true;
  return fd;
}

absl::StatusOr<SpaceReport> Io::FreeSpace(Fd directory) {
  backend_->Get(directory, DescriptorKind::kDirectory);
  RETURN_IF_ERROR(backend_->world().CountQuestion());
  const Disk& disk = backend_->host().disk();
  SpaceReport report;
  report.free_bytes = disk.free_bytes();
  report.total_bytes = report.free_bytes + disk.used_bytes();
  report.free_files = 1'000'000;
  return report;
}

uint64_t Io::NextWritten(Fd file, Offset at) {
  const NodeId node{backend_->Get(file, DescriptorKind::kFile).object};
  return backend_->host().disk().File(node).NextWritten(Value(at));
}

absl::StatusOr<uint64_t> Io::FileBytes(Fd file) {
  const Descriptor& descriptor = backend_->Get(file, DescriptorKind::kFile);
  RETURN_IF_ERROR(backend_->world().CountQuestion());
  return backend_->host().disk().File(NodeId{descriptor.object}).size();
}

absl::StatusOr<bool> Io::WorldAccess(Fd directory) {
  const Descriptor& descriptor = backend_->Get(directory, DescriptorKind::kDirectory);
  return backend_->host().disk().WorldAccess(NodeId{descriptor.object});
}

// ---- files ----

void Io::Open(Op* op, Fd directory, const char* name, OpenMode mode) {
  OpToken token;
  PendingOp& pending = backend_->StartDisk(op, IoVerb::kOpen, directory, &token);
  pending.name = name;
  pending.mode = mode;
}

void Io::OpenPath(Op* op, const char* path, OpenMode mode) {
  Open(op, Fd(), path, mode);
}

void Io::Read(Op* op, Fd file, MutableBytes into, Offset at) {
  OpToken token;
  PendingOp& pending = backend_->StartDisk(op, IoVerb::kRead, file, &token);
  pending.into = into;
  pending.at = Value(at);
}

void Io::Write(Op* op, Fd file, Bytes from, Offset at) {
  OpToken token;
  PendingOp& pending = backend_->StartDisk(op, IoVerb::kWrite, file, &token);
  pending.from = from;
  pending.at = Value(at);
}

void Io::Append(Op* op, Fd file, Bytes from) {
  Write(op, file, from, Offset{Backend::kAtTheEnd});
}

void Io::SyncData(Op* op, Fd file) {
  OpToken token;
  PendingOp& pending = backend_->StartDisk(op, IoVerb::kSyncData, file, &token);
  const NodeId node{backend_->Get(file, DescriptorKind::kFile).object};
  pending.at = backend_->host().disk().File(node).last_change();
}

void Io::SyncDirectory(Op* op, Fd directory) {
  OpToken token;
  PendingOp& pending = backend_->StartDisk(op, IoVerb::kSyncDirectory, directory, &token);
  const NodeId node{backend_->Get(directory, DescriptorKind::kDirectory).object};
  pending.at = backend_->host().disk().LastChange(node);
}

void Io::Allocate(Op* op, Fd file, uint64_t bytes) {
  OpToken token;
  backend_->StartDisk(op, IoVerb::kAllocate, file, &token).at = bytes;
}

void Io::Truncate(Op* op, Fd file, uint64_t bytes) {
  OpToken token;
  backend_->StartDisk(op, IoVerb::kTruncate, file, &token).at = bytes;
}

void Io::Unlink(Op* op, Fd directory, const char* name) {
  OpToken token;
  backend_->StartDisk(op, IoVerb::kUnlink, directory, &token).name = name;
}

void Io::Rename(Op* op, Fd directory, const char* from, const char* to) {
  OpToken token;
  PendingOp& pending = backend_->StartDisk(op, IoVerb::kRename, directory, &token);
  pending.name = from;
  pending.other_name = to;
}

}  // namespace backstay
