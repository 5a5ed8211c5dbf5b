// core/base/log.cc -- operator log lines by way of spdlog.
#include "core/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace backstay {
namespace {

constexpr size_t kEscapedBytesMax = 200;
constexpr const char* kPattern = "%Y-%m-%dT%H:%M:%S.%e%z %l %v";

LogSink capture = nullptr;

spdlog::logger& Logger() {
  // Made at the first line; spdlog's own default writes to stdout, which belongs to commands.
  static std::shared_ptr<spdlog::logger> made = [] {
    auto logger = spdlog::stderr_logger_mt("backstay");
    logger->set_pattern(kPattern);
    spdlog::set_default_logger(logger);
    return logger;
  }();
  return *spdlog::default_logger_raw();
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

void LogLine(LogLevel level, std::string_view line) {
  if (capture != nullptr) {
    capture(level, line);
    return;
  }
  Logger().log(ToSpdlog(level), "{}", line);
}

std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char character : text.substr(0, kEscapedBytesMax)) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte < 0x20 || byte > 0x7e || byte == '"' || byte == '\\') {
      escaped += fmt::format("\\x{:02x}", byte);
    } else {
      escaped += character;
    }
  }
  if (text.size() > kEscapedBytesMax) {
    escaped += "...";
  }
  return escaped;
}

void SetLogSink(LogSink sink) {
  capture = sink;
}

}  // namespace backstay
