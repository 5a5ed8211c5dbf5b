// core/base/log.h -- the operator's log: one line an event, key=value, only what a human can act
// on.
//
// Per-message events do not come here but to core/shard/event_log. Foreign text goes through
// Escaped() first. spdlog writes the lines to stderr; the simulator and the tests capture them with
// SetLogSink.
// Turn:  never waits beyond the write of one line.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace backstay {

enum class LogLevel : int { kInfo, kWarning, kError };

void LogLine(LogLevel level, std::string_view line);

template <typename... Args>
void LogInfo(fmt::format_string<Args...> format, Args&&... args) {
  LogLine(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogWarning(fmt::format_string<Args...> format, Args&&... args) {
  LogLine(LogLevel::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogError(fmt::format_string<Args...> format, Args&&... args) {
  LogLine(LogLevel::kError, fmt::format(format, std::forward<Args>(args)...));
}

// Control bytes, quotes and bytes above 0x7e as \xNN; cut at 200 bytes. For all text from
// strangers.
std::string Escaped(std::string_view text);

// Where lines go instead of spdlog; null restores it. Set before other threads exist.
using LogSink = void (*)(LogLevel level, std::string_view line);
void SetLogSink(LogSink sink);

}  // namespace backstay
