// spool/catalog.h -- the segment files of a shard directory: which are ours, and what not to trust.
//
// First half of recovery: lists the directory, opens every segment file, reads its header (or the
// copy) and its start record. Names what it leaves alone.
//
// Owns:  the descriptors of the entries until Recovery takes them.
// Errors: not OK: nothing can be said about the spool at all.
// Turn:  one operation at a time; OnCatalogRead comes from Io::Turn or from Start's caller's turn.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "io/io.h"
#include "spool/aligned_buffer.h"
#include "spool/range_read.h"
#include "spool/segment.h"

namespace backstay {

struct CatalogEntry {
  uint32_t number = 0;
  uint64_t file_bytes = 0;
  Fd file;
  std::optional<SegmentHeader> header;  // nothing: there is none, and perhaps nothing else
  std::optional<StartPayload> start;
  // Damage if there is anything in the segment; else it was being prepared when the machine
  // stopped.
  bool is_header_from_copy = false;
  bool is_short = false;
  bool is_unreadable = false;  // the device failed, now or in part

  // Of the second header; the end of the file when it is too short for one.
  uint64_t copy_place() const;
};

enum class LeftAlone : uint8_t {
  kForeign,     // not of the log
  kGone,        // unlinked since the directory was listed
  kUnreadable,  // device or permission: its mail is not lost, only not seen
  kDamaged      // nothing in it can be told from foreign bytes
};

struct LeftAloneFile {
  std::string name;
  LeftAlone kind = LeftAlone::kForeign;
  std::string why;
};

class CatalogEvents {
 public:
  virtual void OnCatalogRead(const absl::Status& status) = 0;

 protected:
  ~CatalogEvents() = default;
};

class Catalog final : public RangeReadEvents {
 public:
  struct Identity {
    uint16_t node = 0;
    uint16_t shard = 0;
  };
  Catalog(Io& io, Fd directory, const Identity& identity, CatalogEvents& events);
  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;

  void Start();
  // By number; files that are left alone are not in it.
  std::vector<CatalogEntry>& entries() { return entries_; }
  const std::vector<CatalogEntry>& entries() const { return entries_; }
  const CatalogEntry* Find(uint32_t segment) const;
  // Of checkpoint files, ascending.
  const std::vector<uint32_t>& checkpoints() const { return checkpoints_; }
  // Of files that an earlier run kept to be segments again.
  const std::vector<uint32_t>& spares() const { return spares_; }
  // Of all names seen, used or not: numbers are never given twice.
  uint32_t highest_number() const { return highest_number_; }
  // When the oldest segment was begun, if there is one.
  std::optional<WallTime> Created() const;
  uint64_t damage() const { return damage_; }
  // What is in the directory and not in entries().
  const std::vector<LeftAloneFile>& left_alone() const { return left_alone_; }
  bool IsLeftAlone(uint32_t segment) const;
  // Left alone because the device failed: their mail is not lost, only not seen.
  const std::vector<uint32_t>& unreadable() const { return unreadable_; }
  // Where trust in a segment ends, if a start record behind it says that it does.
  std::optional<uint64_t> TrustEnd(uint32_t segment) const;
  // The segment that must hold a whole batch, because the log went on from it to this one; nothing
  // if none is named, or it may be gone.
  std::optional<uint32_t> PreviousOf(const CatalogEntry& entry) const;
  // Where reading of a segment whose header is known ends.
  uint64_t ReadableEnd(const CatalogEntry& entry) const;
  // A recovery has found this range broken and told so.
  bool IsKnownTorn(uint32_t segment, uint64_t at) const;
  // The broken end of the log that this start found, which no start record tells of so far.
  void NoteTail(const UntrustedEntry& torn) { tail_ = torn; }
  // Nobody was promised what lies there: it is known torn, or in that tail.
  bool IsTorn(uint32_t segment, uint64_t at) const;

 private:
  enum class Step : uint8_t { kIdle, kOpened, kHeadRead, kCopyRead };  // what is waited for

  void Next();
  void OnOpened(const IoResult& result);
  void OnRangeRead(IoError error, size_t bytes) override;
  void HeadRead();
  void CopyRead();
  void KeepIfZero(bool is_zero);
  bool IsExpected(const SegmentHeader& header) const;  // of the current file, by name and shard
  void Decide(std::optional<SegmentHeader> header, bool from_copy);
  void ReadStart(const SegmentHeader& header);
  void LeaveAlone(LeftAlone kind, std::string_view why);
  std::string Name() const;

  Io& io_;
  const Fd directory_;
  const Identity identity_;
  CatalogEvents& events_;
  Step step_ = Step::kIdle;
  std::vector<CatalogEntry> found_;
  size_t current_ = 0;  // in found_
  std::vector<CatalogEntry> entries_;
  std::vector<UntrustedEntry> untrusted_;  // what start records say of the segments before them
  std::optional<UntrustedEntry> tail_;
  std::vector<uint32_t> checkpoints_;
  std::vector<uint32_t> spares_;
  uint32_t highest_number_ = 0;
  uint64_t damage_ = 0;
  std::vector<LeftAloneFile> left_alone_;
  std::vector<uint32_t> unreadable_;
  int failed_opens_ = 0;
  AlignedBuffer head_;
  AlignedBuffer copy_;
  Completion<&Catalog::OnOpened> open_{this};
  SegmentName open_name_{};  // while open_ is in flight
  RangeRead read_;
};

}  // namespace backstay
