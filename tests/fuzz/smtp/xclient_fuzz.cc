// tests/fuzz/smtp/xclient_fuzz.cc -- what a proxy tells can be told on, and ends no command.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/smtp/ascii.h"
#include "core/smtp/origin_command.h"
#include "core/smtp/xclient.h"
#include "core/smtp/xtext.h"
#include "tests/fuzz/smtp/fuzz_input.h"

namespace backstay {
namespace {

const OriginOffer kAll = OriginOffer::Parse("NAME ADDR PORT PROTO HELO SOURCE");

std::string Told(std::string_view verb, const Envelope& envelope) {
  std::string command = OriginCommand(verb, envelope, kAll);
  ASSERT(command.size() <= 512);
  ASSERT(command.ends_with("\r\n"));
  command.resize(command.size() - 2);
  for (const char c : command) {
    ASSERT(IsPrintable(c));
  }
  return command;
}

// An envelope that holds anything.
void CheckAnyEnvelope(std::string_view text) {
  Envelope envelope;
  const size_t cut = text.find(',');
  envelope.client_address = text.substr(0, cut);
  envelope.client_name = text.substr(std::min(text.size(), cut));
  envelope.client_helo = text;
  Told("XFORWARD", envelope);
}

void Check(Bytes input) {
  const std::vector<uint8_t> copy = Alone(input);
  const std::string_view text = AsText(copy);
  CheckAnyEnvelope(text);
  const std::optional<std::string> decoded = DecodeXtext(text);
  ASSERT(decoded.has_value() == IsXtext(text));
  if (decoded.has_value()) {
    std::string encoded;
    AppendXtext(*decoded, encoded);
    ASSERT(DecodeXtext(encoded) == decoded);
  }
  const std::optional<XclientAttributes> told = ParseXclient(text);
  if (!told.has_value()) {
    return;
  }
  Envelope envelope;
  envelope.client_name = told->name.value_or("");
  envelope.client_helo = told->helo.value_or("");
  envelope.client_port = told->port.value_or(0);
  envelope.client_extended = told->extended.value_or(false);
  const std::string command = Told("XCLIENT", envelope);
  const size_t source = command.find(" SOURCE=REMOTE");  // XFORWARD's own
  const auto again = ParseXclient(std::string_view(command).substr(8, source - 8));
  ASSERT(again.has_value());
  ASSERT(again->extended == envelope.client_extended);
  ASSERT(!again->name.has_value() || *again->name == envelope.client_name);
  ASSERT(!again->helo.has_value() || *again->helo == envelope.client_helo);
}

}  // namespace
}  // namespace backstay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  backstay::Check({data, size});
  return 0;
}
