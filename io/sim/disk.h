// io/sim/disk.h -- one host's file system, with what of it would survive a crash.
//
// Without time: the verbs of Io decide when a change happens, this class what it changes. It
// survives Crash(); a test may look into it, damage it, and copy it to another world. Paths are
// absolute.
//
// Owns:   every file and directory that a path, a descriptor or a durable entry still leads to.
// Errors: IoError; kNone is success.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/io.h"
#include "io/sim/sim_file.h"

namespace backstay {

enum class NodeId : uint64_t {};
constexpr NodeId kNoNode{0};

class Disk {
 public:
  Disk();
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  // ---- for tests and harnesses ----
  void set_capacity_bytes(uint64_t bytes) { capacity_bytes_ = bytes; }
  uint64_t free_bytes() const;
  uint64_t used_bytes() const;
  void SetReadOnly(bool read_only) { read_only_ = read_only; }
  bool read_only() const { return read_only_; }
  // Of a directory that is there; new ones are closed to the world.
  void SetWorldAccess(std::string_view path, bool world_access);
  bool Exists(std::string_view path) const;
  // Names of the directory, sorted; nothing when there is no such directory.
  std::vector<std::string> List(std::string_view path) const;
  // What reads see, and what a power cut would leave; nothing when the file is not there (then).
  std::optional<std::string> Contents(std::string_view path) const;
  std::optional<std::string> DurableContents(std::string_view path) const;
  // Damage, effective in the cache and on the device alike. False when there is no such file or
  // byte.
  bool FlipBit(std::string_view path, uint64_t bit);
  bool Overwrite(std::string_view path, uint64_t at, Bytes bytes);
  bool TruncateFile(std::string_view path, uint64_t bytes);
  // From now on every read of it fails; false: the device is well again.
  bool SetUnreadable(std::string_view path, bool is_unreadable);
  // Puts a file there, durable, with its directories; replaces one that exists.
  void Put(std::string_view path, Bytes contents);
  bool Delete(std::string_view path);  // durable at once; a directory with all below it
  // The whole file system with its un-synced changes. No descriptor may be open on the copying
  // side.
  void CopyFrom(const Disk& other);

  // ---- for the verbs ----
  NodeId root() const { return kRoot; }
  // Makes the components that are missing when `create` is set; those are durable at once, because
  // no caller has a descriptor to sync their parents with.
  NodeId WalkDirectory(std::string_view path, bool create);
  NodeId Find(NodeId directory, std::string_view name) const;  // kNoNode: not there
  IoError Create(NodeId directory, std::string_view name, bool is_directory, NodeId* made);
  IoError Unlink(NodeId directory, std::string_view name);
  IoError Rename(NodeId directory, std::string_view from, std::string_view to);
  std::vector<DirectoryEntry> Entries(NodeId directory) const;
  bool IsDirectory(NodeId node) const;
  bool WorldAccess(NodeId node) const { return At(node).world_access; }
  SimFile& File(NodeId node);
  bool IsUnreadable(NodeId node) const { return At(node).is_unreadable; }
  // Of the last completed creation, rename or unlink in `directory`.
  uint64_t LastChange(NodeId directory) const;
  void SyncDirectory(NodeId directory, uint64_t up_to);
  void AddOpen(NodeId node);
  void RemoveOpen(NodeId node);
  // How much of a growth of `node` to `bytes` fits: `bytes` itself or less.
  uint64_t RoomFor(NodeId node, uint64_t bytes) const;
  void Crash(CrashMode mode, const FaultPlan& plan, Random& random);

 private:
  static constexpr NodeId kRoot{1};
  using EntryMap = std::map<std::string, NodeId, std::less<>>;
  struct EntryChange {
    uint64_t number;
    std::string name;
    NodeId node;  // kNoNode: unlinked
  };
  struct Node {
    bool is_directory = false;
    bool world_access = false;
    bool is_unreadable = false;
    uint32_t open_count = 0;
    SimFile file;
    EntryMap current;
    EntryMap durable;
    uint64_t last_change = 0;
    std::vector<EntryChange> pending;
  };

  Node& At(NodeId node);
  const Node& At(NodeId node) const;
  NodeId Lookup(std::string_view path) const;
  NodeId NewNode(bool is_directory);
  void KeepEntriesRandomly(Node& node, Random& random);
  void DropUnreachable();
  void CollectReachable(NodeId from, std::map<NodeId, bool>& seen) const;

  std::map<NodeId, Node> nodes_;
  uint64_t next_node_ = 2;
  uint64_t capacity_bytes_ = uint64_t{1} << 40;
  bool read_only_ = false;
};

}  // namespace backstay
