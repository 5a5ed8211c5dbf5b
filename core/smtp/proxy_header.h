// core/smtp/proxy_header.h -- the PROXY header, versions 1 and 2: whom a proxy speaks for.
//
// Strict: it decides which address a connection has, so whatever is not to the letter is an error,
// and an error ends the connection. TLVs are skipped, known or not.
//
// Life:   Consume() until it is not kIncomplete any more; the object is of no more use then.
// Owns:   the bytes of a header that is not whole, at most kBytesMax.
// See:    the PROXY protocol, sections 2.1 and 2.2 (haproxy.org); reliability row 198.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/units.h"
#include "core/smtp/numeric_address.h"

namespace backstay {

struct ProxySource {
  NumericAddress address;
  uint16_t port = 0;
  friend bool operator==(const ProxySource&, const ProxySource&) = default;
};

class ProxyHeader {
 public:
  enum class Result : uint8_t { kIncomplete, kDone, kError };

  // Addresses take 12 to 216 bytes; the rest is for TLVs, of which a client certificate's name is
  // the longest that proxies send.
  static constexpr size_t kBytesMax = 4_KiB;
  static constexpr size_t kVersion1BytesMax = 107;  // section 2.1, with its CRLF
  static_assert(kVersion1BytesMax < kBytesMax);

  // Takes bytes off the front of `bytes`: all of them, or up to the end of the header.
  Result Consume(Bytes& bytes);
  // After kDone. Nothing: the proxy speaks for itself (LOCAL), or for a client of no address that
  // we know (UNKNOWN, UNSPEC, a socket file).
  const std::optional<ProxySource>& source() const { return source_; }

 private:
  // How many bytes the header has, as far as what is there tells; nothing: it is none.
  std::optional<size_t> Wanted() const;
  bool Parse();
  bool ParseVersion1(std::string_view line);
  bool ParseVersion2(Bytes header);

  std::string header_;
  std::optional<ProxySource> source_;
};

}  // namespace backstay
