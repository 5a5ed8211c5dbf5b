// tools/traffic/stamp.cc -- writes the line, finds it again.
#include "tools/traffic/stamp.h"

#include <fmt/format.h>

#include <charconv>
#include <iterator>

#include "core/base/crc32c.h"

namespace backstay {
namespace {

constexpr std::string_view kField = "X-Load-Id: ";

template <typename Number>
bool TakeNumber(std::string_view& text, int base, char end, Number& number) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number, base);
  const auto taken = static_cast<size_t>(parsed.ptr - text.data());
  if (parsed.ec != std::errc() || taken == text.size() || text[taken] != end) {
    return false;
  }
  text.remove_prefix(taken + 1);
  return true;
}

bool ParseStamp(std::string_view line, Stamp& stamp) {
  return TakeNumber(line, 16, ' ', stamp.id) && TakeNumber(line, 10, ' ', stamp.bytes) &&
         TakeNumber(line, 16, '\r', stamp.crc);
}

}  // namespace

void AppendStamp(const Stamp& stamp, std::string& output) {
  fmt::format_to(std::back_inserter(output), "{}{:016x} {} {:08x}\r\n", kField, stamp.id,
                 stamp.bytes, stamp.crc);
}

std::string IdText(uint64_t id) {
  return fmt::format("{:016x}", id);
}

void StampReader::Start() {
  state_ = State::kSearching;
  head_.clear();
  stamp_ = Stamp();
  bytes_ = 0;
  crc_ = 0;
}

void StampReader::Take(Bytes content) {
  if (state_ == State::kSearching && !Search(content)) {
    return;
  }
  if (state_ == State::kFound) {
    bytes_ += content.size();
    crc_ = Crc32c(crc_, content);
  }
}

// True: over; `rest` is what follows the line.
bool StampReader::Search(Bytes& rest) {
  head_.append(AsText(rest));
  size_t at = 0;
  while ((at = head_.find(kField, at)) != std::string::npos) {
    const size_t end = head_.find('\n', at);
    if (end == std::string::npos) {
      break;  // more of it may come
    }
    const std::string_view line = std::string_view(head_).substr(at, end - at);
    if ((at == 0 || head_[at - 1] == '\n') && ParseStamp(line.substr(kField.size()), stamp_)) {
      state_ = State::kFound;
      rest = rest.last(head_.size() - end - 1);
      return true;
    }
    at = end;
  }
  if (head_.size() > kHeadBytesMax) {
    state_ = State::kGivenUp;
    rest = Bytes();
    return true;
  }
  return false;
}

StampReader::Verdict StampReader::Finish() const {
  if (state_ != State::kFound) {
    return Verdict::kNoStamp;
  }
  const bool intact = bytes_ == stamp_.bytes && crc_ == stamp_.crc;
  return intact ? Verdict::kIntact : Verdict::kDamaged;
}

}  // namespace backstay
