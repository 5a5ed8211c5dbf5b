// core/dns/primary_file.cc -- lines out, lines in.
#include "core/dns/primary_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/base/bytes.h"
#include "core/base/crc32c.h"

namespace backstay {
namespace {

constexpr std::string_view kHead = "backstay-primaries 1\n";
constexpr std::string_view kEnd = "end ";
constexpr std::string_view kDown = "down ";
constexpr std::string_view kSaid = "said ";
constexpr size_t kAnswersMax = 1'000'000;
constexpr int64_t kSecondsMax = 9'000'000'000;  // what a WallTime can hold
constexpr size_t kKeyDigits = 16;
constexpr size_t kCrcDigits = 8;

std::string Tail(std::string_view before) {
  return fmt::format("{}{:08x}\n", kEnd, Crc32c(0, AsBytes(before)));
}

int64_t SecondsOf(WallTime time) {
  return absl::ToInt64Seconds(time - WallTime());
}

std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// Up to the next `delimiter`, which is dropped as well. Nothing: there is none.
std::optional<std::string_view> Take(std::string_view& text, char delimiter) {
  const size_t end = text.find(delimiter);
  if (end == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view taken = text.substr(0, end);
  text.remove_prefix(end + 1);
  return taken;
}

template <typename Number>
bool ReadNumber(std::optional<std::string_view> text, int base, Number& number) {
  if (!text.has_value()) {
    return false;
  }
  const char* const end = text->data() + text->size();
  const auto [at, error] = std::from_chars(text->data(), end, number, base);
  return error == std::errc() && at == end;
}

bool ReadOutage(std::string_view line, SavedPrimary& primary) {
  int64_t since = 0;
  int64_t until = 0;
  if (!ReadNumber(Take(line, ' '), 10, since) || !ReadNumber(Take(line, ' '), 10, until) ||
      since < 0 || until < 0 || since > kSecondsMax || until > kSecondsMax ||
      primary.outages.size() == kOutagesMax) {
    return false;
  }
  primary.outages.push_back(
      {WallTime() + absl::Seconds(since), WallTime() + absl::Seconds(until), std::string(line)});
  return true;
}

bool ReadAnswers(std::string_view line, SavedPrimary& primary) {
  return ReadNumber(Take(line, ' '), 10, primary.taken) &&
         ReadNumber(std::optional(line), 10, primary.answers) && primary.answers <= kAnswersMax &&
         primary.taken <= primary.answers;
}

bool ReadLine(std::string_view line, SavedPrimaries& primaries) {
  uint64_t key = 0;
  if (!ReadNumber(Take(line, ' '), 16, key)) {
    return false;
  }
  if (line.starts_with(kDown)) {
    return ReadOutage(line.substr(kDown.size()), primaries[key]);
  }
  if (line.starts_with(kSaid)) {
    return ReadAnswers(line.substr(kSaid.size()), primaries[key]);
  }
  PrimaryCandidate candidate;
  if (!ReadNumber(Take(line, ' '), 10, candidate.preference)) {
    return false;
  }
  const std::optional<SocketAddress> address =
      SocketAddress::Parse(Take(line, ' ').value_or(std::string_view()));
  if (!address.has_value() || line.empty()) {
    return false;
  }
  candidate.address = *address;
  candidate.name.assign(line);
  primaries[key].candidates.push_back(std::move(candidate));
  return true;
}

}  // namespace

std::string EncodePrimaries(const SavedPrimaries& primaries) {
  std::string text(kHead);
  for (const auto& [key, primary] : primaries) {
    for (const PrimaryCandidate& candidate : primary.candidates) {
      text += fmt::format("{:0{}x} {} {} {}\n", key, kKeyDigits, candidate.preference,
                          candidate.address.ToString(), candidate.name);
    }
    for (const Outage& outage : primary.outages) {
      text += fmt::format("{:0{}x} {}{} {} {}\n", key, kKeyDigits, kDown, SecondsOf(outage.since),
                          SecondsOf(outage.until), OneLine(outage.reason));
    }
    if (primary.answers > 0) {
      text +=
          fmt::format("{:0{}x} {}{} {}\n", key, kKeyDigits, kSaid, primary.taken, primary.answers);
    }
  }
  return text + Tail(text);
}

std::optional<SavedPrimaries> DecodePrimaries(std::string_view text) {
  constexpr size_t kTailBytes = kEnd.size() + kCrcDigits + 1;
  if (!text.starts_with(kHead) || text.size() < kHead.size() + kTailBytes) {
    return std::nullopt;
  }
  const std::string_view before = text.substr(0, text.size() - kTailBytes);
  if (text.substr(before.size()) != Tail(before)) {
    return std::nullopt;
  }
  SavedPrimaries primaries;
  std::string_view left = before.substr(kHead.size());
  while (!left.empty()) {
    const std::optional<std::string_view> line = Take(left, '\n');
    if (!line.has_value() || !ReadLine(*line, primaries)) {
      return std::nullopt;
    }
  }
  for (auto& [key, primary] : primaries) {
    std::sort(primary.candidates.begin(), primary.candidates.end());
  }
  return primaries;
}

}  // namespace backstay
