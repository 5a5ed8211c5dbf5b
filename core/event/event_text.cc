// core/event/event_text.cc -- digits, and question marks.
#include "core/event/event_text.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/base/text.h"

namespace backstay {
void AppendSeconds(absl::Duration duration, size_t decimals, std::string& out) {
  ASSERT(decimals <= 3);
  auto thousandths =
      static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Milliseconds(duration), 0));
  AppendNumber(out, thousandths / 1000);
  if (decimals == 0) {
    return;
  }
  thousandths %= 1000;
  for (size_t left = decimals; left < 3; ++left) {
    thousandths /= 10;
  }
  out.push_back('.');
  AppendNumber(out, thousandths, decimals);
}

void AppendPrintable(std::string_view text, std::string& out) {
  for (const char character : text) {
    out.push_back(character >= ' ' && character < 0x7f ? character : '?');
  }
}

}  // namespace backstay
