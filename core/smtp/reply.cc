// core/smtp/reply.cc -- a Reply as its line on the wire.
#include "core/smtp/reply.h"

#include "core/base/check.h"

namespace backstay {
namespace {

bool IsOneLine(std::string_view text) {
  for (const char c : text) {
    if (c == '\r' || c == '\n' || c == '\0') {
      return false;
    }
  }
  return true;
}

}  // namespace

void AppendReply(const Reply& reply, std::string& output) {
  ASSERT(reply.code >= 200);
  ASSERT(reply.code <= 599);
  ASSERT(IsOneLine(reply.enhanced));
  ASSERT(IsOneLine(reply.text));
  output.push_back(static_cast<char>('0' + reply.code / 100));
  output.push_back(static_cast<char>('0' + reply.code / 10 % 10));
  output.push_back(static_cast<char>('0' + reply.code % 10));
  output.push_back(' ');
  if (!reply.enhanced.empty()) {
    output.append(reply.enhanced).push_back(' ');
  }
  output.append(reply.text).append("\r\n");
}

}  // namespace backstay
