// tools/sink/content_reader.cc -- line by line, with memchr.
#include "tools/sink/content_reader.h"

#include <algorithm>
#include <cstring>

namespace backstay {

void ContentReader::Start() {
  place_ = Place::kLineStart;
  after_cr_ = false;
  violations_ = 0;
}

size_t ContentReader::Consume(Bytes bytes, Take take) {
  size_t used = 0;
  while (used < bytes.size() && place_ != Place::kDone) {
    const uint8_t next = bytes[used];
    switch (place_) {
      case Place::kLineStart:
        place_ = next == '.' ? Place::kDot : Place::kText;
        used += next == '.' ? 1 : 0;
        break;
      case Place::kDot:  // the first dot of a line is never content
        place_ = next == '\r' ? Place::kDotCr : Place::kText;
        used += next == '\r' ? 1 : 0;
        break;
      case Place::kDotCr:
        if (next == '\n') {
          place_ = Place::kDone;
          ++used;
        } else {
          ++violations_;
          place_ = Place::kText;
          take(AsBytes("\r"));
        }
        break;
      case Place::kText:
        used += ConsumeText(bytes.subspan(used), take);
        break;
      case Place::kDone:
        break;
    }
  }
  return used;
}

// The rest of one line, or all that is there of it.
size_t ContentReader::ConsumeText(Bytes bytes, Take take) {
  const auto* begin = bytes.data();
  const auto* newline = static_cast<const uint8_t*>(std::memchr(begin, '\n', bytes.size()));
  const size_t count = newline == nullptr ? bytes.size() : static_cast<size_t>(newline - begin) + 1;
  const Bytes line = bytes.first(count);
  const size_t text = newline == nullptr ? count : count - 1;
  const bool ends_in_cr = text == 0 ? after_cr_ : line[text - 1] == '\r';
  const size_t plain = text - (text > 0 && ends_in_cr ? 1 : 0);
  const bool stray = (after_cr_ && text > 0) || std::memchr(begin, '\r', plain) != nullptr ||
                     (newline != nullptr && !ends_in_cr);
  violations_ += (stray ? 1 : 0) + (std::memchr(begin, '\0', count) != nullptr ? 1 : 0);
  if (newline == nullptr) {
    after_cr_ = ends_in_cr;
  } else {
    after_cr_ = false;
    place_ = ends_in_cr ? Place::kLineStart : Place::kText;
  }
  take(line);
  return count;
}

}  // namespace backstay
