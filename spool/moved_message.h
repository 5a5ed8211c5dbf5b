// spool/moved_message.h -- a message whose record was written again in a younger segment.
//
// It keeps its home, the place where it was stored first: settles, rules, notes and queue ids speak
// of that. Only who reads it and what holds segments on disk look at where it lies.
//
// See: FORMAT.md 2 "moved".
#pragma once

#include <vector>

#include "spool/message_record.h"

namespace backstay {

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
