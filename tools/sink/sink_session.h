// tools/sink/sink_session.h -- receiver-SMTP of a scripted primary: bytes in, replies out.
//
// Own code on purpose: nothing of core/smtp, so that a defect cannot be on both sides and hide.
//
// Life:   Greet(), Consume(). While waits() nothing is consumed: Continue() when the delay is over.
//         With wants_tls() the owner sends output(), secures the connection, calls StartedTls().
// Owns:   one partial line (8 KiB at most), replies not yet sent.
// See:    RFC 5321 s4.1.4, RFC 2920, RFC 3207.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "core/base/bytes.h"
#include "tools/sink/content_reader.h"
#include "tools/sink/script.h"
#include "tools/traffic/stamp.h"

namespace backstay {

struct SinkManners {
  std::string hostname = "sink.test";
  bool pipelining = true;
  bool starttls = false;
  uint64_t messages_max = 0;  // of a connection, then 421 at MAIL; 0: no limit
};

class SinkJudge {
 public:
  virtual SinkVerdict Judge(SinkPhase phase, std::string_view argument) = 0;
  virtual void OnTaken(const StampReader& stamp, uint64_t bytes,
                       const std::vector<std::string>& recipients) = 0;
  // By manners: no verdict said so.
  virtual void OnRefused(SinkPhase phase, int code) = 0;
  virtual void OnViolations(uint64_t count) = 0;

 protected:
  ~SinkJudge() = default;
};

class SinkSession {
 public:
  SinkSession(const SinkManners& manners, SinkJudge& judge) : manners_(manners), judge_(judge) {}
  SinkSession(const SinkSession&) = delete;
  SinkSession& operator=(const SinkSession&) = delete;

  void Greet();
  void Refuse(std::string_view reply);  // instead of the greeting, then wants_close()
  // Returns the bytes taken.
  size_t Consume(Bytes bytes);
  void Continue();
  void StartedTls();

  std::string& output() { return output_; }
  bool waits() const { return delay_ > absl::ZeroDuration(); }
  absl::Duration delay() const { return delay_; }  // infinite: stalled
  bool wants_close() const { return end_ == End::kAfterOutput; }
  bool wants_cut() const { return end_ == End::kNow; }
  bool wants_tls() const { return wants_tls_; }

 private:
  enum class End : uint8_t { kNone, kAfterOutput, kNow };
  size_t ConsumeLine(Bytes bytes);
  size_t ConsumeContent(Bytes bytes);
  void Execute(std::string_view line);
  void Mail(std::string_view argument);
  void Rcpt(std::string_view argument);
  void Data();
  void EndOfData();
  void Ask(SinkPhase phase, std::string_view argument, std::string_view positive);
  void Answer(SinkPhase phase);
  void Apply(SinkPhase phase, bool positive);
  void Reply(std::string_view reply);
  void Reset();

  const SinkManners& manners_;
  SinkJudge& judge_;
  std::string output_;
  std::string line_;
  bool in_data_ = false;
  bool content_asked_ = false;
  bool wants_tls_ = false;
  bool secure_ = false;
  End end_ = End::kNone;
  // The answer that is being delayed.
  absl::Duration delay_;
  SinkPhase asked_ = SinkPhase::kConnect;
  SinkVerdict verdict_;
  std::string positive_;
  std::string path_;  // of MAIL or RCPT

  bool has_sender_ = false;
  std::vector<std::string> recipients_;
  uint64_t messages_ = 0;
  uint64_t content_bytes_ = 0;
  ContentReader reader_;
  StampReader stamp_;
};

}  // namespace backstay
