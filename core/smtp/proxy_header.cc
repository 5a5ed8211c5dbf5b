// core/smtp/proxy_header.cc -- byte by byte until the header is whole, then all of it at once.
#include "core/smtp/proxy_header.h"

#include <algorithm>
#include <charconv>

#include "core/smtp/ascii.h"

namespace backstay {
namespace {

constexpr std::string_view kVersion1Start = "PROXY ";
constexpr std::string_view kVersion2Start("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kVersion2FixedBytes = 16;  // with command, family and length

// Addresses of both sides and two ports.
constexpr size_t kV4Bytes = 4 + 4 + 2 + 2;
constexpr size_t kV6Bytes = 16 + 16 + 2 + 2;
constexpr size_t kUnixBytes = 108 + 108;

bool StartsLike(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start.substr(0, text.size());
}

uint16_t LoadBig16(const uint8_t* bytes) {
  return static_cast<uint16_t>(bytes[0] << 8 | bytes[1]);
}

// The word up to the next blank, taken off with it. Two blanks in a row make an empty word.
std::string_view TakeWord(std::string_view& text) {
  const size_t end = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return word;
}

// Decimal without sign and leading zeros.
std::optional<uint16_t> ParsePort(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  const bool canonical = text.size() == 1 || (!text.empty() && text[0] != '0');
  return whole && canonical ? std::optional(port) : std::nullopt;
}

}  // namespace

ProxyHeader::Result ProxyHeader::Consume(Bytes& bytes) {
  while (!bytes.empty()) {
    header_.push_back(static_cast<char>(bytes.front()));
    bytes = bytes.subspan(1);
    const std::optional<size_t> wanted = Wanted();
    if (!wanted.has_value()) {
      return Result::kError;
    }
    if (header_.size() == *wanted) {
      return Parse() ? Result::kDone : Result::kError;
    }
  }
  return Result::kIncomplete;
}

std::optional<size_t> ProxyHeader::Wanted() const {
  if (StartsLike(header_, kVersion1Start)) {
    const bool whole = header_.ends_with("\r\n");
    if (!whole && (header_.back() == '\n' || header_.size() == kVersion1BytesMax)) {
      return std::nullopt;
    }
    return whole ? header_.size() : kVersion1BytesMax;
  }
  if (!StartsLike(header_, kVersion2Start)) {
    return std::nullopt;
  }
  if (header_.size() < kVersion2FixedBytes) {
    return kVersion2FixedBytes + 1;  // more than there is
  }
  const size_t length = LoadBig16(AsBytes(header_).data() + kVersion2FixedBytes - 2);
  const size_t wanted = kVersion2FixedBytes + length;
  return wanted <= kBytesMax ? std::optional(wanted) : std::nullopt;
}

bool ProxyHeader::Parse() {
  return header_.starts_with(kVersion1Start)
             ? ParseVersion1(std::string_view(header_).substr(0, header_.size() - 2))
             : ParseVersion2(AsBytes(header_));
}

bool ProxyHeader::ParseVersion1(std::string_view line) {
  line.remove_prefix(kVersion1Start.size());
  const std::string_view family = TakeWord(line);
  if (family == "UNKNOWN") {
    return true;  // section 2.1: what follows up to the CRLF is ignored
  }
  const bool is_v6 = family == "TCP6";
  if (family != "TCP4" && !is_v6) {
    return false;
  }
  const auto source = ParseNumericAddress(TakeWord(line), is_v6);
  const auto destination = ParseNumericAddress(TakeWord(line), is_v6);
  const auto source_port = ParsePort(TakeWord(line));
  const auto destination_port = ParsePort(line);
  if (!source || !destination || !source_port || !destination_port) {
    return false;
  }
  source_ = {*source, *source_port};
  return true;
}

bool ProxyHeader::ParseVersion2(Bytes header) {
  const unsigned version = header[12] >> 4;
  const unsigned command = header[12] & 0xf;
  const unsigned family = header[13] >> 4;
  const unsigned transport = header[13] & 0xf;
  constexpr unsigned kLocal = 0;
  constexpr unsigned kProxy = 1;
  constexpr unsigned kFamilyMax = 3;     // UNSPEC, INET, INET6, UNIX
  constexpr unsigned kTransportMax = 2;  // UNSPEC, STREAM, DGRAM
  if (version != 2 || command > kProxy || family > kFamilyMax || transport > kTransportMax) {
    return false;
  }
  const Bytes body = header.subspan(kVersion2FixedBytes);
  constexpr size_t kBytesOf[] = {0, kV4Bytes, kV6Bytes, kUnixBytes};
  if (command == kLocal) {
    return true;  // section 2.2: the receiver must ignore the address block
  }
  // A datagram has no connection that it could be the header of.
  constexpr unsigned kDatagram = 2;
  if (body.size() < kBytesOf[family] || transport == kDatagram) {
    return false;
  }
  constexpr unsigned kInet = 1;
  constexpr unsigned kInet6 = 2;
  constexpr unsigned kStream = 1;
  if (transport != kStream || (family != kInet && family != kInet6)) {
    return true;
  }
  ProxySource source{.address = {.is_v6 = family == kInet6}};
  const size_t address_bytes = family == kInet6 ? 16 : 4;
  std::copy_n(body.begin(), address_bytes, source.address.bytes.begin());
  source.port = LoadBig16(body.data() + 2 * address_bytes);
  source_ = source;
  return true;
}

}  // namespace backstay
