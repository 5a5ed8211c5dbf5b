// io/sim/disk.cc -- directories, entries and what a crash leaves of them.
#include "io/sim/disk.h"

#include <algorithm>

#include "core/base/check.h"

namespace backstay {
namespace {

constexpr uint64_t kBlockBytes = 4_KiB;  // files occupy whole blocks

uint64_t BlocksOf(uint64_t bytes) {
  return (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

void ApplyEntry(std::map<std::string, NodeId, std::less<>>& entries, const std::string& name,
                NodeId node) {
  if (node == kNoNode) {
    entries.erase(name);
  } else {
    entries[name] = node;
  }
}

}  // namespace

Disk::Disk() {
  nodes_[kRoot].is_directory = true;
}

Disk::Node& Disk::At(NodeId node) {
  const auto found = nodes_.find(node);
  ASSERT(found != nodes_.end());
  return found->second;
}

const Disk::Node& Disk::At(NodeId node) const {
  const auto found = nodes_.find(node);
  ASSERT(found != nodes_.end());
  return found->second;
}

SimFile& Disk::File(NodeId node) {
  ASSERT(!At(node).is_directory);
  return At(node).file;
}

bool Disk::IsDirectory(NodeId node) const {
  return At(node).is_directory;
}

NodeId Disk::NewNode(bool is_directory) {
  const NodeId id{next_node_++};
  nodes_[id].is_directory = is_directory;
  return id;
}

NodeId Disk::Find(NodeId directory, std::string_view name) const {
  const Node& node = At(directory);
  const auto found = node.current.find(name);
  return found == node.current.end() ? kNoNode : found->second;
}

IoError Disk::Create(NodeId directory, std::string_view name, bool is_directory, NodeId* made) {
  if (read_only_) {
    return IoError::kReadOnly;
  }
  ASSERT(Find(directory, name) == kNoNode);
  *made = NewNode(is_directory);
  Node& parent = At(directory);
  parent.current[std::string(name)] = *made;
  parent.pending.push_back({++parent.last_change, std::string(name), *made});
  return IoError::kNone;
}

IoError Disk::Unlink(NodeId directory, std::string_view name) {
  if (read_only_) {
    return IoError::kReadOnly;
  }
  const NodeId node = Find(directory, name);
  if (node == kNoNode) {
    return IoError::kNotFound;
  }
  if (At(node).is_directory) {
    return IoError::kDenied;
  }
  Node& parent = At(directory);
  parent.current.erase(parent.current.find(name));
  parent.pending.push_back({++parent.last_change, std::string(name), kNoNode});
  return IoError::kNone;
}

// Two changes, of which a crash may keep either: what a file system without a journal does.
IoError Disk::Rename(NodeId directory, std::string_view from, std::string_view to) {
  if (Find(directory, to) != kNoNode) {
    return IoError::kExists;
  }
  const NodeId node = Find(directory, from);
  const IoError error = Unlink(directory, from);
  if (error == IoError::kNone) {
    Node& parent = At(directory);
    parent.current[std::string(to)] = node;
    parent.pending.push_back({++parent.last_change, std::string(to), node});
  }
  return error;
}

std::vector<DirectoryEntry> Disk::Entries(NodeId directory) const {
  std::vector<DirectoryEntry> entries;
  for (const auto& [name, id] : At(directory).current) {
    const Node& node = At(id);
    DirectoryEntry entry;
    entry.name = name;
    entry.is_directory = node.is_directory;
    entry.is_file = !node.is_directory;
    entry.bytes = node.is_directory ? 0 : node.file.size();
    entries.push_back(std::move(entry));
  }
  return entries;
}

uint64_t Disk::LastChange(NodeId directory) const {
  return At(directory).last_change;
}

void Disk::SyncDirectory(NodeId directory, uint64_t up_to) {
  Node& node = At(directory);
  size_t covered = 0;
  while (covered < node.pending.size() && node.pending[covered].number <= up_to) {
    ApplyEntry(node.durable, node.pending[covered].name, node.pending[covered].node);
    ++covered;
  }
  node.pending.erase(node.pending.begin(),
                     node.pending.begin() + static_cast<std::ptrdiff_t>(covered));
  DropUnreachable();
}

void Disk::AddOpen(NodeId node) {
  ++At(node).open_count;
}

void Disk::RemoveOpen(NodeId node) {
  ASSERT(At(node).open_count > 0);
  --At(node).open_count;
  DropUnreachable();
}

uint64_t Disk::used_bytes() const {
  std::map<NodeId, bool>
      counted;  // by path or descriptor; what only a crash could bring back is free
  uint64_t used = 0;
  for (const auto& [id, node] : nodes_) {
    if (node.open_count > 0) {
      counted[id] = true;
    }
    for (const auto& [name, child] : node.current) {
      counted[child] = true;
    }
  }
  for (const auto& [id, yes] : counted) {
    used += BlocksOf(At(id).file.size());
  }
  return used;
}

uint64_t Disk::free_bytes() const {
  const uint64_t used = used_bytes();
  return used >= capacity_bytes_ ? 0 : capacity_bytes_ - used;
}

uint64_t Disk::RoomFor(NodeId node, uint64_t bytes) const {
  const uint64_t have = BlocksOf(At(node).file.size());
  if (bytes <= have) {
    return bytes;
  }
  return std::min(bytes, have + free_bytes() / kBlockBytes * kBlockBytes);
}

void Disk::Crash(CrashMode mode, const FaultPlan& plan, Random& random) {
  for (auto& [id, node] : nodes_) {
    node.open_count = 0;
    node.file.Crash(mode, plan, random);
    if (mode == CrashMode::kAllUnsynced) {
      continue;
    }
    if (mode == CrashMode::kRandom) {
      KeepEntriesRandomly(node, random);
    }
    node.pending.clear();
    node.current = node.durable;
  }
  DropUnreachable();
}

// Each name on its own is as some moment since the last sync left it.
void Disk::KeepEntriesRandomly(Node& node, Random& random) {
  std::map<std::string, std::vector<NodeId>> histories;
  for (const EntryChange& change : node.pending) {
    histories[change.name].push_back(change.node);
  }
  for (const auto& [name, history] : histories) {
    const size_t kept = static_cast<size_t>(random.Between(0, history.size()));
    if (kept > 0) {
      ApplyEntry(node.durable, name, history[kept - 1]);
    }
  }
}

void Disk::CollectReachable(NodeId from, std::map<NodeId, bool>& seen) const {
  if (from == kNoNode || seen[from]) {
    return;
  }
  seen[from] = true;
  const Node& node = At(from);
  for (const auto& [name, child] : node.current) {
    CollectReachable(child, seen);
  }
  for (const auto& [name, child] : node.durable) {
    CollectReachable(child, seen);
  }
  for (const EntryChange& change : node.pending) {
    CollectReachable(change.node, seen);
  }
}

void Disk::DropUnreachable() {
  std::map<NodeId, bool> seen;
  CollectReachable(kRoot, seen);
  for (const auto& [id, node] : nodes_) {
    if (node.open_count > 0) {
      CollectReachable(id, seen);
    }
  }
  std::erase_if(nodes_, [&](const auto& item) { return !seen.contains(item.first); });
}

}  // namespace backstay
