// io/uring/backend.h -- Io::Backend on io_uring: queue requests, enter once, run completions.
//
// Owns:     the ring, the receive buffers, the slots, the wake descriptor.
// Turn:     queue -> (first Turn: enable) -> enter: submit and wait -> clocks -> completions.
// Between calls, every op in flight has one slot and exactly one of: an entry in the submission
// queue, a place in unsent_, a request in the kernel, a completion in the queue or in local_.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "core/base/random.h"
#include "core/base/units.h"
#include "io/io.h"
#include "io/uring/dns_client.h"
#include "io/uring/receive_buffers.h"
#include "io/uring/ring.h"
#include "io/uring/side_table.h"
#include "io/uring/slot_table.h"
#include "io/uring/uring_io.h"
#include "io/uring/wake_signal.h"

namespace backstay {

class Io::Backend {
 public:
  // What a verb asks for; the fields as in Slot.
  struct Request {
    OpKind kind = OpKind::kNone;
    Fd fd;
    const void* pointer = nullptr;
    size_t bytes = 0;  // cut to kTransferBytesMax: transfers may be short
    uint64_t offset = 0;
  };

  explicit Backend(const UringOptions& options);
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  ~Backend();
  absl::Status Create();

  void Queue(Op* op, const Request& request);
  void Connect(Op* op, const SocketAddress& from, const SocketAddress& to);
  void Read(Op* op, Fd file, MutableBytes into, Offset at);
  void Truncate(Op* op, Fd file, uint64_t bytes);
  void Ask(Op* op, std::string_view name, DnsType type);
  void Cancel(Op* op);
  void Close(Fd fd);
  void Turn(Instant wake);
  void Wake() { wake_signal_.Wake(); }

  Instant now() const { return now_; }
  WallTime wall_now() const { return wall_now_; }
  Random& random() { return random_; }
  const UringCounters& counters() const { return counters_; }

 private:
  // Each shard has one for every descriptor of the process, be it another shard's.
  struct FdState {
    uint16_t ops : 14 = 0;    // in flight on it
    bool direct : 1 = false;  // opened around the page cache
    // The last receive left bytes in the socket, or it was just accepted: what was there before the
    // first word of ours is received before that is sent.
    bool unread : 1 = false;
  };
  static_assert(sizeof(FdState) == 2);
  static constexpr uint16_t kFdOpsMax = (1u << 14) - 1;
  struct ConnectAddress {
    sockaddr_storage storage{};
    socklen_t bytes = 0;
  };
  // A read whose place, length or memory is not aligned as a direct read must be.
  struct Bounce {
    std::unique_ptr<uint8_t, void (*)(void*)> buffer{nullptr, nullptr};
    uint64_t at = 0;  // aligned
    MutableBytes into;
    size_t skipped = 0;  // bytes between `at` and what was asked for
  };
  struct Unsent {
    uint64_t user_data;
    bool cancel;  // cancel that op instead of submitting it
  };

  uint32_t TakeSlot(Op* op, const Request& request);
  void Submit(uint32_t index);
  void CompleteLocally(uint32_t index, int32_t result);
  io_uring_sqe* NextEntry();
  void Prepare(io_uring_sqe* entry, uint32_t index);
  void PrepareOpen(io_uring_sqe* entry, const Slot& slot);
  static void PrepareCancel(io_uring_sqe* entry, uint64_t user_data);
  void SendUnsent();
  void ArmWake();
  bool ArmDns();
  FdState& StateOf(int fd);

  void Enable();
  void EnterKernel(Instant wake);
  bool HandleEnter(int outcome);
  bool NothingToRun() const;
  void ReadClocks();
  void RunCompletions();
  void RunReplies();

  void Dispatch(const Completed& completed);
  void DispatchKind(uint32_t index, Slot& slot, const Completed& completed);
  void DispatchError(uint32_t index, Slot& slot, const Completed& completed);
  void RejectStale(const Completed& completed);
  void OnWake(int32_t result);
  void OnAccepted(uint32_t index, Slot& slot, const Completed& completed);
  void OnReceived(uint32_t index, Slot& slot, const Completed& completed);
  void OnConnected(uint32_t index, Slot& slot, int error);
  void OnOpened(uint32_t index, Slot& slot, Fd opened);
  void OnBouncedRead(uint32_t index, Slot& slot, int32_t result);
  void Finish(uint32_t index, Slot& slot, const IoResult& result);

  const UringOptions options_;
  WakeSignal wake_signal_;          // closed after the ring, which reads from it
  ReceiveBuffers receive_buffers_;  // unmapped after the ring, which writes to them
  Ring ring_;
  SlotTable slots_;
  DnsClient dns_;
  std::vector<FdState> fds_;  // by descriptor
  SideTable<ConnectAddress> addresses_;
  SideTable<Bounce> bounces_;
  std::vector<Unsent> unsent_;      // in order, behind everything in the submission queue
  std::vector<Completed> local_;    // ops that ended without the kernel; run by the next Turn
  std::vector<Completed> running_;  // local_ of the turn at work
  uint64_t wake_count_ = 0;         // the kernel writes here
  bool wake_armed_ = false;
  bool dns_armed_ = true;  // all its sockets are watched as it wants
  bool in_turn_ = false;
  bool has_truncate_ = false;  // IORING_OP_FTRUNCATE
  Instant now_;
  WallTime wall_now_;
  Random random_;
  UringCounters counters_;
};

}  // namespace backstay
