// core/event/event_text.h -- times and foreign text into a line of the log. Nothing allocates but
// `out`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace backstay {

// "12.345", rounded down; zero for negative ones. At most three decimals.
void AppendSeconds(absl::Duration duration, size_t decimals, std::string& out);
// As Postfix shows what is not printable ASCII: "?".
void AppendPrintable(std::string_view text, std::string& out);

}  // namespace backstay
