// tests/fuzz/smtp/delivery_report_fuzz.cc -- whatever strangers wrote: a report keeps its form.
//
// Input: pieces of a length byte and so many bytes: reverse-path, HELO name, envelope id; then of
// up to eight recipients a byte of flags, the address, the original recipient, the words of the
// reply, the host; what is left is the header section of the message.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/check.h"
#include "core/smtp/delivery_report.h"
#include "core/smtp/reply_parser.h"
#include "tests/fuzz/smtp/fuzz_input.h"

namespace backstay {
namespace {

constexpr size_t kRecipientsMax = 8;

class Pieces {
 public:
  explicit Pieces(Bytes left) : left_(left) {}

  uint8_t Byte() {
    const uint8_t byte = left_.empty() ? uint8_t{0} : left_[0];
    left_ = left_.subspan(std::min<size_t>(left_.size(), 1));
    return byte;
  }
  std::string Text() {
    const size_t wanted = Byte();
    const size_t size = std::min(wanted, left_.size());
    std::string text(AsText(left_.first(size)));
    left_ = left_.subspan(size);
    return text;
  }
  // As intake lets them in: lines end in CRLF, and there is no NUL.
  std::string Headers() const {
    std::string headers;
    for (const char byte : AsText(left_)) {
      if (byte == '\n') {
        headers += "\r\n";
      } else if (byte != '\r' && byte != '\0') {
        headers += byte;
      }
    }
    return headers;
  }
  bool empty() const { return left_.empty(); }

 private:
  Bytes left_;
};

// A reply's words are clean when a report gets them (core/smtp/outcome.h).
std::string Printable(std::string text) {
  std::erase_if(text, [](char c) { return c < ' ' || c > '~'; });
  return text;
}

size_t Count(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

void Check(const std::string& text, const DeliveryReport& report) {
  for (size_t at = 0; at < text.size(); ++at) {
    ASSERT(text[at] != '\0');
    ASSERT((text[at] == '\r') == (at + 1 < text.size() && text[at + 1] == '\n'));
  }
  ASSERT(text.ends_with("\r\n"));
  const size_t end = text.find("\r\n\r\n");
  ASSERT(end != std::string::npos);
  const std::string_view header = std::string_view(text).substr(0, end + 2);
  constexpr std::string_view kBoundary = "\r\n\tboundary=\"";  // an address may say the word
  const size_t boundary_at = header.find(kBoundary);
  ASSERT(boundary_at != std::string_view::npos);
  std::string_view boundary = header.substr(boundary_at + kBoundary.size());
  boundary = boundary.substr(0, boundary.find('"'));
  const std::string begin = "\r\n--" + std::string(boundary);
  // A stranger who knew it could write it into his header section.
  if (AsText(report.headers).find(boundary) == std::string_view::npos) {
    ASSERT(Count(text, begin + "\r\n") == 3);
    ASSERT(Count(text, begin + "--\r\n") == 1);
    // One group of fields for each recipient, and no field that a stranger has added.
    const size_t fields = text.find("\r\nContent-Type: message/");
    ASSERT(fields != std::string::npos);
    const size_t fields_end = text.find(begin, fields);
    const std::string_view part = std::string_view(text).substr(fields, fields_end - fields);
    ASSERT(Count(part, "\r\nFinal-Recipient: ") == report.recipients.size());
    ASSERT(Count(part, "\r\nAction: ") == report.recipients.size());
    ASSERT(Count(part, "\r\nStatus: ") == report.recipients.size());
  }
  ASSERT(Count(header, "\r\nTo: <") == 1);
  ASSERT(text.size() <= kReportBytesMax - kReportTraceBytesMax);  // of so few recipients always
}

void Run(Bytes input) {
  Pieces pieces(input);
  Envelope envelope;
  envelope.reverse_path = "s" + pieces.Text();
  envelope.client_helo = pieces.Text();
  envelope.envelope_id = pieces.Text();
  std::vector<uint8_t> flags;
  std::vector<std::string> words;
  std::vector<std::string> hosts;
  while (envelope.recipients.empty() ||
         (!pieces.empty() && envelope.recipients.size() < kRecipientsMax && flags.back() >= 128)) {
    flags.push_back(pieces.Byte());
    Recipient& recipient = envelope.recipients.emplace_back();
    recipient.address = pieces.Text();
    recipient.original_recipient = pieces.Text();
    words.push_back(Printable(pieces.Text()));
    hosts.push_back(pieces.Text());
  }
  DeliveryReport report;
  report.hostname = "mx2.example.net";
  report.queue_id = "0123456789BCDFGH";
  report.envelope = &envelope;
  report.now = WallTime::FromNanoseconds(1'700'000'000'000'000'000);
  for (size_t i = 0; i < flags.size(); ++i) {
    ReportedRecipient told;
    told.recipient = &envelope.recipients[i];
    told.action = static_cast<ReportAction>(flags[i] % 3);
    told.code = (flags[i] & 16) != 0 ? 550 : (flags[i] & 32) != 0 ? 450 : 0;
    told.enhanced = LeadingEnhancedCode(words[i]);
    told.text = std::string_view(words[i]).substr(told.enhanced.size());
    told.remote = hosts[i];
    if ((flags[i] & 64) != 0) {
      told.last_attempt = report.now;
      report.retried_until = report.now;
    }
    report.recipients.push_back(told);
  }
  const std::string headers = pieces.Headers();
  report.headers = AsBytes(headers);
  report.headers_are_cut = (flags[0] & 8) != 0;
  const std::string text = BuildReport(report);
  Check(text, report);
  ASSERT(BuildReport(report) == text);
}

}  // namespace
}  // namespace backstay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::vector<uint8_t> input = backstay::Alone({data, size});
  backstay::Run(input);
  return 0;
}
