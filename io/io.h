// io/io.h -- everything the engine may ask of the outside world: bytes, time and chance.
//
// THE SEAM. One class, two definitions: io/uring/ (the kernel) and io/sim/ (a world with a seed).
// The linker picks; nothing above knows which. tests/io/contract_test.cc states each sentence below
// and is built against both.
//
// Owns:     nothing of the caller's. Op, buffers and names must live until the op's last
//           completion.
// Outlives: every object that has an op in flight on it.
// Errors:   IoResult, per op. The errors a verb is known to give are named at the verb; a caller
//           treats any other as a failed operation.
// Turn:     asynchronous verbs only queue. Completions run inside Turn(), never inside a verb.
//           Every op completes exactly once (multishot: the last event says !more()).
//           Completions come in any order; two writes, or a write and a sync, are not ordered.
// Threads:  one object, one thread; only Wake() may be called from others.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/bytes.h"
#include "core/base/random.h"
#include "core/base/units.h"
#include "io/dns_type.h"
#include "io/fd.h"
#include "io/io_result.h"
#include "io/op.h"
#include "io/socket_address.h"

namespace backstay {

enum class OpenMode : uint8_t {
  kRead,          // existing, read only
  kReadDirect,    // existing, read only, around the page cache where the file system can
  kReadWrite,     // existing
  kCreateNew,     // read-write; kExists if there is one
  kCreateOrOpen,  // read-write
  kAppend         // write only, for Append; made when there is none
};

struct DirectoryEntry {
  std::string name;
  uint64_t bytes = 0;         // size of a regular file, else 0
  bool is_directory = false;  // neither flag: something that is not ours to touch
  bool is_file = false;
};

struct SpaceReport {
  uint64_t free_bytes = 0;
  uint64_t total_bytes = 0;
  uint64_t free_files = 0;
};

class Io {
 public:
  class Backend;
  explicit Io(std::unique_ptr<Backend> backend);
  ~Io();  // no op may be in flight
  Io(const Io&) = delete;
  Io& operator=(const Io&) = delete;

  // ---- time and chance ----
  Instant Now() const;       // monotonic; constant during a turn
  WallTime WallNow() const;  // calendar; may jump; constant during a turn
  Random& random();

  // ---- start-up and rare questions: synchronous, may block, not for the hot path ----
  // A listening TCP socket with SO_REUSEPORT. Port 0: chosen, see LocalAddress.
  absl::StatusOr<Fd> Listen(const SocketAddress& address, int backlog);
  // The same, for the first of a program: kFailedPrecondition when anybody listens there, be it
  // with SO_REUSEPORT. Afterwards Listen() may join it.
  absl::StatusOr<Fd> ListenFirst(const SocketAddress& address, int backlog);
  SocketAddress LocalAddress(Fd socket);
  // None (SocketAddress()) once the connection was reset.
  SocketAddress PeerAddress(Fd socket);
  // All of this host's that are in use, port 0; none when they cannot be had.
  std::vector<SocketAddress> OwnAddresses();
  // Opens a directory, creating it (mode 0700) and its parents when `create` is set.
  absl::StatusOr<Fd> OpenDirectory(const std::string& path, bool create);
  absl::StatusOr<Fd> OpenSubdirectory(Fd parent, const std::string& name, bool create);
  // Sorted by name. Does not follow links.
  absl::StatusOr<std::vector<DirectoryEntry>> List(Fd directory);
  // An exclusive lock on a file made for it; held until Close. kFailedPrecondition: another process
  // holds it (the message names its pid when that can be read).
  absl::StatusOr<Fd> LockFile(Fd directory, const std::string& name);
  absl::StatusOr<SpaceReport> FreeSpace(Fd directory);
  absl::StatusOr<uint64_t> FileBytes(Fd file);
  // From `at` to there no byte was ever written: all read as zeros. `at`: nothing is known;
  // UINT64_MAX: nothing is written behind it.
  uint64_t NextWritten(Fd file, Offset at);
  // Whether users other than the owner and its group have any right on it.
  absl::StatusOr<bool> WorldAccess(Fd directory);

  // ---- network ----
  // Multishot. fd() is a connected socket, the caller's to close. Ends (no more()) on any error;
  // kNoDescriptors: nothing was accepted, arm again later.
  void Accept(Op* op, Fd listener);
  // fd() is a connected socket. kRefused, kUnreachable, kTimedOut, kReset, kNoDescriptors.
  void Connect(Op* op, const SocketAddress& to) { ConnectFrom(op, SocketAddress(), to); }
  // The same from an address of this host, port 0: one is chosen. kUnreachable: the address is not
  // of this host, or has no port left.
  void ConnectFrom(Op* op, const SocketAddress& from, const SocketAddress& to);
  // One piece: lent() holds received bytes, valid until the completion returns; count() == 0 with
  // ok() is the peer's orderly end. Waiting holds no buffer; nothing is taken from the socket that
  // was not asked for, so an owner that asks no more stops its peer by the window and holds one
  // piece at most. kNoBuffers: ask again. kReset, kTimedOut.
  void Receive(Op* op, Fd socket);
  // May be short. kReset.
  void Send(Op* op, Fd socket, Bytes bytes);
  // Ends both directions now; a pending Receive completes (end or kReset). Synchronous. What the
  // peer sends from now on is answered by a reset, which may destroy what it has not yet read.
  void Shutdown(Fd socket);
  // Ends our direction: the peer reads what was sent and then the end. Receiving goes on.
  // Synchronous.
  void ShutdownSend(Fd socket);
  // The last word to a peer that is not wanted: sends what of `text` has room at once, ends our
  // direction, drops what has come and closes. Nothing is waited for and nothing told. The peer
  // reads the text and the end, but what it sends from now on is answered by a reset, as behind
  // Shutdown. Synchronous; no op may be in flight on the socket.
  void Dismiss(Fd socket, Bytes text);
  // The descriptor is gone for the caller. No op may be in flight on it (ASSERT where it can be
  // told).
  void Close(Fd fd);

  // ---- names ----
  // A resolver's reply to this question is lent, header included, 64 KiB at most, valid until the
  // completion returns. That it answers this question was checked, what it holds was not: "no such
  // name" is a reply. kTimedOut: nobody answers, which may take a quarter of a minute to know;
  // kRefused: whoever is there fails at it; kInvalid: `name` cannot be asked for. `name` is copied;
  // it has no dot at its end.
  void Ask(Op* op, std::string_view name, DnsType type);

  // ---- files; names are single components below `directory` ----
  // kInvalid: it is no regular file, and `mode` is not kAppend.
  void Open(Op* op, Fd directory, const char* name, OpenMode mode);
  // The same by a path: a file of the operator's, which may be a link, and with kAppend a pipe or a
  // device.
  void OpenPath(Op* op, const char* path, OpenMode mode);
  void Read(Op* op, Fd file, MutableBytes into, Offset at);  // may be short; count() 0 at the end
  // may be short. kNoSpace, kDevice, kReadOnly
  void Write(Op* op, Fd file, Bytes from, Offset at);
  // At the end of a file that was opened with kAppend, whoever else appends to it, or of a pipe.
  // Waits for room in a pipe. May be short; errors as of Write (kDevice: nobody reads the pipe).
  void Append(Op* op, Fd file, Bytes from);
  // Makes durable the data (and the size) of every write of this file that has *completed* before.
  // A failure may be reported once only: after one the file's contents are not to be trusted.
  void SyncData(Op* op, Fd file);
  // Makes creations, renames and unlinks in it durable. Other than with data, a later success
  // covers what a failed one did not: a file system whose journal lost an entry stops, it does not
  // forget.
  void SyncDirectory(Op* op, Fd directory);
  void Allocate(Op* op, Fd file, uint64_t bytes);  // grows to `bytes`, reads as zeros. kNoSpace
  void Truncate(Op* op, Fd file, uint64_t bytes);
  void Unlink(Op* op, Fd directory, const char* name);
  // kExists: there is a file `to`. Until the directory is synced a crash may leave either name,
  // both or none.
  void Rename(Op* op, Fd directory, const char* from, const char* to);

  // ---- control ----
  // The op still completes once, with its result or kCanceled. No-op when it is not in flight.
  void Cancel(Op* op);
  // Submits, waits for a completion, a Wake() or `wake`, runs completions. wake <= Now(): no
  // waiting.
  void Turn(Instant wake);
  // Any thread: the current or the next Turn of this Io does not wait.
  void Wake();

  Backend& backend() { return *backend_; }

 private:
  // defined in io/uring/ or in io/sim/, never both in one program
  std::unique_ptr<Backend> backend_;
};

}  // namespace backstay
