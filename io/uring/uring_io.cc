// io/uring/uring_io.cc -- the verbs of Io, each handed to its place.
//
// How a turn spends system calls: every queued op is an entry in shared memory; one io_uring_enter
// hands them over, runs what is due and waits. Calls beyond that: one more enter per
// `submission_entries` ops queued in a turn, shutdown and close of a socket, four to dismiss one,
// four for a connect and two more when it comes from an address. Accepted sockets inherit their
// options from the listener, receiving and sending need none.
// Linux 6.13 and newer run at most 20 pieces of deferred work at a time, twice an enter, so one
// turn brings about 40 receives however many sockets are ready; the next turn does not wait.
//
// Why these operations:
// * Accept is multishot: one entry serves a listener's life.
// * Receive takes a buffer from one ring when bytes are there, so an idle connection holds none; it
//   returns with its completion. It is not multishot: that takes all a peer has sent, 1.5 MiB of
//   one socket in a turn, before its owner can say stop, and 200 such owners held 240 MiB. An entry
//   for each piece costs no call, and waiting first (POLL_FIRST, unless the last piece left bytes)
//   saves the try that finds nothing: 4 KiB messages are taken as fast as with multishot.
// * Send waits in the kernel for room (MSG_WAITALL), so one op carries one turn's replies.
// * Writes, reads and syncs that would block go to kernel workers, `file_workers` at most.
// * kReadDirect uses O_DIRECT, not a hint to drop the cache: after a failed sync the cache may hold
//   bytes that the disk has not, marked clean, and only a direct read is sure to show the disk.
//   Reads that are not aligned to 4 KiB in place, length and memory go through a buffer of their
//   own. File systems that refuse O_DIRECT (tmpfs before 6.6) are opened plainly and their cached
//   pages dropped.
// * Truncate is a ring op from Linux 6.9 on and a plain call before. Close and Shutdown are plain
//   calls: their effect is due when they return.
// * Dismiss is plain calls, too: linked entries would be three pieces of deferred work for each
//   stranger, of which an enter runs 20, in front of what those who are in have sent.
// * Cancel is IORING_OP_ASYNC_CANCEL on the op's own 64 bits; it never ends an op by itself.
// * Ask is c-ares: its sockets are watched by poll entries, and its time-outs shorten the wait of a
//   turn. Sending and receiving there are calls of its own, a few for each question.
// The ring's own flags stand in ring.cc.
#include "io/uring/uring_io.h"

#include <sys/socket.h>

#include <bit>
#include <cstring>

#include "absl/status/status.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "io/uring/backend.h"
#include "io/uring/directories.h"
#include "io/uring/sockets.h"

namespace backstay {
namespace {

bool IsComponent(const char* name) {
  return *name != '\0' && std::strchr(name, '/') == nullptr;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Io>> MakeUringIo(const UringOptions& options) {
  ASSERT(std::has_single_bit(options.submission_entries));
  ASSERT(std::has_single_bit(options.completion_entries));
  auto backend = std::make_unique<Io::Backend>(options);
  RETURN_IF_ERROR(backend->Create());
  return std::make_unique<Io>(std::move(backend));
}

const UringCounters& CountersOf(Io& io) {
  return io.backend().counters();
}

Io::Io(std::unique_ptr<Backend> backend) : backend_(std::move(backend)) {}

Io::~Io() = default;

// ---- time and chance ----

Instant Io::Now() const {
  return backend_->now();
}

WallTime Io::WallNow() const {
  return backend_->wall_now();
}

Random& Io::random() {
  return backend_->random();
}

// ---- start-up and rare questions ----

absl::StatusOr<Fd> Io::Listen(const SocketAddress& address, int backlog) {
  return MakeListener(address, backlog);
}

absl::StatusOr<Fd> Io::ListenFirst(const SocketAddress& address, int backlog) {
  return MakeFirstListener(address, backlog);
}

SocketAddress Io::LocalAddress(Fd socket) {
  return LocalAddressOf(socket);
}

SocketAddress Io::PeerAddress(Fd socket) {
  return PeerAddressOf(socket);
}

std::vector<SocketAddress> Io::OwnAddresses() {
  return AddressesOfThisHost();
}

absl::StatusOr<Fd> Io::OpenDirectory(const std::string& path, bool create) {
  return OpenDirectoryPath(path, create);
}

absl::StatusOr<Fd> Io::OpenSubdirectory(Fd parent, const std::string& name, bool create) {
  return OpenDirectoryBelow(parent, name, create);
}

absl::StatusOr<std::vector<DirectoryEntry>> Io::List(Fd directory) {
  return ListDirectory(directory);
}

absl::StatusOr<Fd> Io::LockFile(Fd directory, const std::string& name) {
  return LockFileIn(directory, name);
}

absl::StatusOr<SpaceReport> Io::FreeSpace(Fd directory) {
  return FreeSpaceOf(directory);
}

uint64_t Io::NextWritten(Fd file, Offset at) {
  return NextWrittenOf(file, Value(at));
}

absl::StatusOr<uint64_t> Io::FileBytes(Fd file) {
  return BytesOfFile(file);
}

absl::StatusOr<bool> Io::WorldAccess(Fd directory) {
  return HasWorldAccess(directory);
}

// ---- network ----

void Io::Accept(Op* op, Fd listener) {
  backend_->Queue(op, {.kind = OpKind::kAccept, .fd = listener});
}

void Io::ConnectFrom(Op* op, const SocketAddress& from, const SocketAddress& to) {
  backend_->Connect(op, from, to);
}

void Io::Receive(Op* op, Fd socket) {
  backend_->Queue(op, {.kind = OpKind::kReceive, .fd = socket});
}

void Io::Send(Op* op, Fd socket, Bytes bytes) {
  backend_->Queue(op, {OpKind::kSend, socket, bytes.data(), bytes.size()});
}

void Io::Shutdown(Fd socket) {
  // ENOTCONN: the connection is gone already, which is what was asked for.
  static_cast<void>(shutdown(socket.number(), SHUT_RDWR));
}

void Io::ShutdownSend(Fd socket) {
  static_cast<void>(shutdown(socket.number(), SHUT_WR));  // ENOTCONN: as above
}

void Io::Dismiss(Fd socket, Bytes text) {
  SayTheLast(socket, text);
  backend_->Close(socket);
}

void Io::Close(Fd fd) {
  backend_->Close(fd);
}

// ---- names ----

void Io::Ask(Op* op, std::string_view name, DnsType type) {
  backend_->Ask(op, name, type);
}

// ---- files ----

void Io::Open(Op* op, Fd directory, const char* name, OpenMode mode) {
  ASSERT(IsComponent(name));
  backend_->Queue(op, {.kind = OpKind::kOpen,
                       .fd = directory,
                       .pointer = name,
                       .offset = static_cast<uint64_t>(mode)});
}

void Io::OpenPath(Op* op, const char* path, OpenMode mode) {
  ASSERT(*path != '\0');
  backend_->Queue(
      op,
      {.kind = OpKind::kOpen, .fd = Fd(), .pointer = path, .offset = static_cast<uint64_t>(mode)});
}

void Io::Read(Op* op, Fd file, MutableBytes into, Offset at) {
  backend_->Read(op, file, into, at);
}

void Io::Write(Op* op, Fd file, Bytes from, Offset at) {
  backend_->Queue(op, {OpKind::kWrite, file, from.data(), from.size(), Value(at)});
}

void Io::Append(Op* op, Fd file, Bytes from) {
  // Of all offsets only "where the file stands" is good for a pipe too; O_APPEND overrules it.
  constexpr uint64_t kCurrent = UINT64_MAX;
  backend_->Queue(op, {OpKind::kWrite, file, from.data(), from.size(), kCurrent});
}

void Io::SyncData(Op* op, Fd file) {
  backend_->Queue(op, {.kind = OpKind::kSyncData, .fd = file});
}

void Io::SyncDirectory(Op* op, Fd directory) {
  backend_->Queue(op, {.kind = OpKind::kSyncDirectory, .fd = directory});
}

void Io::Allocate(Op* op, Fd file, uint64_t bytes) {
  backend_->Queue(op, {.kind = OpKind::kAllocate, .fd = file, .offset = bytes});
}

void Io::Truncate(Op* op, Fd file, uint64_t bytes) {
  backend_->Truncate(op, file, bytes);
}

void Io::Unlink(Op* op, Fd directory, const char* name) {
  ASSERT(IsComponent(name));
  backend_->Queue(op, {.kind = OpKind::kUnlink, .fd = directory, .pointer = name});
}

void Io::Rename(Op* op, Fd directory, const char* from, const char* to) {
  ASSERT(IsComponent(from));
  ASSERT(IsComponent(to));
  backend_->Queue(op, {.kind = OpKind::kRename,
                       .fd = directory,
                       .pointer = from,
                       .offset = reinterpret_cast<uint64_t>(to)});
}

// ---- control ----

void Io::Cancel(Op* op) {
  backend_->Cancel(op);
}

void Io::Turn(Instant wake) {
  backend_->Turn(wake);
}

void Io::Wake() {
  backend_->Wake();
}

}  // namespace backstay
