// tools/load/message_maker.cc -- headers, the stamp, and so much of one long text.
#include "tools/load/message_maker.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

#include "core/base/crc32c.h"
#include "core/smtp/data_writer.h"
#include "tools/traffic/stamp.h"

namespace backstay {
namespace {

constexpr size_t kLineBytes = 76;  // with CRLF
constexpr std::string_view kLetters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static_assert(kLetters.size() == 64);
constexpr size_t kSendersCount = 100;
constexpr uint32_t kDomainsMax = 1'000'000;  // they are kept

// As base64 of noise: what compresses would flatter a server that compresses.
std::string MakeFiller(size_t bytes, Random random) {
  std::string text;
  text.reserve(bytes + kLineBytes);
  while (text.size() < bytes) {
    for (size_t at = 0; at < kLineBytes - 2; ++at) {
      text += kLetters[random.Below(kLetters.size())];
    }
    text += "\r\n";
  }
  return text;
}

// So much of it, and never half a line end.
std::string_view Cut(const std::string& filler, size_t bytes) {
  const std::string_view cut = std::string_view(filler).substr(0, bytes);
  return cut.ends_with('\r') ? cut.substr(0, cut.size() - 1) : cut;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> MessageMaker::ParseDomains(std::string_view text) {
  std::vector<std::string> domains;
  if (!text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos) {
    uint32_t count = 0;
    const bool fits =
        std::from_chars(text.data(), text.data() + text.size(), count).ec == std::errc();
    if (!fits || count == 0 || count > kDomainsMax) {
      return absl::InvalidArgumentError(
          fmt::format("\"{}\": from 1 to {} domains", text, kDomainsMax));
    }
    for (uint32_t number = 0; number < count; ++number) {
      domains.push_back(fmt::format("domain-{}.example", number));
    }
    return domains;
  }
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    if (comma == at) {
      return absl::InvalidArgumentError(fmt::format("\"{}\": an empty name", text));
    }
    domains.emplace_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return domains;
}

MessageMaker::MessageMaker(Plan plan)
    : plan_(std::move(plan)),
      filler_(plan_.replay.empty() ? MakeFiller(plan_.sizes.largest(), Random(plan_.seed)) : "") {
  line_crcs_.push_back(0);
  for (size_t at = 0; at < filler_.size(); at += kLineBytes) {
    const std::string_view line = std::string_view(filler_).substr(at, kLineBytes);
    line_crcs_.push_back(Crc32c(line_crcs_.back(), AsBytes(line)));
  }
  for (const std::string& message : std::exchange(plan_.replay, {})) {
    Replayed made;
    made.bytes = message.size();
    made.crc = Crc32c(0, AsBytes(message));
    DataWriter writer;
    writer.Start(/*has_dot_lines=*/true);
    writer.Write(AsBytes(message), made.stuffed);
    replayed_.push_back(std::move(made));
  }
}

Random MessageMaker::RandomOf(uint64_t number) const {
  return Random(plan_.seed * 0x9e3779b97f4a7c15 + number);
}

std::string MessageMaker::Recipient(uint64_t number, size_t index) const {
  const size_t mailbox = number % plan_.mailboxes * plan_.recipients + index;
  return fmt::format("r{}@{}", mailbox, plan_.domains[number % plan_.domains.size()]);
}

void MessageMaker::AppendMail(uint64_t number, std::string& output) const {
  fmt::format_to(std::back_inserter(output), "MAIL FROM:<s{}@load.test>\r\n",
                 number % kSendersCount);
}

void MessageMaker::AppendRcpt(uint64_t number, size_t index, std::string& output) const {
  fmt::format_to(std::back_inserter(output), "RCPT TO:<{}>\r\n", Recipient(number, index));
}

void MessageMaker::AppendContent(uint64_t number, std::string& output) const {
  if (replayed_.empty()) {
    AppendGenerated(number, output);
    return;
  }
  const Replayed& message = replayed_[number % replayed_.size()];
  AppendStamp({.id = IdOf(number), .bytes = message.bytes, .crc = message.crc}, output);
  output.append(message.stuffed);
}

void MessageMaker::AppendGenerated(uint64_t number, std::string& output) const {
  const size_t start = output.size();
  const uint64_t id = IdOf(number);
  fmt::format_to(std::back_inserter(output),
                 "From: <s{}@load.test>\r\nTo: <{}>\r\nSubject: message {}\r\n"
                 "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-Id: <{:016x}@load.test>\r\n\r\n",
                 number % kSendersCount, Recipient(number, 0), number, id);
  Random random = RandomOf(number);
  const size_t wanted = plan_.sizes.Draw(random);
  // The stamp's own line hardly changes its length with the size; a byte or two do not matter.
  const size_t head = output.size() - start + 42;
  const size_t bytes = wanted > head + 2 ? wanted - head - 2 : 0;
  const std::string_view body = Cut(filler_, bytes);
  const size_t lines = body.size() / kLineBytes;
  const uint32_t cut_crc = Crc32c(line_crcs_[lines], AsBytes(body.substr(lines * kLineBytes)));
  const uint32_t crc = Crc32c(cut_crc, AsBytes("\r\n"));
  AppendStamp({.id = id, .bytes = body.size() + 2, .crc = crc}, output);
  output.append(body);
  output.append("\r\n");
}

}  // namespace backstay
