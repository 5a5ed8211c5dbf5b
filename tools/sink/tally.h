// tools/sink/tally.h -- what the sink has seen: taken, refused, damaged, twice; as JSON.
//
// A delivery is counted for each recipient. Twice means the same id for the same recipient.
//
// Owns:  eight bytes or so for each delivery, to know it again; the ledger.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "core/base/units.h"
#include "tools/sink/script.h"
#include "tools/traffic/ledger_file.h"
#include "tools/traffic/stamp.h"

namespace backstay {

class Tally {
 public:
  absl::Status OpenLedger(const std::string& path) { return ledger_.Open(path); }
  void FlushLedger() { ledger_.Flush(); }
  void Begin(Instant now, WallTime wall);

  void OnTaken(const StampReader& stamp, uint64_t bytes, const std::vector<std::string>& recipients,
               Instant now);
  void OnVerdict(SinkPhase phase, const SinkVerdict& verdict);
  void OnRefusal(SinkPhase phase, int code);
  void OnViolations(uint64_t count) { violations_ += count; }
  void OnConnection(size_t open);
  void OnSecure() { ++secure_; }

  uint64_t taken() const { return taken_; }
  uint64_t duplicates() const { return duplicates_; }
  // `extra` is text of more members, each behind a comma.
  std::string Json(Instant now, const std::string& extra) const;

 private:
  Instant begin_;
  WallTime wall_begin_;
  Instant first_;
  Instant last_;
  uint64_t taken_ = 0;  // messages
  uint64_t recipients_ = 0;
  uint64_t bytes_ = 0;
  uint64_t intact_ = 0;
  uint64_t damaged_ = 0;
  uint64_t unstamped_ = 0;
  uint64_t duplicates_ = 0;
  uint64_t violations_ = 0;
  uint64_t connections_ = 0;
  size_t connections_most_ = 0;
  uint64_t secure_ = 0;
  std::map<std::string, uint64_t> refusals_;  // "rcpt 450", "data cut"
  std::vector<uint64_t> seconds_;
  absl::flat_hash_set<uint64_t> seen_;  // hashes of id and recipient
  LedgerFile ledger_;
};

}  // namespace backstay
