// tests/fuzz/client/reply_parser_fuzz.cc -- any bytes, cut anywhere: the same replies, within caps.
//
// Input: eight cut lengths, then what the primary sends.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/smtp/primary_extensions.h"
#include "core/smtp/reply_parser.h"
#include "tests/fuzz/smtp/fuzz_input.h"

namespace backstay {
namespace {

constexpr size_t kCutsBytes = 8;

void CheckReply(const PrimaryReply& reply) {
  ASSERT(reply.code >= 200);
  ASSERT(reply.code <= 599);
  ASSERT(LeadingEnhancedCode(reply.enhanced) == reply.enhanced);
  if (!reply.enhanced.empty()) {
    ASSERT(reply.enhanced[0] - '0' == reply.code / 100);
  }
  ASSERT(reply.lines.size() <=
         ReplyParser::kReplyLinesMax * (ReplyParser::kStoredLineBytesMax + 1));
  const std::string clean = reply.Clean();
  ASSERT(clean.size() <= 400);
  for (const char c : clean) {
    ASSERT(c >= ' ');
    ASSERT(c <= '~');
  }
  ParseEhloReply(reply.lines);
}

// One line a reply; "error" at the end when there was one.
std::string Transcript(Bytes bytes, Cuts cuts) {
  ReplyParser parser;
  std::string transcript;
  while (!bytes.empty()) {
    const size_t size = std::min(bytes.size(), cuts.Next());
    const std::vector<uint8_t> piece = Alone(bytes.first(size));
    bytes = bytes.subspan(size);
    Bytes rest(piece);
    while (!rest.empty()) {
      switch (parser.Consume(rest)) {
        case ReplyParser::Result::kIncomplete:
          ASSERT(rest.empty());
          break;
        case ReplyParser::Result::kReply:
          CheckReply(parser.reply());
          ASSERT(!parser.in_reply());
          transcript += std::to_string(parser.reply().code) + parser.reply().enhanced + ":" +
                        parser.reply().lines + "\n";
          break;
        case ReplyParser::Result::kError:
          return transcript + "error";
      }
    }
  }
  return transcript;
}

}  // namespace
}  // namespace backstay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using backstay::Bytes;
  const Bytes input(data, size);
  if (size < backstay::kCutsBytes) {
    return 0;
  }
  const Bytes text = input.subspan(backstay::kCutsBytes);
  const std::string whole = backstay::Transcript(text, backstay::Cuts(Bytes()));
  ASSERT(whole == backstay::Transcript(text, backstay::Cuts(input.first(backstay::kCutsBytes))));
  return 0;
}
