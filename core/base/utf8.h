// core/base/utf8.h -- is this UTF-8, and does it show what it is?
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace backstay {

// Of the sequence at the beginning of `text`, which is not empty; 0: none begins there.
size_t Utf8Bytes(std::string_view text);

// Of the whole sequence that `text` is.
uint32_t CharacterOf(std::string_view text);

// The same: what a terminal obeys instead of showing it, what some programs take for the end of a
// line, and what makes text look like other text: controls, marks and overrides of direction,
// separators, characters without width.
bool Misleads(std::string_view text);

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF, nothing cut off. ASCII is
// UTF-8.
bool IsUtf8(std::string_view text);

}  // namespace backstay
