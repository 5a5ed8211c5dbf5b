// core/shard/primary_keeper.h -- where the primaries were found, on disk: so that a start without
// DNS knows the way.
//
// One file for the whole daemon, written by its first shard; each time a new one, synced, and then
// the older ones go.
//
// Life:   Save() as often as there is something new; it is written a few seconds later. Stop()
//         writes what is left at once; then idle().
// Owns:   one file at a time.
// Errors: a warning; it is tried again. Mail goes on.
// Turn:   one operation at a time.
// See:    core/dns/primary_file.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/dns/primary_file.h"
#include "core/queue/timer_wheel.h"
#include "io/io.h"

namespace backstay {

struct PrimaryFiles {
  Fd directory;  // not valid: nothing is kept
  std::vector<uint32_t> numbers = {};
  SavedPrimaries saved = {};  // of the newest file that is whole
};
// Makes the directory if there is none. Synchronous, at start. A damaged file is named in the log.
absl::StatusOr<PrimaryFiles> OpenPrimaryFiles(Io& io, Fd spool_root);

class PrimaryKeeper {
 public:
  PrimaryKeeper(Io& io, TimerWheel& wheel, const PrimaryFiles& files);
  ~PrimaryKeeper();
  PrimaryKeeper(const PrimaryKeeper&) = delete;
  PrimaryKeeper& operator=(const PrimaryKeeper&) = delete;

  void Save(const SavedPrimaries& primaries);
  void Stop();
  bool idle() const { return step_ == Step::kIdle; }

 private:
  enum class Step : uint8_t { kIdle, kOpen, kWrite, kSync, kSyncName, kUnlink };
  void Write();
  void Advance(const IoResult& result);
  void UnlinkOlder();
  void End(IoError error);

  Io& io_;
  TimerWheel& wheel_;
  const Fd directory_;
  std::vector<uint32_t> older_;  // files that the next whole one replaces
  uint32_t number_ = 0;          // of the newest
  std::string wanted_;           // to be written, if `is_new_`
  bool is_new_ = false;
  bool is_failing_ = false;
  bool stopping_ = false;
  Step step_ = Step::kIdle;
  Fd file_;
  std::string name_;
  std::string bytes_;  // being written, from written_ on
  size_t written_ = 0;
  Alarm<&PrimaryKeeper::Write> clock_{this};
  Completion<&PrimaryKeeper::Advance> op_{this};
};

}  // namespace backstay
