// tests/fuzz/smtp/address_fuzz.cc -- an address that is taken can be sent on and means one thing.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/smtp/address.h"
#include "core/smtp/ascii.h"
#include "core/smtp/command.h"
#include "core/smtp/dsn_parameters.h"
#include "core/smtp/extensions.h"
#include "core/smtp/xtext.h"
#include "tests/fuzz/smtp/fuzz_input.h"

namespace backstay {
namespace {

void CheckPath(const Path& path, std::string_view text, Path (*parse)(std::string_view)) {
  const bool utf8 = path.error == PathError::kUtf8;
  if (path.error != PathError::kNone && !utf8) {
    ASSERT(path.address.empty());
    return;
  }
  ASSERT(path.address.size() <= 254);
  ASSERT(text.ends_with(path.rest));
  for (const char c : path.address) {
    ASSERT(IsPrintable(c) || c == '\t' || (utf8 && static_cast<unsigned char>(c) >= 0x80));
  }
  // What we re-emit parses to itself.
  const std::string again = "<" + std::string(path.address) + ">";
  const Path second = parse(again);
  ASSERT(second.error == path.error);
  ASSERT(second.address == path.address);
  const std::string domain = DomainOf(path.address);
  for (const char c : domain) {
    ASSERT(c == ToLower(c));
    ASSERT(c != '@');
  }
  ASSERT(path.address.empty() || !domain.empty() || EqualsIgnoringCase(path.address, "Postmaster"));
}

void CheckRcptParams(std::string_view text) {
  for (const bool utf8 : {false, true}) {
    RcptParams params;
    if (ParseRcptParams(text, utf8, params) != ParameterFault::kNone) {
      continue;
    }
    // What goes on is taken again, and cannot end the command.
    if (params.notify != 0) {
      ASSERT(ParseNotify(NotifyText(params.notify)) == params.notify);
    }
    for (const char c : params.original_recipient) {
      ASSERT((IsPrintable(c) && c != ' ') || (utf8 && static_cast<unsigned char>(c) >= 0x80));
    }
  }
}

void Check(Bytes input) {
  const std::vector<uint8_t> copy = Alone(input);
  const std::string_view text = AsText(copy);
  CheckPath(ParseReversePath(text), text, ParseReversePath);
  const Path forward = ParseForwardPath(text);
  CheckPath(forward, text, ParseForwardPath);
  if (forward.error == PathError::kNone) {
    const std::string_view local_part = forward.address.substr(0, forward.address.rfind('@'));
    ASSERT(local_part.find_first_of("%!@") == std::string_view::npos);
    ASSERT(!forward.address.empty());
  }
  MailParams params;
  if (ParseMailParams(text, 1000, params) == ParameterFault::kNone) {
    ASSERT(params.size_bytes.value_or(0) <= 1000);
    ASSERT(params.envelope_id.empty() || DecodeXtext(params.envelope_id).has_value());
  }
  CheckRcptParams(text);
  if (!text.empty() && text.find('\n') == text.size() - 1) {
    const Command command = ParseCommand(text);
    ASSERT(command.argument.size() <= text.size());
    if (command.fault == LineFault::kNone) {
      ASSERT(command.argument.find_first_of(std::string_view("\r\n\0", 3)) ==
             std::string_view::npos);
    }
  }
}

}  // namespace
}  // namespace backstay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  backstay::Check({data, size});
  return 0;
}
