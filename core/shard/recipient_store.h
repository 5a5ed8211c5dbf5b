// core/shard/recipient_store.h -- one shard's part of what is known of recipients: in memory, and
// on disk a little later.
//
// Keys are spread over 64 slices by their first bits, and slices over the shards, whatever their
// number: a slice has files of its own. What was learned is written once a second and not synced: a
// crash may cost the last seconds of it, and what it costs is asked again.
//
// Life:   Start() begins to read; is_loaded() when all is known, until then less is. Stop() writes
//         what is left, for two seconds at most; then idle().
// Owns:   the tables, one file at a time.
// Errors: a warning; what is known stays in memory and is written when the disk takes it again.
// Turn:   one operation at a time, one piece of a file a turn.
// See:    core/policy/recipient_file.h.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "core/policy/address_key.h"
#include "core/policy/recipient_knowledge.h"
#include "core/policy/recipient_table.h"
#include "core/queue/timer_wheel.h"
#include "io/io.h"

namespace backstay {

// Where a spool keeps it, and under which secret.
struct RecipientFiles {
  Fd directory;  // not valid: in memory only
  SipKey secret;
};
// Makes what is missing, with `fresh` as the secret. Synchronous, at start.
absl::StatusOr<RecipientFiles> OpenRecipientFiles(Io& io, Fd spool_root, const SipKey& fresh);

struct RecipientCounts {
  uint64_t positive = 0;
  uint64_t negative = 0;
  uint64_t bytes = 0;  // of memory
};

class RecipientStore {
 public:
  static constexpr size_t kSlices = size_t{1} << RecipientTable::kSkippedBits;
  // Of the process: twice what DESIGN 7 asks for. Beyond it nothing new is remembered.
  static constexpr size_t kEntriesMax = 20'000'000;

  RecipientStore(Io& io, TimerWheel& wheel, const RecipientFiles& files, size_t shard,
                 size_t shards);
  ~RecipientStore();
  RecipientStore(const RecipientStore&) = delete;
  RecipientStore& operator=(const RecipientStore&) = delete;

  void Start();
  void Stop();
  bool idle() const { return !op_.in_flight; }
  bool is_loaded() const { return is_loaded_; }
  const SipKey& secret() const { return secret_; }

  // The shard that answers for a key; the methods below are for keys of this one.
  size_t HomeOf(AddressKey key) const { return SliceOf(key) % shards_; }
  std::optional<Knowledge> Find(AddressKey key) const;
  void Set(AddressKey key, Knowledge known);
  void Forget(AddressKey key);
  // All addresses of the domain; returns how many. Looks at every entry.
  size_t ForgetDomain(uint16_t tag);
  // One of kSlices; returns the bytes of memory that it takes. Another shard's is empty.
  size_t Visit(size_t slice, absl::FunctionRef<void(AddressKey key, Knowledge known)> visit) const;
  // Of one domain, or of all. Looks at every entry.
  RecipientCounts Count(std::optional<uint16_t> tag, WallTime now) const;

 private:
  struct Slice {
    explicit Slice(size_t entries_max) : table(entries_max) {}
    RecipientTable table;
    uint32_t generation = 0;      // of the file that is appended to; 0: there is none
    std::vector<uint32_t> older;  // files that the next whole one replaces
    uint64_t file_bytes = 0;      // good ones
    std::string pending;          // records not yet written
    bool wants_whole = false;     // a new file with everything, instead of `pending`
  };
  struct File {
    size_t slice = 0;
    uint32_t generation = 0;
  };
  enum class Step : uint8_t {
    kIdle,
    kOpenToRead,
    kRead,
    kOpenToWrite,
    kWrite,
    kSync,
    kSyncName,
    kUnlink
  };
  static size_t SliceOf(AddressKey key) {
    return static_cast<uint64_t>(key) >> (64 - RecipientTable::kSkippedBits);
  }
  const Slice& Of(AddressKey key) const;
  Slice& Of(AddressKey key);
  void Append(Slice& slice, uint64_t key, uint32_t value);
  void ListFiles();
  void OnDone(const IoResult& result);
  void ReadNext();
  void OnPiece(const IoResult& result);
  void EndOfFile(bool is_ours);
  void EndLoading();
  void OnClock();
  void WriteNext();
  void OnWritten(size_t bytes);
  void UnlinkOlder();
  void EndWriting();
  void Failed(IoError error);
  void CloseFile();
  void NameFile(const File& file);

  Io& io_;
  TimerWheel& wheel_;
  const Fd directory_;
  const SipKey secret_;
  const size_t shard_;
  const size_t shards_;
  std::array<std::unique_ptr<Slice>, kSlices> slices_;  // null: another shard's
  std::vector<File> to_read_;                           // in order; read_at_ is the next
  size_t read_at_ = 0;
  bool is_loaded_ = false;
  bool is_failing_ = false;
  bool stopping_ = false;
  Step step_ = Step::kIdle;
  size_t slice_ = 0;  // being written
  bool is_whole_ = false;
  Fd file_;
  std::string name_;
  uint64_t at_ = 0;    // in the file
  std::string bytes_;  // being written, from written_ on
  size_t written_ = 0;
  std::vector<uint8_t> buffer_;
  Alarm<&RecipientStore::OnClock> clock_{this};
  Completion<&RecipientStore::OnDone> op_{this};
};

}  // namespace backstay
