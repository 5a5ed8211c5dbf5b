// tools/backstay/place_checks.h -- the places that a configuration names: is the spool's disk good
// for it, are the ports free, do the primaries answer?
//
// Nothing stays behind: the disk is tried with a file that has no name.
// Turn: blocks, a few seconds for each primary that does not answer.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/shard/config.h"

namespace backstay {

struct Check {
  enum class Verdict { kGood, kOdd, kWrong, kSkipped };
  std::string subject;
  Verdict verdict = Verdict::kGood;
  std::string text;
};

// `user`: whom a start by root becomes.
std::vector<Check> CheckSpoolPlace(const SpoolConfig& spool, uint16_t shards,
                                   const std::optional<Account>& user);
std::vector<Check> CheckListeners(const std::vector<SocketAddress>& listen);
// Somebody listens at the path.
bool Answers(const std::string& socket_path);
// Numeric ones; where names lead is the daemon's to find out. What is not looked at is named. Of
// each twenty at most, then how many there are.
std::vector<Check> CheckPrimaries(const std::vector<DomainConfig>& domains);

}  // namespace backstay
