// core/event/time_text.h -- a moment as text; the calendar is asked once a second.
//
// Owns:  the last second's text.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "core/base/units.h"

namespace backstay {

class TimeText {
 public:
  enum class Form : uint8_t {
    kIso,    // "2026-11-26T09:00:00.123Z", whatever the zone
    kSyslog  // "Nov 26 09:00:00", as the zone's clocks show
  };
  TimeText(Form form, absl::TimeZone zone) : form_(form), zone_(zone) {}

  void Append(WallTime time, std::string& out);

 private:
  void Write(int64_t second);

  const Form form_;
  const absl::TimeZone zone_;
  int64_t second_ = INT64_MIN;  // that text_ shows
  std::array<char, 24> text_{};
  size_t size_ = 0;
};

}  // namespace backstay
