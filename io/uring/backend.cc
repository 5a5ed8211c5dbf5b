// io/uring/backend.cc -- requests in, one enter a turn.
#include "io/uring/backend.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/base/check.h"
#include "core/base/mark.h"
#include "core/base/status_macros.h"
#include "io/uring/kernel_abi.h"
#include "io/uring/sockets.h"

namespace backstay {
namespace {

// The kernel counts a transfer in 32 bits and stops at 2 GiB; a multiple of every block size.
constexpr size_t kTransferBytesMax = 1_GiB;
// Covers the logical block size of every disk in use (512 or 4,096), for place, length and memory.
constexpr size_t kDirectAlignmentBytes = 4_KiB;
// Bounced reads are repairs and inspections: a short read is a matter of one more turn.
constexpr size_t kBounceBytesMax = 1_MiB;
static_assert(kTransferBytesMax % kDirectAlignmentBytes == 0);
static_assert(kBounceBytesMax % kDirectAlignmentBytes == 0);

int64_t ReadClock(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

Instant MonotonicNow() {
  return Instant::FromNanoseconds(ReadClock(CLOCK_MONOTONIC));
}

uint64_t SeedFromKernel() {
  uint64_t seed = 0;
  const ssize_t got = getrandom(&seed, sizeof(seed), 0);
  ASSERT(got == sizeof(seed));  // up to 256 bytes are never short
  return seed;
}

absl::Status CannotMake(const char* what, int error) {
  return absl::UnavailableError(fmt::format("io_uring: {}: {}", what, strerrordesc_np(error)));
}

}  // namespace

Io::Backend::Backend(const UringOptions& options)
    : options_(options), random_(options.seed.has_value() ? *options.seed : SeedFromKernel()) {
  ReadClocks();
}

Io::Backend::~Backend() {
  ASSERT(slots_.in_use() == 0);
}

absl::Status Io::Backend::Create() {
  const int ring = ring_.Create({options_.submission_entries, options_.completion_entries});
  if (ring != 0) {
    return CannotMake("setting up a ring failed", ring);
  }
  const int buffers =
      receive_buffers_.Create(ring_, options_.receive_buffers, options_.receive_buffer_bytes);
  if (buffers != 0) {
    return CannotMake("registering receive buffers failed", buffers);
  }
  const int wake = wake_signal_.Create();
  if (wake != 0) {
    return CannotMake("making an eventfd failed", wake);
  }
  RETURN_IF_ERROR(dns_.Create(options_.dns_servers));
  io_uring_probe* probe = io_uring_get_probe_ring(&ring_.raw());
  if (probe != nullptr) {
    has_truncate_ =
        !options_.plain_truncate && io_uring_opcode_supported(probe, kOpcodeFtruncate) != 0;
    io_uring_free_probe(probe);
  }
  return absl::OkStatus();
}

// ---- verbs ----

void Io::Backend::Queue(Op* op, const Request& request) {
  Submit(TakeSlot(op, request));
}

void Io::Backend::Connect(Op* op, const SocketAddress& from, const SocketAddress& to) {
  const uint32_t side = addresses_.Take();
  ConnectAddress& address = addresses_.At(side);
  address.bytes = ToKernelAddress(to, &address.storage);
  const int made = MakeConnectingSocket(from, to);
  const uint32_t index =
      TakeSlot(op, {.kind = OpKind::kConnect, .fd = Fd(std::max(made, -1)), .offset = side});
  if (made < 0) {
    CompleteLocally(index, made);
  } else {
    Submit(index);
  }
}

void Io::Backend::Read(Op* op, Fd file, MutableBytes into, Offset at) {
  ASSERT(file.valid());
  const uint64_t place = Value(at);
  const bool aligned = place % kDirectAlignmentBytes == 0 &&
                       into.size() % kDirectAlignmentBytes == 0 &&
                       reinterpret_cast<uintptr_t>(into.data()) % kDirectAlignmentBytes == 0;
  if (!StateOf(file.number()).direct || aligned) {
    Queue(op, {OpKind::kRead, file, into.data(), into.size(), place});
    return;
  }
  const uint32_t side = bounces_.Take();
  Bounce& bounce = bounces_.At(side);
  bounce.skipped = place % kDirectAlignmentBytes;
  bounce.at = place - bounce.skipped;
  bounce.into = into;
  const size_t wanted = std::clamp<size_t>(bounce.skipped + into.size(), 1, kBounceBytesMax);
  const size_t bytes = (wanted + kDirectAlignmentBytes - 1) & ~(kDirectAlignmentBytes - 1);
  bounce.buffer = {static_cast<uint8_t*>(std::aligned_alloc(kDirectAlignmentBytes, bytes)), &free};
  ASSERT(bounce.buffer != nullptr);
  Queue(op, {OpKind::kReadBounced, file, bounce.buffer.get(), bytes, side});
}

void Io::Backend::Truncate(Op* op, Fd file, uint64_t bytes) {
  const Request request{.kind = OpKind::kTruncate, .fd = file, .offset = bytes};
  const uint32_t index = TakeSlot(op, request);
  if (has_truncate_) {
    Submit(index);
    return;
  }
  const bool done = ftruncate(file.number(), static_cast<off_t>(bytes)) == 0;
  CompleteLocally(index, done ? 0 : -errno);
}

void Io::Backend::Ask(Op* op, std::string_view name, DnsType type) {
  const Request request{.kind = OpKind::kAsk, .fd = Fd()};
  dns_.Ask(slots_.UserData(TakeSlot(op, request)), name, type);
}

void Io::Backend::Cancel(Op* op) {
  if (!op->in_flight) {
    return;
  }
  Slot& slot = slots_.At(op->backend_slot);
  ASSERT(slot.op == op);
  if (slot.cancel_asked) {
    return;
  }
  slot.cancel_asked = true;
  const uint64_t user_data = slots_.UserData(op->backend_slot);
  if (slot.kind == OpKind::kAsk) {
    dns_.Cancel(user_data);
    return;
  }
  // Behind the op's own entry, wherever that waits.
  io_uring_sqe* entry = unsent_.empty() ? NextEntry() : nullptr;
  if (entry == nullptr) {
    unsent_.push_back({user_data, true});
    return;
  }
  PrepareCancel(entry, user_data);
}

void Io::Backend::Close(Fd fd) {
  ASSERT(fd.valid());
  FdState& state = StateOf(fd.number());
  ASSERT(state.ops == 0);
  state.direct = false;
  state.unread = false;
  // By the plain call: the lock or port that goes with the descriptor must be free when this
  // returns. Linux frees the number whatever close() answers; EIO was reported by the sync, where
  // it belongs.
  const int outcome = close(fd.number());
  ASSERT(outcome == 0 || errno != EBADF);
}

// ---- requests ----

uint32_t Io::Backend::TakeSlot(Op* op, const Request& request) {
  ASSERT(!op->in_flight);
  const uint32_t index = slots_.Take();
  Slot& slot = slots_.At(index);
  slot.op = op;
  slot.kind = request.kind;
  slot.fd = request.fd.number();
  slot.pointer = request.pointer;
  slot.length = static_cast<uint32_t>(std::min(request.bytes, kTransferBytesMax));
  slot.offset = request.offset;
  if (slot.fd >= 0) {
    FdState& state = StateOf(slot.fd);
    ASSERT(state.ops < kFdOpsMax);
    ++state.ops;
  }
  op->in_flight = true;
  op->backend_slot = index;
  return index;
}

void Io::Backend::Submit(uint32_t index) {
  io_uring_sqe* entry = unsent_.empty() ? NextEntry() : nullptr;
  if (entry == nullptr) {
    ++counters_.unsent;
    unsent_.push_back({slots_.UserData(index), false});
    return;
  }
  Prepare(entry, index);
}

void Io::Backend::CompleteLocally(uint32_t index, int32_t result) {
  local_.push_back({slots_.UserData(index), result, 0});
}

// Null when the queue is full and the kernel takes nothing now: before the first turn, or out of
// memory.
io_uring_sqe* Io::Backend::NextEntry() {
  io_uring_sqe* entry = ring_.NextEntry();
  if (entry != nullptr || !ring_.enabled()) {
    return entry;
  }
  ++counters_.enters;
  ring_.Submit();  // what went wrong is handled by the enter of the turn
  return ring_.NextEntry();
}

void Io::Backend::SendUnsent() {
  size_t sent = 0;
  for (; sent < unsent_.size(); ++sent) {
    io_uring_sqe* entry = NextEntry();
    if (entry == nullptr) {
      break;
    }
    const Unsent& unsent = unsent_[sent];
    if (unsent.cancel) {
      PrepareCancel(entry, unsent.user_data);
    } else {
      Prepare(entry, SlotTable::IndexOf(unsent.user_data));
    }
  }
  unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<ptrdiff_t>(sent));
}

void Io::Backend::ArmWake() {
  if (wake_armed_) {
    return;
  }
  io_uring_sqe* entry = NextEntry();
  if (entry == nullptr) {
    return;
  }
  io_uring_prep_read(entry, wake_signal_.descriptor(), &wake_count_, sizeof(wake_count_), 0);
  entry->user_data = SlotTable::WithoutSlot(OpKind::kWake);
  wake_armed_ = true;
}

// False: some socket has to wait for a place in the queue.
bool Io::Backend::ArmDns() {
  for (size_t index = 0; index < dns_.watches().size(); ++index) {
    DnsClient::Watch& watch = dns_.watches()[index];
    if (watch.wanted == watch.armed || watch.cancel_asked) {
      continue;
    }
    io_uring_sqe* entry = NextEntry();
    if (entry == nullptr) {
      return false;
    }
    const uint64_t user_data = SlotTable::WithoutSlot(OpKind::kDnsSocket) | index;
    if (watch.armed != 0) {
      watch.cancel_asked = true;
      PrepareCancel(entry, user_data);
      continue;
    }
    watch.armed = watch.wanted;
    io_uring_prep_poll_add(entry, watch.fd, static_cast<unsigned>(watch.wanted));
    entry->user_data = user_data;
  }
  return true;
}

Io::Backend::FdState& Io::Backend::StateOf(int fd) {
  const auto index = static_cast<size_t>(fd);
  if (index >= fds_.size()) {
    fds_.resize(std::bit_ceil(index + 1));
  }
  return fds_[index];
}

// ---- the turn ----

void Io::Backend::Turn(Instant wake) {
  ASSERT(!in_turn_);
  in_turn_ = true;
  ++counters_.turns;
  Enable();
  ArmWake();
  dns_armed_ = ArmDns();
  SendUnsent();
  EnterKernel(std::min(wake, dns_.deadline()));
  ReadClocks();
  RunCompletions();
  RunReplies();
  in_turn_ = false;
}

void Io::Backend::Enable() {
  if (ring_.enabled()) {
    return;
  }
  const int outcome = ring_.Enable();
  ASSERT(outcome == 0);
  // Zero leaves the other kind, workers for sockets, as it is; we never cause one.
  unsigned workers[2] = {options_.file_workers, 0};
  const int limited = io_uring_register_iowq_max_workers(&ring_.raw(), workers);
  ASSERT(limited == 0);
}

bool Io::Backend::NothingToRun() const {
  return ring_.ready() == 0 && local_.empty() && !dns_.has_replies() && !ring_.overflowed();
}

void Io::Backend::EnterKernel(Instant wake) {
  if (ring_.overflowed()) {
    ++counters_.overflows;
  }
  const bool may_wait =
      wake > now_ && unsent_.empty() && wake_armed_ && dns_armed_ && NothingToRun();
  for (bool again = true; again;) {
    const absl::Duration left =
        wake == Instant::Max() ? absl::InfiniteDuration() : wake - MonotonicNow();
    // From BeginSleep to EndSleep a waker writes to the descriptor that the ring is reading.
    const bool sleep = may_wait && left > absl::ZeroDuration() && wake_signal_.BeginSleep();
    ++counters_.enters;
    const int outcome = ring_.Enter(sleep, left);
    if (sleep) {
      wake_signal_.EndSleep();
    }
    // A signal, or entries taken without a completion in time: the wait is not over.
    again = HandleEnter(outcome) && sleep && NothingToRun() && !wake_signal_.woken();
  }
  wake_signal_.Consume();
}

// False: waiting is over. `outcome` is what the enter returned.
bool Io::Backend::HandleEnter(int outcome) {
  ASSERT(ring_.lost() == 0);  // a completion that is gone would hang its op for good
  if (outcome >= 0) {
    return true;
  }
  switch (-outcome) {
    case EINTR:
      return true;
    case ETIME:
      return false;
    case EAGAIN:  // no memory for requests: what was not taken is taken next turn
    case EBUSY:   // completions must be run first
    case ENOMEM:
      MARK("uring: the kernel takes no requests now");
      return false;
    default:
      break;
  }
  // EEXIST: a second thread turned this Io. EBADR: a completion was lost. All are ours.
  const std::string text = fmt::format("io_uring_enter: {}", strerrordesc_np(-outcome));
  CheckFailed(__FILE__, __LINE__, text.c_str());
}

void Io::Backend::ReadClocks() {
  now_ = MonotonicNow();
  wall_now_ = WallTime::FromNanoseconds(ReadClock(CLOCK_REALTIME));
}

// Bounded: what is there now. What completions start comes in a later turn.
void Io::Backend::RunCompletions() {
  running_.swap(local_);
  uint32_t left = ring_.ready();
  for (const Completed& completed : running_) {
    Dispatch(completed);
  }
  running_.clear();
  for (; left > 0; --left) {
    Dispatch(ring_.Pop());
  }
}

// The reply to a question that was canceled finds no slot.
void Io::Backend::RunReplies() {
  if (now_ >= dns_.deadline()) {
    dns_.OnDeadline(now_);
  }
  for (const DnsClient::Reply& reply : dns_.TakeReplies()) {
    Slot* const slot = slots_.Find(reply.ticket);
    if (slot != nullptr) {
      ++counters_.completions;
      Finish(SlotTable::IndexOf(reply.ticket), *slot,
             reply.error == IoError::kNone ? IoResult::Lent(AsBytes(reply.bytes))
                                           : IoResult::Failure(reply.error));
    }
  }
}

}  // namespace backstay
