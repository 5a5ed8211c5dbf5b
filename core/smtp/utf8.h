// core/smtp/utf8.h -- is this UTF-8, the whole of it and nothing else?
#pragma once

#include <cstddef>
#include <string_view>

namespace backstay {

// Of the sequence at the beginning of `text`, which is not empty; 0: none begins there.
size_t Utf8Bytes(std::string_view text);

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF, nothing cut off. ASCII is
// UTF-8.
bool IsUtf8(std::string_view text);

}  // namespace backstay
