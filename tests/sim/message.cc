// tests/sim/message.cc -- random messages: dot lines, long lines, every legal byte.
#include "tests/sim/message.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace backstay {
namespace {

constexpr std::string_view kForeignDomain = "elsewhere.example";

// Small numbers are as frequent as large ones.
uint64_t DrawSize(Random& random, uint64_t limit) {
  const auto bits = static_cast<uint64_t>(std::bit_width(limit));
  return std::min(limit, random.Below((uint64_t{1} << random.Below(bits + 1)) + 1));
}

char DrawByte(Random& random, bool hostile) {
  if (!hostile) {
    return static_cast<char>(random.Between(' ', '~'));
  }
  for (;;) {
    const char byte = static_cast<char>(random.Between(1, 255));
    if (byte != '\r' && byte != '\n') {
      return byte;
    }
  }
}

void AppendLine(Random& random, bool hostile, uint64_t bytes_max, std::string& content) {
  constexpr std::string_view kOdd[] = {
      "",     ".",         "..",
      ".\t",  "..leading", "Received: from inside by outside; never",
      "QUIT", " folded",   "250 2.0.0 Ok: queued as nothing",
      "\t"};
  if (random.Chance(1, 4)) {
    content += kOdd[random.Below(std::size(kOdd))];
  } else {
    const uint64_t length = random.Chance(1, 20) ? DrawSize(random, bytes_max) : random.Below(90);
    if (random.Chance(1, 10)) {
      content += '.';
    }
    for (uint64_t count = 0; count < length; ++count) {
      content += DrawByte(random, hostile);
    }
  }
  content += "\r\n";
}

std::string DrawContent(Random& random, const MessageShape& shape, uint64_t number) {
  const uint64_t bytes = DrawSize(random, shape.content_bytes_max);
  if (bytes == 0) {
    return "";
  }
  std::string content;
  if (random.Chance(9, 10)) {
    content =
        fmt::format("X-Token: message {} {:016x}\r\nSubject: story\r\n\r\n", number, random.Next());
  }
  const bool hostile = shape.hostile_bytes && random.Chance(1, 2);
  while (content.size() < bytes) {
    AppendLine(random, hostile, bytes - content.size(), content);
  }
  return content;
}

}  // namespace

Fate FateOf(std::string_view recipient) {
  const size_t at = recipient.rfind('@');
  if (at != std::string_view::npos && recipient.substr(at + 1) == kForeignDomain) {
    return Fate::kForeign;
  }
  return recipient.starts_with("gone") ? Fate::kUnknown : Fate::kTaken;
}

std::string_view NotifyOf(std::string_view recipient) {
  const std::string_view local_part = recipient.substr(0, recipient.rfind('@'));
  const auto has = [&](std::string_view word) {
    return local_part.find(word) != std::string_view::npos;
  };
  return has("asks") ? "SUCCESS,FAILURE" : has("only") ? "SUCCESS" : has("never") ? "NEVER" : "";
}

bool WantsSuccess(std::string_view recipient) {
  return NotifyOf(recipient).find("SUCCESS") != std::string_view::npos;
}

bool WantsFailure(std::string_view recipient) {
  return NotifyOf(recipient).empty() ||
         NotifyOf(recipient).find("FAILURE") != std::string_view::npos;
}

bool IsRefusedSender(std::string_view reverse_path) {
  return reverse_path.starts_with("spam");
}

Message DrawMessage(Random& random, const MessageShape& shape, uint64_t number) {
  Message message;
  if (random.Chance(9, 10)) {
    message.reverse_path = fmt::format("{}{}@{}", random.Chance(1, 30) ? "spam" : "from", number,
                                       shape.sender_domains[number % shape.sender_domains.size()]);
  }
  const uint64_t recipients = 1 + (random.Chance(1, 2) ? random.Below(shape.recipients_max) : 0);
  for (uint64_t index = 0; index < recipients; ++index) {
    const std::string_view kind = random.Chance(1, 12) ? "gone" : "user";
    const std::string_view domain =
        random.Chance(1, 25) ? kForeignDomain
                             : std::string_view(shape.domains[random.Below(shape.domains.size())]);
    const std::string_view wish = (number + index) % 8 == 5 ? "asks" : "";
    message.recipients.push_back(fmt::format("{}{}{}.{}@{}", kind, wish, number, index, domain));
  }
  message.content = DrawContent(random, shape, number);
  return message;
}

std::string ToWire(std::string_view content) {
  std::string wire;
  wire.reserve(content.size() + content.size() / 16 + 8);
  bool line_start = true;
  for (const char byte : content) {
    if (line_start && byte == '.') {
      wire += '.';
    }
    wire += byte;
    line_start = byte == '\n';
  }
  wire += ".\r\n";
  return wire;
}

}  // namespace backstay
