// io/sim/host.h -- a machine of the simulated world: an address and a disk that survives crashes.
//
// Owns: its disk, its locks. Made by World::AddHost, lives as long as the world.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "io/sim/disk.h"
#include "io/socket_address.h"

namespace backstay {

class World;

class Host {
 public:
  Host(World& world, uint32_t id, std::string name, const SocketAddress& address)
      : world_(world), id_(id), name_(std::move(name)), address_(address) {}
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  uint32_t id() const { return id_; }
  const std::string& name() const { return name_; }
  SocketAddress address() const { return address_; }  // port 0
  Disk& disk() { return disk_; }
  // Down: nobody reaches it and it reaches nobody; its programs go on. Connections stall, then time
  //       out.
  void SetDown(bool down);
  bool down() const { return down_; }

  // ---- for io/sim ----
  uint16_t TakePort() {
    next_port_ = next_port_ == 65535 ? uint16_t{32768} : static_cast<uint16_t>(next_port_ + 1);
    return next_port_;
  }
  // The files that are locked, and who holds each.
  std::map<NodeId, uint32_t>& locks() { return locks_; }

 private:
  World& world_;
  const uint32_t id_;
  const std::string name_;
  const SocketAddress address_;
  Disk disk_;
  bool down_ = false;
  uint16_t next_port_ = 32768;
  std::map<NodeId, uint32_t> locks_;
};

}  // namespace backstay
