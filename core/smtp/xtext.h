// core/smtp/xtext.h -- RFC 3461 s4: any text as one word, with '+' and two digits for the rest.
//
// Strict in both directions: what decodes to a control byte is refused, because such a value ends
// up in header fields, reports and commands of the next hop.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace backstay {

// Well-formed, and stands for printable ASCII only. The empty text is xtext.
bool IsXtext(std::string_view text);
// What it stands for; nothing when it is no xtext.
std::optional<std::string> DecodeXtext(std::string_view text);
// `text` is printable ASCII.
void AppendXtext(std::string_view text, std::string& output);

}  // namespace backstay
