// tools/load/message_maker.h -- message number n: who gets it, and its bytes as they are sent.
//
// Everything follows from the seed and the number, so a message is made when it is wanted and never
// kept. Dots are stuffed; content ends with CRLF, the final dot is the caller's.
//
// Owns:  the filler, or the replayed messages.
// Units: ids hold the run in their upper 24 bits, the number in the lower 40.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/random.h"
#include "tools/load/size_plan.h"

namespace backstay {

class MessageMaker {
 public:
  struct Plan {
    SizePlan sizes;
    std::vector<std::string> replay;  // instead of sizes; CRLF lines
    std::vector<std::string> domains;
    size_t recipients = 1;
    size_t mailboxes = 1;  // of a domain, for each of a message's recipients
    uint64_t seed = 1;
    uint32_t run = 0;  // told apart in the ledger of a sink that several runs were sent to
  };
  explicit MessageMaker(Plan plan);
  // "example.com,example.org", or how many: domain-0.example and so on.
  static absl::StatusOr<std::vector<std::string>> ParseDomains(std::string_view text);

  uint64_t IdOf(uint64_t number) const { return uint64_t{plan_.run} << 40 | number; }
  size_t recipients() const { return plan_.recipients; }
  std::string Recipient(uint64_t number, size_t index) const;
  void AppendMail(uint64_t number, std::string& output) const;  // the command, with CRLF
  void AppendRcpt(uint64_t number, size_t index, std::string& output) const;
  void AppendContent(uint64_t number, std::string& output) const;

 private:
  struct Replayed {
    std::string stuffed;
    uint64_t bytes = 0;  // unstuffed
    uint32_t crc = 0;
  };
  Random RandomOf(uint64_t number) const;
  void AppendGenerated(uint64_t number, std::string& output) const;

  Plan plan_;
  std::string filler_;               // lines without dots at their start
  std::vector<uint32_t> line_crcs_;  // of so many of its lines: a piece costs no scan
  std::vector<Replayed> replayed_;   // empty: generated
};

}  // namespace backstay
