// tests/fuzz/event/event_line_fuzz.cc -- whatever strangers say is one line of JSON, and printable
// lines of Postfix.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "core/base/bytes.h"
#include "core/base/check.h"
#include "core/event/json_line.h"
#include "core/event/postfix_lines.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace backstay;
  const std::string_view text = AsText({data, size});
  const size_t third = size / 3;
  Event event;
  Recipient recipients[1];
  recipients[0].address = std::string(text);
  event.sender = text.substr(0, third);
  event.recipient = text.substr(third, third);
  event.helo = text.substr(2 * third);
  event.message_id = text;
  event.recipients = recipients;
  event.reply = {550, text.substr(0, third), text};
  for (int kind = 0; kind <= static_cast<int>(EventKind::kLinesLost); ++kind) {
    event.kind = static_cast<EventKind>(kind);
    TimeText iso(TimeText::Form::kIso, absl::UTCTimeZone());
    std::string line;
    AppendJsonLine(event, iso, line);
    if (!line.empty()) {
      ASSERT(line.find('\n') == line.size() - 1);
      ASSERT(nlohmann::json::accept(line));
    }
    TimeText syslog(TimeText::Form::kSyslog, absl::UTCTimeZone());
    std::string lines;
    AppendPostfixLines(event, "mx2", syslog, lines);
    ASSERT(lines.ends_with("\n"));
    ASSERT(std::all_of(lines.begin(), lines.end(), [](char character) {
      return character == '\n' || (character >= ' ' && character < 0x7f);
    }));
    const auto count = std::count(lines.begin(), lines.end(), '\n');
    ASSERT(count == (event.kind == EventKind::kQueued ? 3 : 1));
  }
  return 0;
}
