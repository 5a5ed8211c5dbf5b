// bench/core/smtp/mail_text.h -- content as it is on the wire: lines of 78, some begin with a dot.
#pragma once

#include <string>

namespace backstay {

// Without the end of data; `dotted`: every sixteenth line begins with a stuffed dot.
inline std::string MailText(size_t bytes, bool dotted) {
  std::string text;
  for (size_t line = 0; text.size() < bytes; ++line) {
    text += dotted && line % 16 == 0 ? ".." : "";
    text.append(76, 'x');
    text += "\r\n";
  }
  return text;
}

}  // namespace backstay
