// tools/sink/script.h -- what a scripted primary does instead of taking mail: rules and outages.
//
// A rule: PHASE [N%] [from TIME] [until TIME] [only TEXT] ACTION
//   phases   connect ehlo mail rcpt data content end    (content: between 354 and its end)
//   actions  delay TIME | stall | cut | CODE TEXT
// "rcpt 10% 450 4.2.1 try later", "end delay 200ms", "data from 10s until 20s cut". Delays add up;
// of the others the first that applies counts. An outage: "FROM UNTIL [every TIME]".
//
// Units:  times count from the start of the sink.
// Errors: absl::Status: which rule, what is wrong with it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/random.h"

namespace backstay {

enum class SinkPhase : uint8_t { kConnect, kEhlo, kMail, kRcpt, kData, kContent, kEnd };
std::string_view Describe(SinkPhase phase);

struct SinkVerdict {
  enum class Action : uint8_t { kGoOn, kReply, kStall, kCut };
  Action action = Action::kGoOn;
  absl::Duration delay;    // before it
  int code = 0;            // kReply
  std::string_view reply;  // "450 4.2.1 try later"; lives as long as the script
};

class SinkScript {
 public:
  absl::Status AddRule(std::string_view text);
  absl::Status AddOutage(std::string_view text);

  // `argument`: of the command, for "only".
  SinkVerdict Judge(SinkPhase phase, std::string_view argument, absl::Duration elapsed,
                    Random& random) const;
  bool Up(absl::Duration elapsed) const;

 private:
  struct Rule {
    SinkPhase phase = SinkPhase::kConnect;
    uint64_t per_million = 1'000'000;
    absl::Duration from;
    absl::Duration until = absl::InfiniteDuration();
    std::string only;
    SinkVerdict::Action action = SinkVerdict::Action::kGoOn;
    absl::Duration delay;
    int code = 0;
    std::string reply;
  };
  struct Outage {
    absl::Duration from;
    absl::Duration until;
    absl::Duration every;  // zero: once
  };
  static absl::StatusOr<Rule> ParseRule(std::string_view text);

  std::vector<Rule> rules_;
  std::vector<Outage> outages_;
};

}  // namespace backstay
