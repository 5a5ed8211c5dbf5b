// core/smtp/origin_command.cc -- attribute by attribute, each checked again before the wire.
#include "core/smtp/origin_command.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/smtp/ascii.h"
#include "core/smtp/numeric_address.h"
#include "core/smtp/xtext.h"

namespace backstay {
namespace {

// XFORWARD_README: a command of at most 512 bytes, a value of at most 255.
constexpr size_t kCommandBytesMax = 512;
constexpr size_t kValueBytesMax = 255;

// As both of them write it; empty: none.
std::string AddressText(std::string_view address) {
  if (ParseNumericAddress(address, /*is_v6=*/false).has_value()) {
    return std::string(address);
  }
  return ParseNumericAddress(address, /*is_v6=*/true).has_value() ? fmt::format("IPV6:{}", address)
                                                                  : std::string();
}

class CommandText {
 public:
  explicit CommandText(std::string_view verb) : text_(verb) {}

  // What does not fit is left away: it is a hint to the primary, and the message is not worth less
  // without it.
  void Add(bool offered, std::string_view attribute, std::string_view value) {
    if (!offered) {
      return;
    }
    const bool is_known = !value.empty() && std::all_of(value.begin(), value.end(), IsPrintable);
    std::string added = fmt::format(" {}=", attribute);
    const size_t value_at = added.size();
    AppendXtext(is_known ? value : "[UNAVAILABLE]", added);
    constexpr size_t kCrlfBytes = 2;
    if (added.size() - value_at <= kValueBytesMax &&
        text_.size() + added.size() + kCrlfBytes <= kCommandBytesMax) {
      text_ += added;
    }
  }
  std::string Take() { return std::move(text_.append("\r\n")); }

 private:
  std::string text_;
};

}  // namespace

OriginOffer OriginOffer::Parse(std::string_view words) {
  OriginOffer offer;
  while (!words.empty()) {
    words = Trimmed(words);
    const std::string_view word = words.substr(0, words.find(' '));
    words.remove_prefix(word.size());
    const auto is = [word](std::string_view attribute) {
      return EqualsIgnoringCase(word, attribute);
    };
    offer.name |= is("NAME");
    offer.address |= is("ADDR");
    offer.port |= is("PORT");
    offer.protocol |= is("PROTO");
    offer.helo |= is("HELO");
    offer.source |= is("SOURCE");
  }
  return offer;
}

std::string OriginCommand(std::string_view verb, const Envelope& envelope,
                          const OriginOffer& offer) {
  if (!offer.address) {
    return {};
  }
  const std::string port =
      envelope.client_port == 0 ? std::string() : fmt::format("{}", envelope.client_port);
  CommandText command(verb);
  command.Add(true, "ADDR", AddressText(envelope.client_address));
  command.Add(offer.name, "NAME", envelope.client_name);
  command.Add(offer.port, "PORT", port);
  command.Add(offer.protocol, "PROTO", envelope.client_extended ? "ESMTP" : "SMTP");
  command.Add(offer.helo, "HELO", envelope.client_helo);
  command.Add(offer.source, "SOURCE", "REMOTE");
  return command.Take();
}

}  // namespace backstay
