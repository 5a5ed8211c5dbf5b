// core/smtp/punycode.cc -- RFC 3492 s6.3, with the names of its pseudo code.
#include "core/smtp/punycode.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/base/check.h"
#include "core/base/utf8.h"
#include "core/smtp/ascii.h"

namespace backstay {
namespace {

constexpr uint32_t kBase = 36;
constexpr uint32_t kTMin = 1;
constexpr uint32_t kTMax = 26;
constexpr uint32_t kSkew = 38;
constexpr uint32_t kDamp = 700;
constexpr uint32_t kInitialBias = 72;
constexpr uint32_t kInitialN = 0x80;

std::vector<uint32_t> CodePoints(std::string_view text) {
  std::vector<uint32_t> points;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if ((byte & 0xc0) == 0x80) {
      points.back() = points.back() << 6 | (byte & 0x3f);
    } else {
      points.push_back(byte < 0x80 ? byte
                                   : byte & (byte >= 0xf0   ? 0x07
                                             : byte >= 0xe0 ? 0x0f
                                                            : 0x1f));
    }
  }
  return points;
}

char Digit(uint32_t value) {
  return static_cast<char>(value < 26 ? 'a' + value : '0' + (value - 26));
}

uint32_t Adapt(uint32_t delta, uint32_t points, bool first) {
  delta /= first ? kDamp : 2;
  delta += delta / points;
  uint32_t k = 0;
  for (; delta > (kBase - kTMin) * kTMax / 2; k += kBase) {
    delta /= kBase - kTMin;
  }
  return k + (kBase - kTMin + 1) * delta / (delta + kSkew);
}

// `delta` as a number of variable length.
void AppendDelta(uint32_t delta, uint32_t bias, std::string& output) {
  for (uint32_t k = kBase;; k += kBase) {
    const uint32_t t = k <= bias ? kTMin : std::min(k - bias, kTMax);
    if (delta < t) {
      output.push_back(Digit(delta));
      return;
    }
    output.push_back(Digit(t + (delta - t) % (kBase - t)));
    delta = (delta - t) / (kBase - t);
  }
}

}  // namespace

// An address has at most 256 bytes (core/smtp/address.h), so delta stays far below 2^32.
void AppendAsciiLabel(std::string_view label, std::string& output) {
  ASSERT(IsUtf8(label));
  const std::vector<uint32_t> points = CodePoints(label);
  output.append("xn--");
  uint32_t handled = 0;
  for (const uint32_t point : points) {
    if (point < kInitialN) {
      output.push_back(ToLower(static_cast<char>(point)));
      ++handled;
    }
  }
  const uint32_t basic = handled;
  if (basic > 0) {
    output.push_back('-');
  }
  uint32_t n = kInitialN;
  uint32_t delta = 0;
  uint32_t bias = kInitialBias;
  while (handled < points.size()) {
    uint32_t next = UINT32_MAX;
    for (const uint32_t point : points) {
      next = point >= n ? std::min(next, point) : next;
    }
    delta += (next - n) * (handled + 1);
    n = next;
    for (const uint32_t point : points) {
      if (point < n) {
        ++delta;
      } else if (point == n) {
        AppendDelta(delta, bias, output);
        bias = Adapt(delta, handled + 1, handled == basic);
        delta = 0;
        ++handled;
      }
    }
    ++delta;
    ++n;
  }
}

}  // namespace backstay
