// core/base/json_text.h -- foreign text into JSON. Nothing allocates but `out`.
#pragma once

#include <string>
#include <string_view>

namespace backstay {

// The inside of a JSON string, whatever the bytes are: what is not UTF-8 becomes U+FFFD, byte by
// byte. What is not to be seen, or changes how the rest is seen (Misleads), is \uXXXX.
void AppendJsonText(std::string_view text, std::string& out);

}  // namespace backstay
