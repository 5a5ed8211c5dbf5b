// io/sim/disk_paths.cc -- the file system by absolute path: walking, looking in, damage, copies.
#include <utility>

#include "core/base/check.h"
#include "io/sim/disk.h"

namespace backstay {
namespace {

// Takes the first component off `rest`; empty at the end.
std::string_view NextComponent(std::string_view& rest) {
  while (rest.starts_with('/')) {
    rest.remove_prefix(1);
  }
  const size_t length = std::min(rest.find('/'), rest.size());
  const std::string_view component = rest.substr(0, length);
  rest.remove_prefix(length);
  return component;
}

std::pair<std::string_view, std::string_view> SplitPath(std::string_view path) {
  const size_t slash = path.rfind('/');
  ASSERT(slash != std::string_view::npos);
  return {path.substr(0, slash), path.substr(slash + 1)};
}

std::string AllOf(const PageImage& image) {
  std::string bytes(static_cast<size_t>(image.size()), '\0');
  image.Read(0, {reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
  return bytes;
}

}  // namespace

NodeId Disk::WalkDirectory(std::string_view path, bool create) {
  NodeId at = kRoot;
  for (std::string_view name = NextComponent(path); !name.empty(); name = NextComponent(path)) {
    NodeId next = Find(at, name);
    if (next == kNoNode) {
      if (!create || Create(at, name, /*is_directory=*/true, &next) != IoError::kNone) {
        return kNoNode;
      }
      At(at).pending.pop_back();
      At(at).durable[std::string(name)] = next;
    }
    if (!IsDirectory(next)) {
      return kNoNode;
    }
    at = next;
  }
  return at;
}

NodeId Disk::Lookup(std::string_view path) const {
  NodeId at = kRoot;
  for (std::string_view name = NextComponent(path); !name.empty(); name = NextComponent(path)) {
    if (!IsDirectory(at)) {
      return kNoNode;
    }
    at = Find(at, name);
    if (at == kNoNode) {
      return kNoNode;
    }
  }
  return at;
}

bool Disk::Exists(std::string_view path) const {
  return Lookup(path) != kNoNode;
}

std::vector<std::string> Disk::List(std::string_view path) const {
  std::vector<std::string> names;
  const NodeId node = Lookup(path);
  if (node == kNoNode || !IsDirectory(node)) {
    return names;
  }
  for (const auto& [name, id] : At(node).current) {
    names.push_back(name);
  }
  return names;
}

std::optional<std::string> Disk::Contents(std::string_view path) const {
  const NodeId node = Lookup(path);
  if (node == kNoNode || IsDirectory(node)) {
    return std::nullopt;
  }
  return AllOf(At(node).file.current());
}

std::optional<std::string> Disk::DurableContents(std::string_view path) const {
  NodeId at = kRoot;
  for (std::string_view name = NextComponent(path); !name.empty(); name = NextComponent(path)) {
    const Node& node = At(at);
    const auto found = node.durable.find(name);
    if (!node.is_directory || found == node.durable.end()) {
      return std::nullopt;
    }
    at = found->second;
  }
  return IsDirectory(at) ? std::nullopt : std::optional(AllOf(At(at).file.durable()));
}

void Disk::SetWorldAccess(std::string_view path, bool world_access) {
  const NodeId node = Lookup(path);
  ASSERT(node != kNoNode);
  At(node).world_access = world_access;
}

bool Disk::FlipBit(std::string_view path, uint64_t bit) {
  const NodeId node = Lookup(path);
  if (node == kNoNode || IsDirectory(node) || bit / 8 >= At(node).file.size()) {
    return false;
  }
  uint8_t byte = 0;
  At(node).file.Read(bit / 8, {&byte, 1});
  byte = static_cast<uint8_t>(byte ^ (1u << (bit % 8)));
  At(node).file.Alter(bit / 8, {&byte, 1});
  return true;
}

bool Disk::Overwrite(std::string_view path, uint64_t at, Bytes bytes) {
  const NodeId node = Lookup(path);
  if (node == kNoNode || IsDirectory(node)) {
    return false;
  }
  At(node).file.Alter(at, bytes);
  return true;
}

bool Disk::TruncateFile(std::string_view path, uint64_t bytes) {
  const NodeId node = Lookup(path);
  if (node == kNoNode || IsDirectory(node)) {
    return false;
  }
  At(node).file.AlterSize(bytes);
  return true;
}

bool Disk::SetUnreadable(std::string_view path, bool is_unreadable) {
  const NodeId node = Lookup(path);
  if (node == kNoNode || IsDirectory(node)) {
    return false;
  }
  At(node).is_unreadable = is_unreadable;
  return true;
}

void Disk::Put(std::string_view path, Bytes contents) {
  const auto [parent_path, name] = SplitPath(path);
  const NodeId parent = WalkDirectory(parent_path, /*create=*/true);
  ASSERT(parent != kNoNode);
  NodeId node = Find(parent, name);
  if (node == kNoNode) {
    node = NewNode(/*is_directory=*/false);
    At(parent).current[std::string(name)] = node;
    At(parent).durable[std::string(name)] = node;
  }
  File(node).AlterSize(0);
  File(node).Alter(0, contents);
}

bool Disk::Delete(std::string_view path) {
  const auto [parent_path, name] = SplitPath(path);
  const NodeId parent = Lookup(parent_path);
  if (parent == kNoNode || Find(parent, name) == kNoNode) {
    return false;
  }
  const std::string key(name);
  std::erase_if(At(parent).pending, [&](const EntryChange& change) { return change.name == key; });
  At(parent).current.erase(key);
  At(parent).durable.erase(key);
  DropUnreachable();
  return true;
}

void Disk::CopyFrom(const Disk& other) {
  for (const auto& [id, node] : nodes_) {
    ASSERT(node.open_count == 0);
  }
  nodes_ = other.nodes_;
  for (auto& [id, node] : nodes_) {
    node.open_count = 0;
  }
  next_node_ = other.next_node_;
  capacity_bytes_ = other.capacity_bytes_;
  DropUnreachable();
}

}  // namespace backstay
