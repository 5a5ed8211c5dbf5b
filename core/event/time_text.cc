// core/event/time_text.cc -- two forms of a date.
#include "core/event/time_text.h"

#include <algorithm>
#include <iterator>

#include "core/base/check.h"
#include "core/base/text.h"

namespace backstay {
namespace {

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";

}  // namespace

void TimeText::Append(WallTime time, std::string& out) {
  const int64_t nanoseconds = std::max<int64_t>(time.nanoseconds(), 0);
  if (nanoseconds / kNanosecondsPerSecond != second_) {
    second_ = nanoseconds / kNanosecondsPerSecond;
    Write(second_);
  }
  out.append(text_.data(), size_);
  if (form_ == Form::kIso) {
    out.push_back('.');
    AppendNumber(out, static_cast<uint64_t>(nanoseconds % kNanosecondsPerSecond / 1'000'000), 3);
    out.push_back('Z');
  }
}

void TimeText::Write(int64_t second) {
  const absl::TimeZone zone = form_ == Form::kIso ? absl::UTCTimeZone() : zone_;
  const absl::CivilSecond at = absl::ToCivilSecond(absl::FromUnixSeconds(second), zone);
  std::string text;
  const auto number = [&text](int64_t value, size_t digits, char pad) {
    AppendNumber(text, static_cast<uint64_t>(value), digits, pad);
  };
  if (form_ == Form::kIso) {
    number(at.year(), 4, '0');
    text.push_back('-');
    number(at.month(), 2, '0');
    text.push_back('-');
    number(at.day(), 2, '0');
    text.push_back('T');
  } else {
    text.append(kMonths.substr(static_cast<size_t>(at.month() - 1) * 3, 3)).push_back(' ');
    number(at.day(), 2, ' ');
    text.push_back(' ');
  }
  number(at.hour(), 2, '0');
  text.push_back(':');
  number(at.minute(), 2, '0');
  text.push_back(':');
  number(at.second(), 2, '0');
  size_ = std::min(text.size(), text_.size());
  std::copy_n(text.begin(), size_, text_.begin());
}

}  // namespace backstay
