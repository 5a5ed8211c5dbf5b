// io/sim/backend.h -- one simulated Io: its ops, its descriptors, completions that wait.
//
// An op lives in a slot from its verb to the moment its last completion is run. Events of the world
// name it by OpToken, so one that comes after the op is gone finds nothing.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "io/io.h"
#include "io/sim/verb.h"
#include "io/sim/world.h"

namespace backstay {

struct OpToken {
  uint32_t backend = 0;
  uint32_t slot = 0;
  uint64_t serial = 0;
};

enum class DescriptorKind : uint8_t { kListener, kSocket, kFile, kDirectory };

struct Descriptor {
  DescriptorKind kind = DescriptorKind::kFile;
  uint64_t object = 0;  // listener, connection or node
  int end = 0;          // of a connection
  bool writable = false;
  bool direct = false;
  bool locked = false;
};

struct PendingOp {
  Op* op = nullptr;  // null: the slot is free
  uint64_t serial = 0;
  IoVerb verb = IoVerb::kRead;
  Fd fd;                     // what it works on; none for Connect
  bool last_queued = false;  // its last completion waits in ready_
  Bytes from;                // the caller's bytes, read when the op completes
  MutableBytes into;
  uint64_t at = 0;  // offset, new size, or the change that a sync covers
  std::string name;
  std::string other_name;  // kRename: the new one
  OpenMode mode = OpenMode::kRead;
  SocketAddress to;
  SocketAddress source;             // kConnect: default-made when it is not asked for
  std::optional<IoError> injected;  // by World::FailDiskOperation
  std::optional<size_t> count_max;  // by World::ShortenDiskOperation
};

class Io::Backend {
 public:
  static constexpr uint64_t kAtTheEnd = UINT64_MAX;  // PendingOp::at of a write: an append

  Backend(World& world, Host& host, uint32_t id, Random random);
  ~Backend();
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  uint32_t id() const { return id_; }
  World& world() { return world_; }
  Host& host() { return host_; }
  Random& random() { return random_; }
  Instant now() const { return now_; }
  WallTime wall() const { return wall_; }
  bool dead() const { return dead_; }

  // ---- ops ----
  PendingOp& Start(Op* op, IoVerb verb, Fd fd, OpToken* token);
  PendingOp* Find(const OpToken& token);
  // Queues a completion; the next turn runs it. `lent` travels with a receive.
  void Complete(const OpToken& token, const IoResult& result);
  void CompleteLent(const OpToken& token, std::string lent);
  void Cancel(Op* op);
  bool InFlightOn(Fd fd) const;
  size_t lent_waiting() const { return lent_waiting_; }

  // ---- descriptors ----
  Fd Add(const Descriptor& descriptor);
  Descriptor* FindDescriptor(Fd fd);  // null: closed or never opened
  Descriptor& Get(Fd fd, DescriptorKind kind);
  void Close(Fd fd);

  Fd AddNode(DescriptorKind kind, NodeId node);

  // A file operation: it is counted, time passes, DoX does it. The caller fills in what DoX needs.
  PendingOp& StartDisk(Op* op, IoVerb verb, Fd fd, OpToken* token);

  // ---- turns ----
  void Turn(Instant wake);
  void Wake();
  bool HasWork() const { return !ready_.empty() || woken_; }
  // The process is gone: ops are dropped without completion.
  void Die(CrashMode mode);

  // The world's bookkeeping.
  Actor* actor = nullptr;
  Instant turn_due = Instant::Max();
  uint64_t turn_serial = 0;
  uint64_t turns = 0;
  Instant busy_until;

 private:
  struct Ready {
    OpToken token;
    IoResult result;
    std::string lent;
    bool is_lent = false;
  };
  void Queue(Ready ready);
  std::vector<size_t> DrawOrder(const std::vector<Ready>& ready);
  void RunReady();
  void RunOne(Ready ready);
  void CancelArrives(const OpToken& token);
  void RunDisk(const OpToken& token);
  void FinishInFlightAtRandom(CrashMode mode);
  std::optional<IoError> DrawFailure(const PendingOp& op, uint32_t per_million, IoError error);
  IoResult DoDisk(const PendingOp& op);
  NodeId DirectoryOf(PendingOp& op);
  IoResult DoOpen(PendingOp op);
  IoResult DoRead(const PendingOp& op);
  IoResult DoWrite(PendingOp op);
  IoResult DoSyncData(const PendingOp& op);
  IoResult DoSyncDirectory(const PendingOp& op);
  IoResult DoResize(const PendingOp& op);
  IoResult DoUnlink(const PendingOp& op);
  IoResult DoRename(const PendingOp& op);

  World& world_;
  Host& host_;
  const uint32_t id_;
  Random random_;
  Instant now_;
  WallTime wall_;
  bool dead_ = false;
  bool woken_ = false;
  bool in_turn_ = false;
  std::vector<PendingOp> slots_;
  std::vector<uint32_t> free_slots_;
  std::vector<Ready> ready_;
  size_t lent_waiting_ = 0;
  std::map<int, Descriptor> descriptors_;
};

}  // namespace backstay
