// tests/core/smtp/session_model.h -- RFC 5321's order of commands on one page, written apart.
//
// A model of what a client hears and what an Intake is told, for the symbols below. It knows
// nothing of bytes, buffers and limits on errors; sequences are too short for those.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace backstay {

enum class Symbol : int {
  kEhlo,
  kHelo,
  kBadHelo,
  kMail,
  kMailRefused,
  kMailBad,
  kRcpt,
  kRcptRefused,
  kRcptNoData,
  kData,
  kRset,
  kNoop,
  kVrfy,
  kEtrn,
  kXclient,
  kXclientBad,
  kStartTls,
  kBdat,
  kQuit,
  kGone,
  kText,
  kDot,
  kStray,
  kBig
};
inline constexpr size_t kSymbols = 24;

inline constexpr std::array<std::string_view, kSymbols> kSymbolText = {
    "EHLO c\r\n",
    "HELO c\r\n",
    "HELO\r\n",
    "MAIL FROM:<a@b>\r\n",
    "MAIL FROM:<refused@b>\r\n",
    "MAIL FROM:a@b\r\n",
    "RCPT TO:<v@our>\r\n",
    "RCPT TO:<refused@our>\r\n",
    "RCPT TO:<nodata@our>\r\n",
    "DATA\r\n",
    "RSET\r\n",
    "NOOP\r\n",
    "VRFY v\r\n",
    "ETRN our\r\n",
    "XCLIENT NAME=x\r\n",
    "XCLIENT X=y\r\n",
    "STARTTLS\r\n",
    "BDAT 5\r\n",
    "QUIT\r\n",
    "",  // the connection is gone
    "text\r\n",
    ".\r\n",
    "a\rb\r\n",
    "and so it goes on and on and on and on and on and on and on and on and on and on and on\r\n"};

class SessionModel {
 public:
  explicit SessionModel(size_t content_bytes_max) : content_bytes_max_(content_bytes_max) {}

  std::string replies;  // "250|354|"
  std::string calls;    // M R D E X T C, as RecordingIntake writes them
  bool closed() const { return closed_; }

  void Say(Symbol symbol) {
    if (closed_) {
      return;
    }
    if (symbol == Symbol::kGone) {
      closed_ = true;  // its owner knows what was staged
      return;
    }
    if (in_data_) {
      return SayContent(symbol);
    }
    switch (symbol) {
      case Symbol::kEhlo:
      case Symbol::kHelo:
        Reset();
        greeted_ = true;
        extended_ = symbol == Symbol::kEhlo;
        return Hear("250");
      case Symbol::kBadHelo:
        return Hear("501");
      case Symbol::kMail:
      case Symbol::kMailRefused:
      case Symbol::kMailBad:
        return SayMail(symbol);
      case Symbol::kRcpt:
      case Symbol::kRcptRefused:
      case Symbol::kRcptNoData:
        return SayRcpt(symbol);
      case Symbol::kData:
        return SayData();
      case Symbol::kRset:
        Reset();
        return Hear("250");
      case Symbol::kNoop:
        return Hear("250");
      case Symbol::kVrfy:
        return Hear("252");
      case Symbol::kEtrn:
        calls += greeted_ && !mail_ ? "T" : "";
        return Hear(greeted_ && !mail_ ? "250" : "503");
      case Symbol::kXclient:
      case Symbol::kXclientBad:
        return SayXclient(symbol);
      case Symbol::kStartTls:
        return SayStartTls();
      case Symbol::kBdat:
      case Symbol::kQuit:
        Reset();
        closed_ = true;
        return Hear(symbol == Symbol::kQuit ? "221" : "502");
      case Symbol::kGone:
        return;
      case Symbol::kText:
      case Symbol::kDot:
      case Symbol::kStray:
      case Symbol::kBig:
        return Hear("500");
    }
  }

 private:
  void SayMail(Symbol symbol) {
    if (!greeted_ || mail_) {
      return Hear("503");
    }
    if (symbol == Symbol::kMailBad) {
      return Hear("501");
    }
    calls += 'M';
    mail_ = symbol == Symbol::kMail;
    Hear(mail_ ? "250" : "550");
  }
  void SayRcpt(Symbol symbol) {
    if (!mail_) {
      return Hear("503");
    }
    calls += 'R';
    if (symbol == Symbol::kRcptRefused) {
      return Hear("550");
    }
    rcpt_ = true;
    no_data_ |= symbol == Symbol::kRcptNoData;
    Hear("250");
  }
  void SayData() {
    if (!mail_) {
      return Hear("503");
    }
    if (!rcpt_) {
      return Hear("554");
    }
    calls += 'D';
    if (no_data_) {
      Reset();
      return Hear("452");
    }
    in_data_ = true;
    content_bytes_ = 0;
    final_reply_ = "250";
    Hear("354");
  }
  void SayXclient(Symbol symbol) {
    if (mail_) {
      return Hear("503");
    }
    if (symbol == Symbol::kXclientBad) {
      return Hear("501");
    }
    calls += 'C';
    greeted_ = extended_ = false;
    Hear("220");
  }
  // The handshake follows at once and succeeds.
  void SayStartTls() {
    if (secure_ || !extended_ || mail_) {
      return Hear("503");
    }
    secure_ = true;
    greeted_ = extended_ = false;
    Hear("220");
  }
  void SayContent(Symbol symbol) {
    if (symbol == Symbol::kDot) {
      in_data_ = false;
      if (final_reply_ == "250") {
        calls += 'E';
        mail_ = false;
      }
      closed_ = final_reply_ == "521";
      Reset();
      return Hear(final_reply_);
    }
    if (final_reply_ != "250") {
      return;
    }
    // Of a malformed line, what stands before the fault.
    const std::string_view text = kSymbolText[static_cast<size_t>(symbol)];
    content_bytes_ += symbol == Symbol::kStray ? 1 : text.size();
    if (content_bytes_ > content_bytes_max_) {
      final_reply_ = "552";
    } else if (symbol == Symbol::kStray) {
      final_reply_ = "521";
    }
    if (final_reply_ != "250") {
      calls += 'X';
      mail_ = false;
    }
  }
  void Reset() {
    calls += mail_ ? "X" : "";
    mail_ = rcpt_ = no_data_ = false;
  }
  void Hear(std::string_view code) { replies.append(code).append("|"); }

  const size_t content_bytes_max_;
  bool greeted_ = false;
  bool extended_ = false;
  bool secure_ = false;
  bool mail_ = false;  // and the intake was not told yet how it ends
  bool rcpt_ = false;
  bool no_data_ = false;
  bool in_data_ = false;
  bool closed_ = false;
  size_t content_bytes_ = 0;
  std::string_view final_reply_;
};

}  // namespace backstay
