// core/event/json_line.h -- an event as one line of JSON.
//
// What an event does not have, its line does not have. "from" is "" for the null reverse-path;
// times in seconds. See: core/OPERATING.md "The log of messages" for the members.
#pragma once

#include <string>

#include "core/base/units.h"
#include "core/event/event.h"
#include "core/event/time_text.h"

namespace backstay {

// A message may have more recipients than a line should: "recipients" counts them all.
inline constexpr size_t kListedBytesMax = 16_KiB;

// Nothing for what says nothing by itself: kConnected, kDisconnected, kRemoved. `time`: kIso.
void AppendJsonLine(const Event& event, TimeText& time, std::string& out);

}  // namespace backstay
