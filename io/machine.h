// io/machine.h -- what this machine calls itself, and to whom a file of it is open.
//
// Turn:   asks the kernel and the file system; at a start or a reload, never on a shard.
#pragma once

#include <string>

namespace backstay {

// As the kernel has it: any text, "(none)" too. Empty: it cannot be had.
std::string MachineName();

// By its mode alone: neither access lists nor the directories above it are looked at. Of a link:
// of what it leads to. What is not there is open to nobody.
struct FileRights {
  bool everybody_reads = false;
  bool others_write = false;  // than its owner: its group, or everybody
};
FileRights RightsOf(const std::string& path);

}  // namespace backstay
