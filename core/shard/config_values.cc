// core/shard/config_values.cc -- text to value, with a reason that says what would have been right.
#include "core/shard/config_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>
#include <vector>

#include "core/base/log.h"
#include "core/base/status_macros.h"

namespace backstay {
namespace {

constexpr size_t kDomainBytesMax = 253;  // RFC 1035 s2.3.4: 255 on the wire
constexpr size_t kLabelBytesMax = 63;
constexpr absl::Duration kDurationMax = absl::Hours(10 * 366 * 24);

bool IsDigit(char character) {
  return character >= '0' && character <= '9';
}

// A decimal number without sign that is all of `text`.
std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || at != end) {
    return std::nullopt;
  }
  return number;
}

struct NumberAndUnit {
  std::optional<uint64_t> number;
  std::string_view unit;
};

NumberAndUnit SplitUnit(std::string_view text) {
  const auto digits_end = std::find_if_not(text.begin(), text.end(), IsDigit);
  const auto digits = static_cast<size_t>(digits_end - text.begin());
  return {.number = ParseNumber(text.substr(0, digits)), .unit = text.substr(digits)};
}

struct SizeUnit {
  std::string_view name;
  uint64_t bytes;
};
constexpr std::array<SizeUnit, 5> kSizeUnits = {
    {{"B", 1}, {"KiB", 1_KiB}, {"MiB", 1_MiB}, {"GiB", 1_GiB}, {"TiB", 1024 * 1_GiB}}};

struct DurationUnit {
  std::string_view name;
  absl::Duration duration;
};
constexpr std::array<DurationUnit, 4> kDurationUnits = {{{"s", absl::Seconds(1)},
                                                         {"m", absl::Minutes(1)},
                                                         {"h", absl::Hours(1)},
                                                         {"d", absl::Hours(24)}}};

absl::Status NotASize(std::string_view text) {
  return absl::InvalidArgumentError(fmt::format(
      "\"{}\" is not a size (write \"50MiB\"; units are B, KiB, MiB, GiB and TiB)", Escaped(text)));
}

absl::Status NotADuration(std::string_view text) {
  return absl::InvalidArgumentError(fmt::format(
      "\"{}\" is not a duration (write \"10m\"; units are s, m, h and d)", Escaped(text)));
}

bool IsLabel(std::string_view label) {
  return !label.empty() && label.size() <= kLabelBytesMax && label.front() != '-' &&
         label.back() != '-' && std::all_of(label.begin(), label.end(), [](char character) {
           return IsDigit(character) || (character >= 'a' && character <= 'z') || character == '-';
         });
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& character : lower) {
    if (character >= 'A' && character <= 'Z') {
      character = static_cast<char>(character - 'A' + 'a');
    }
  }
  return lower;
}

std::optional<uint16_t> ParsePort(std::string_view text) {
  const std::optional<uint64_t> number = ParseNumber(text);
  if (!number.has_value() || *number == 0 || *number > 65535) {
    return std::nullopt;
  }
  return static_cast<uint16_t>(*number);
}

}  // namespace

absl::StatusOr<uint64_t> ParseSize(std::string_view text) {
  if (text == "0") {
    return 0;
  }
  const NumberAndUnit parts = SplitUnit(text);
  for (const SizeUnit& unit : kSizeUnits) {
    uint64_t bytes = 0;
    if (parts.number.has_value() && parts.unit == unit.name &&
        !__builtin_mul_overflow(*parts.number, unit.bytes, &bytes)) {
      return bytes;
    }
  }
  return NotASize(text);
}

absl::StatusOr<absl::Duration> ParseDuration(std::string_view text) {
  if (text == "0") {
    return absl::ZeroDuration();
  }
  const NumberAndUnit parts = SplitUnit(text);
  for (const DurationUnit& unit : kDurationUnits) {
    if (!parts.number.has_value() || parts.unit != unit.name) {
      continue;
    }
    // Clamped first: the cast must not wrap; the product saturates.
    const auto count = static_cast<int64_t>(std::min<uint64_t>(*parts.number, 1ULL << 40));
    const absl::Duration duration = unit.duration * count;
    if (duration > kDurationMax) {
      return absl::InvalidArgumentError(
          fmt::format("\"{}\" is longer than 10 years", Escaped(text)));
    }
    return duration;
  }
  return NotADuration(text);
}

absl::StatusOr<std::string> ParseDomainName(std::string_view text) {
  const std::string name = LowerCase(text);
  const auto refuse = [&](std::string_view why) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\" is not a domain name ({})", Escaped(text), why));
  };
  if (name.empty() || name.size() > kDomainBytesMax) {
    return refuse("1 to 253 characters");
  }
  if (std::any_of(name.begin(), name.end(), [](char character) { return character < 0; })) {
    return refuse("write an international name in its xn-- form");
  }
  size_t begin = 0;
  size_t end = 0;
  do {
    end = std::min(name.find('.', begin), name.size());
    if (!IsLabel(std::string_view(name).substr(begin, end - begin))) {
      return refuse("labels of 1 to 63 letters, digits and inner hyphens, joined by dots");
    }
    begin = end + 1;
  } while (end < name.size());
  // RFC 3696 s2: no top-level domain is all digits; what looks so is a mistyped address.
  const size_t last_dot = name.rfind('.');
  const std::string_view last =
      std::string_view(name).substr(last_dot == std::string::npos ? 0 : last_dot + 1);
  if (std::all_of(last.begin(), last.end(), IsDigit)) {
    return refuse("its last label is a number");
  }
  return name;
}

absl::StatusOr<HostPort> ParseHostPort(std::string_view text) {
  HostPort parsed;
  // An IPv6 address needs its brackets: without them "2001:db8::1:25" would be read as an address.
  const bool bare_v6 =
      text.find(':') != text.rfind(':') && text.find('[') == std::string_view::npos;
  parsed.address = bare_v6 ? std::nullopt : SocketAddress::Parse(text, parsed.port);
  if (parsed.address.has_value() && parsed.address->port() != 0) {
    parsed.port = parsed.address->port();
    parsed.host = parsed.address->AddressString();
    return parsed;
  }
  parsed.address.reset();
  const size_t colon = text.find(':');
  std::optional<uint16_t> port = parsed.port;
  if (colon != std::string_view::npos) {
    port = ParsePort(text.substr(colon + 1));
  }
  absl::StatusOr<std::string> name = ParseDomainName(text.substr(0, colon));
  if (!port.has_value() || !name.ok()) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\" is not a host (write \"192.0.2.10:25\", \"[2001:db8::1]:25\" or "
                    "\"mx1.example.com\")",
                    Escaped(text)));
  }
  parsed.host = *std::move(name);
  parsed.port = *port;
  return parsed;
}

absl::StatusOr<SocketAddress> ParseListenAddress(std::string_view text) {
  const std::optional<SocketAddress> address = SocketAddress::Parse(text);
  if (!address.has_value()) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\" is not an address with a port (write \"0.0.0.0:25\" or \"[::]:25\")",
                    Escaped(text)));
  }
  if (address->port() == 0) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\": the port must be 1 to 65535", Escaped(text)));
  }
  return *address;
}

absl::StatusOr<SmtpConfig::BlockList> ParseBlockList(std::string_view text) {
  constexpr uint64_t kWeightMax = 1000;
  const size_t colon = text.find(':');
  SmtpConfig::BlockList list;
  ASSIGN_OR_RETURN(list.zone, ParseDomainName(text.substr(0, colon)));
  if (colon != std::string_view::npos) {
    const std::optional<uint64_t> weight = ParseNumber(text.substr(colon + 1));
    if (!weight.has_value() || *weight == 0 || *weight > kWeightMax) {
      return absl::InvalidArgumentError(
          fmt::format("\"{}\": the weight must be 1 to {}", Escaped(text), kWeightMax));
    }
    list.weight = static_cast<int>(*weight);
  }
  return list;
}

absl::StatusOr<std::string> ParsePath(std::string_view text) {
  const auto is_control = [](char character) { return character >= 0 && character < 0x20; };
  if (text.empty() || std::any_of(text.begin(), text.end(), is_control)) {
    return absl::InvalidArgumentError(fmt::format("\"{}\" is not a path", Escaped(text)));
  }
  return std::string(text);
}

size_t EditDistance(std::string_view left, std::string_view right) {
  std::vector<size_t> row(right.size() + 1);  // distances from a prefix of left to each of right's
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= left.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= right.size(); ++j) {
      const size_t replaced = diagonal + (left[i - 1] == right[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[right.size()];
}

}  // namespace backstay
