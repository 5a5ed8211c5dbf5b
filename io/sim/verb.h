// io/sim/verb.h -- the asynchronous verbs of Io, as the simulator names them; the network's first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace backstay {

enum class IoVerb : uint8_t {
  kAccept,
  kConnect,
  kReceive,
  kSend,
  kAsk,
  kOpen,
  kRead,
  kWrite,
  kSyncData,
  kSyncDirectory,
  kAllocate,
  kTruncate,
  kUnlink,
  kRename  // the last
};
constexpr size_t kVerbs = static_cast<size_t>(IoVerb::kRename) + 1;

std::string_view Describe(IoVerb verb);

constexpr bool IsSocketVerb(IoVerb verb) {
  return verb <= IoVerb::kAsk;
}

}  // namespace backstay
