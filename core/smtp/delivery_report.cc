// core/smtp/delivery_report.cc -- three parts, in the order of who reads them.
#include "core/smtp/delivery_report.h"

#include <algorithm>
#include <array>

#include "core/base/check.h"
#include "core/base/text.h"
#include "core/base/utf8.h"
#include "core/smtp/ascii.h"
#include "core/smtp/trace_fields.h"
#include "core/smtp/xtext.h"

namespace backstay {
namespace {

constexpr size_t kRecipientsInWords = 20;
constexpr size_t kOwnBytesMax = kReportBytesMax - kReportTraceBytesMax;
// Up to the end of the fields, if they need no more: the rest is the header section's. Of a hundred
// recipients with long replies twenty have all fields, and a usual header section fits whole.
constexpr size_t kFieldsEndMax = 30'000;
static_assert(kFieldsEndMax < kOwnBytesMax);

// Of all that fails, delays or was relayed, the gravest word.
ReportAction WorstOf(const DeliveryReport& report) {
  ReportAction worst = ReportAction::kRelayed;
  for (const ReportedRecipient& told : report.recipients) {
    worst = std::min(worst, told.action);
  }
  return worst;
}

std::string_view NameOf(ReportAction action) {
  switch (action) {
    case ReportAction::kFailed:
      return "failed";
    case ReportAction::kDelayed:
      return "delayed";
    case ReportAction::kRelayed:
      return "relayed";
  }
  UNREACHABLE();
}

std::string_view SubjectOf(ReportAction action) {
  switch (action) {
    case ReportAction::kFailed:
      return "Undelivered mail: returned to sender";
    case ReportAction::kDelayed:
      return "Delayed mail: it is still being tried";
    case ReportAction::kRelayed:
      return "Mail was handed on: no further report will come";
  }
  UNREACHABLE();
}

// RFC 3464 s2.3.4: of the last real reply, also where that was temporary and the time is over. Who
// keeps a list must not take an outage for an address that does not exist. A reply without an
// enhanced code tells its class only.
std::string StatusOf(const ReportedRecipient& told) {
  if (told.action == ReportAction::kRelayed) {
    return told.enhanced.starts_with('2') ? std::string(told.enhanced) : "2.0.0";
  }
  if (told.code == 0 && told.enhanced.empty()) {
    return "4.4.1";
  }
  // What is only late may have been refused, and that is in doubt.
  const bool is_final = told.action == ReportAction::kFailed &&
                        (told.enhanced.empty() ? told.code >= 500 : told.enhanced[0] == '5');
  return (is_final ? "5" : "4") +
         std::string(told.enhanced.empty() ? ".0.0" : told.enhanced.substr(1));
}

std::string ReplyOf(const ReportedRecipient& told) {
  std::string reply;
  if (told.code != 0) {
    AppendNumber(reply, static_cast<uint64_t>(told.code));
    reply += ' ';
  }
  if (!told.enhanced.empty()) {
    reply.append(told.enhanced).append(" ");
  }
  return reply.append(told.text);
}

// Only what a header field may hold; a report must not be bent by what a client sent.
std::string Clean(std::string_view text, bool utf8) {
  const bool takes_8bit = utf8 && IsUtf8(text);
  std::string clean(text);
  std::replace_if(
      clean.begin(), clean.end(),
      [takes_8bit](char c) {
        return !IsPrintable(c) && !(takes_8bit && static_cast<uint8_t>(c) >= 0x80);
      },
      '?');
  return clean;
}

// What a group of recipients has in common.
std::array<std::string_view, 2> WordsOf(ReportAction action) {
  switch (action) {
    case ReportAction::kFailed:
      return {"Your message could not be delivered to the recipients below. It will not be tried",
              "again; if it matters, please reach them in another way or send it once more."};
    case ReportAction::kDelayed:
      return {"Your message has not been delivered to the recipients below so far. You need not",
              "send it again: it is tried on."};
    case ReportAction::kRelayed:
      return {"Your message was handed to the mail server of the recipients below. You will hear",
              "of it again only if that server sends it back."};
  }
  UNREACHABLE();
}

class Builder {
 public:
  explicit Builder(const DeliveryReport& report)
      : report_(report), worst_(WorstOf(report)), boundary_("=_") {
    boundary_.append(report.queue_id).append("_");
    AppendNumber(boundary_, static_cast<uint64_t>(report.now.nanoseconds()));
    is_utf8_ =
        !IsAscii(report.envelope->reverse_path) ||
        std::any_of(report.recipients.begin(), report.recipients.end(), [](const auto& told) {
          return !IsAscii(told.recipient->address) || !IsAscii(told.recipient->original_recipient);
        });
  }

  std::string Build() {
    AddHeader();
    AddWords();
    AddFields();
    AddOriginal();
    out_.append("--").append(boundary_).append("--\r\n");
    return std::move(out_);
  }

 private:
  void Line(std::string_view text = "") { out_.append(text).append("\r\n"); }
  std::string Clean(std::string_view text) const { return backstay::Clean(text, is_utf8_); }
  void Field(std::string_view name, std::string_view value) {
    out_.append(name).append(": ").append(Clean(value)).append("\r\n");
  }
  void DateField(std::string_view name, WallTime time) {
    std::string date;
    AppendDate(time, date);
    Field(name, date);
  }
  // RFC 2045 s6.1: without a word about it a part has 7 bits.
  void BeginPart(std::string_view type, bool is_8bit) {
    Line();
    out_.append("--").append(boundary_).append("\r\n");
    Field("Content-Type", type);
    if (is_8bit) {
      Field("Content-Transfer-Encoding", "8bit");
    }
    Line();
  }

  void AddHeader();
  void AddWords();
  size_t AddGroup(ReportAction action, size_t room);
  void AddRecipientWords(const ReportedRecipient& told);
  void AddFields();
  void AddAllRecipientFields();
  void AddRequiredFields(const ReportedRecipient& told);
  void AddFurtherFields(const ReportedRecipient& told);
  void AddOriginal();

  const DeliveryReport& report_;
  const ReportAction worst_;
  std::string boundary_;
  bool is_utf8_ = false;
  std::string out_;
};

void Builder::AddHeader() {
  const std::string host(report_.hostname);
  DateField("Date", report_.now);
  Field("From", "Mail Delivery System <MAILER-DAEMON@" + host + ">");
  Field("To", "<" + report_.envelope->reverse_path + ">");
  Field("Subject", SubjectOf(worst_));
  Field("Message-ID", "<" + boundary_.substr(2) + "@" + host + ">");
  Field("Auto-Submitted", "auto-replied");
  Field("MIME-Version", "1.0");
  Line("Content-Type: multipart/report; report-type=delivery-status;");
  Line("\tboundary=\"" + boundary_ + "\"");
  const bool is_8bit = is_utf8_ || !IsAscii(AsText(report_.headers));
  Field("Content-Transfer-Encoding", is_8bit ? "8bit" : "7bit");
  Line();
  Line("This is a report in MIME format (RFC 3464).");
}

void Builder::AddWords() {
  BeginPart(is_utf8_ ? "text/plain; charset=utf-8" : "text/plain; charset=us-ascii", is_utf8_);
  Line("This is the mail system at " + std::string(report_.hostname) + ".");
  Line("It keeps mail for its recipients' mail server while that cannot be reached.");
  size_t in_words = 0;
  for (const ReportAction action :
       {ReportAction::kFailed, ReportAction::kDelayed, ReportAction::kRelayed}) {
    in_words += AddGroup(action, kRecipientsInWords - in_words);
  }
  if (in_words < report_.recipients.size()) {
    std::string rest = "... and ";
    AppendNumber(rest, report_.recipients.size() - in_words);
    Line();
    Line(rest + " more, which are in the list for programs below.");
  }
}

// Of whom there is something to say, `room` at most; returns how many.
size_t Builder::AddGroup(ReportAction action, size_t room) {
  size_t count = 0;
  for (const ReportedRecipient& told : report_.recipients) {
    if (told.action != action || count == room) {
      continue;
    }
    if (count++ == 0) {
      Line();
      for (const std::string_view line : WordsOf(action)) {
        Line(line);
      }
    }
    AddRecipientWords(told);
  }
  return count;
}

void Builder::AddRecipientWords(const ReportedRecipient& told) {
  Line();
  Line("<" + Clean(told.recipient->address) + ">:");
  if (told.action == ReportAction::kRelayed) {
    Line("    handed to " + Clean(told.remote) + ", which does not send delivery notifications");
  } else if (!told.remote.empty() && told.code != 0) {
    Line("    host " + Clean(told.remote) + " said:");
    Line("    " + Clean(ReplyOf(told)));
  } else {
    Line("    " + Clean(told.text.empty() ? "no mail server answered" : told.text));
  }
}

void Builder::AddFields() {
  const Envelope& envelope = *report_.envelope;
  BeginPart(is_utf8_ ? "message/global-delivery-status" : "message/delivery-status", is_utf8_);
  if (!envelope.envelope_id.empty()) {
    Field("Original-Envelope-Id", DecodeXtext(envelope.envelope_id).value_or(""));
  }
  Field("Reporting-MTA", "dns; " + std::string(report_.hostname));
  if (!envelope.client_helo.empty()) {
    Field("Received-From-MTA", "dns; " + envelope.client_helo);
  }
  DateField("Arrival-Date", report_.arrival);
  AddAllRecipientFields();
}

// All fields, as long as there is room for them and for what is required of those behind.
void Builder::AddAllRecipientFields() {
  const size_t begin = out_.size();
  for (const ReportedRecipient& told : report_.recipients) {
    AddRequiredFields(told);
  }
  size_t required = out_.size() - begin;  // of those not yet told of
  out_.resize(begin);
  for (const ReportedRecipient& told : report_.recipients) {
    const size_t before = out_.size();
    AddRequiredFields(told);
    const size_t end = out_.size();
    required -= end - before;
    AddFurtherFields(told);
    if (out_.size() + required > kFieldsEndMax) {
      out_.resize(end);
    }
  }
}

// RFC 3464 s2.3; and the ORCPT, where there was one: by that the sender knows the recipient.
void Builder::AddRequiredFields(const ReportedRecipient& told) {
  const Recipient& recipient = *told.recipient;
  const std::string type = IsAscii(recipient.address) ? "rfc822; " : "utf-8; ";
  Line();
  const size_t semicolon = recipient.original_recipient.find(';');
  if (semicolon != std::string::npos) {
    const std::string_view original(recipient.original_recipient);
    const std::optional<std::string> address = DecodeXtext(original.substr(semicolon + 1));
    Field("Original-Recipient", std::string(original.substr(0, semicolon)) + "; " +
                                    address.value_or(std::string(original.substr(semicolon + 1))));
  }
  Field("Final-Recipient", type + recipient.address);
  Field("Action", NameOf(told.action));
  Field("Status", StatusOf(told));
}

void Builder::AddFurtherFields(const ReportedRecipient& told) {
  if (!told.remote.empty()) {
    Field("Remote-MTA", "dns; " + std::string(told.remote));
  }
  if (told.code != 0) {
    Field("Diagnostic-Code", "smtp; " + ReplyOf(told));
  }
  if (told.last_attempt.has_value()) {
    DateField("Last-Attempt-Date", *told.last_attempt);
  }
  if (told.action == ReportAction::kDelayed && report_.retried_until.has_value()) {
    DateField("Will-Retry-Until", *report_.retried_until);
  }
}

// RFC 5322 s2.1.1: without the CRLF. Who refused mail for a longer line would refuse its report.
constexpr size_t kLineBytesMax = 998;

// Its first line, cut to what a line may have; `headers` is what is behind it.
std::string_view TakeHeaderLine(std::string_view& headers) {
  const size_t end = std::min(headers.find("\r\n"), headers.size());
  size_t kept = std::min(end, kLineBytesMax);
  while (kept > 0 && kept < end && (static_cast<uint8_t>(headers[kept]) & 0xc0) == 0x80) {
    --kept;  // not in the middle of a character
  }
  const std::string_view line = headers.substr(0, kept);
  headers.remove_prefix(std::min(end + 2, headers.size()));
  return line;
}

// Lines of the header section, as many as there is room for.
void Builder::AddOriginal() {
  constexpr std::string_view kCut = "X-Cut-Off: parts of the header are left away\r\n";
  const bool is_8bit = !IsAscii(AsText(report_.headers));
  // RFC 6533 s5. Bytes that were sent without SMTPUTF8 are no text that anybody knows.
  const bool is_global = is_8bit && report_.envelope->smtputf8 && IsUtf8(AsText(report_.headers));
  BeginPart(is_global ? "message/global-headers" : "text/rfc822-headers", is_8bit);
  std::string_view headers = AsText(report_.headers);
  // What is behind it; its last line may lack its end.
  const size_t used = out_.size() + kCut.size() + boundary_.size() + 10;
  const size_t room = used < kOwnBytesMax ? kOwnBytesMax - used : 0;
  bool is_cut = report_.headers_are_cut;
  if (headers.size() > room || is_cut) {
    is_cut = true;
    headers = headers.substr(0, room);
    const size_t end = headers.rfind("\r\n");
    headers = headers.substr(0, end == std::string_view::npos ? 0 : end + 2);
  }
  while (!headers.empty()) {
    const size_t before = headers.size();
    const std::string_view line = TakeHeaderLine(headers);
    is_cut = is_cut || line.size() + 2 < before - headers.size();
    Line(line);
  }
  if (is_cut) {
    out_.append(kCut);
  }
  Line();
}

}  // namespace

std::string BuildReport(const DeliveryReport& report) {
  ASSERT(!report.envelope->reverse_path.empty());
  ASSERT(!report.recipients.empty());
  return Builder(report).Build();
}

}  // namespace backstay
