// core/smtp/delivery_report.h -- the report that tells a sender what became of a message.
//
// One multipart/report: first in plain language, then as fields for programs, then the header
// section of the message. Its own reverse-path is null, so nobody reports on it.
//
// Pure: bytes out. What is told must be clean already: printable, one line (core/smtp/outcome.h).
// One report may tell of several fates; each has its own words, the gravest stands in the subject.
// Units:  the header section is cut where the report would be larger than kReportBytesMax, and that
//         is said. Where the fields alone would take too much of it, the last recipients have only
//         those that RFC 3464 requires, and their ORCPT. Of some three hundred recipients with
//         names of a usual length these fit; only of more (a thousand) a report is larger.
// See:    RFC 3464, RFC 3461 s6, RFC 3834 (Auto-Submitted), RFC 6533 (addresses in UTF-8).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/units.h"
#include "core/smtp/envelope.h"

namespace backstay {

// As it is handed on: with the Received field that comes before it.
constexpr size_t kReportBytesMax = 50'000;
// Kept back for that one: our hostname has 255 bytes at most, the rest of the line about 80.
constexpr size_t kReportTraceBytesMax = 512;

enum class ReportAction : uint8_t {
  kFailed,
  kDelayed,  // and it is tried on
  kRelayed   // to a host that sends no reports: RFC 3461 s5.2.2
};

struct ReportedRecipient {
  const Recipient* recipient = nullptr;
  ReportAction action = ReportAction::kFailed;
  int code = 0;               // of the last reply; 0: there was none
  std::string_view enhanced;  // "5.1.1"; empty: none; kRelayed: counts if it begins with 2
  std::string_view text;      // of that reply, or why there is none
  std::string_view remote;    // host that said it; empty: nobody was reached
  std::optional<WallTime> last_attempt;
};

struct DeliveryReport {
  std::string_view hostname;  // ours
  std::string_view queue_id;  // of the message that it is about
  const Envelope* envelope = nullptr;
  WallTime arrival;
  WallTime now;
  std::optional<WallTime> retried_until;  // kDelayed
  std::vector<ReportedRecipient> recipients;
  Bytes headers;  // of the message: its header section, perhaps cut off
  bool headers_are_cut = false;
};

// The whole message: header section, an empty line, the parts; lines end in CRLF.
std::string BuildReport(const DeliveryReport& report);

}  // namespace backstay
