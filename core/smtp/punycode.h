// core/smtp/punycode.h -- a label of a domain in UTF-8 as the ASCII that names the same domain.
//
// What RFC 5890 calls a U-label is in lower case and composed already; others name nothing and are
// not mapped to anything, so that no two spellings are taken for one by guessing.
// See: RFC 3492 (Punycode), RFC 5890 s2.3.2.1.
#pragma once

#include <string>
#include <string_view>

namespace backstay {

// Appends "xn--" and the Punycode of `label`, which is UTF-8 (ASSERT) and not ASCII alone.
void AppendAsciiLabel(std::string_view label, std::string& output);

}  // namespace backstay
