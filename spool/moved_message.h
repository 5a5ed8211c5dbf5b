// spool/moved_message.h -- a message whose record was written again in a younger segment.
//
// It keeps its home, the place where it was stored first: settles, rules, notes and queue ids speak
// of that. Only who reads it and what holds segments on disk look at where it lies.
//
// See: FORMAT.md 2 "moved".
#pragma once

#include <numeric>
#include <span>
#include <vector>

#include "spool/format.h"
#include "spool/spool.h"

namespace backstay {

inline uint64_t BytesOf(std::span<const PartEntry> parts) {
  return std::accumulate(parts.begin(), parts.end(), uint64_t{0},
                         [](uint64_t sum, const PartEntry& part) { return sum + part.bytes; });
}

struct MovedMessage {
  MessageRef home;
  PartEntry record;
  uint32_t arrival_seconds = 0;
  std::vector<DomainId> recipients;  // the domain of each
  std::vector<PartEntry> parts;
  uint64_t bytes = 0;  // parts included

  // Everything that must stay on disk for it.
  std::vector<PartEntry> Holds() const {
    std::vector<PartEntry> holds = parts;
    holds.push_back(record);
    return holds;
  }
};

}  // namespace backstay
