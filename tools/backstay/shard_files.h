// tools/backstay/shard_files.h -- the segment files of one shard, opened for reading, read waiting.
//
// Owns:   the descriptors. Files that a daemon unlinks meanwhile stay readable.
// Errors: of Open: nothing can be said about the shard at all.
// Turn:   every call waits; nothing else may be in flight on the Io.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "spool/catalog.h"
#include "spool/checkpoint_store.h"
#include "spool/segment_reader.h"

namespace backstay {

class ReadProgress {
 public:
  virtual void OnBytesRead(uint64_t bytes) = 0;

 protected:
  ~ReadProgress() = default;
};

class ShardFiles final : private CatalogEvents,
                         private CheckpointEvents,
                         private SegmentReaderEvents {
 public:
  ShardFiles(Io& io, Fd directory, const Catalog::Identity& identity);
  ~ShardFiles();
  ShardFiles(const ShardFiles&) = delete;
  ShardFiles& operator=(const ShardFiles&) = delete;

  absl::Status Open();
  const Catalog::Identity& identity() const { return identity_; }
  const Catalog& catalog() const { return catalog_; }
  const std::vector<CatalogEntry>& entries() const { return catalog_.entries(); }
  // The newest whole one.
  std::optional<Checkpoint> ReadCheckpoint();
  // That one does not fit: the one before it.
  std::optional<Checkpoint> ReadOlderCheckpoint();
  // Nothing: there is no such segment.
  const CatalogEntry* Find(uint32_t segment) const;
  // Where data ends: the second header, the end of a short file, or the end of trust.
  uint64_t DataEnd(const CatalogEntry& entry) const;

  // Feeds `sink` up to its end. Returns how many blocks could not be read.
  uint64_t Read(const CatalogEntry& entry, SegmentSink& sink, ReadProgress* progress = nullptr);
  // `into` and `at` are on block boundaries. Fewer bytes: the file ends there, or the error.
  size_t ReadRange(const CatalogEntry& entry, MutableBytes into, uint64_t at, IoError& error);

 private:
  void OnCatalogRead(const absl::Status& status) override;
  void OnCheckpointRead(std::optional<Checkpoint> checkpoint) override;
  std::optional<Checkpoint> TakeCheckpoint();
  void OnSegmentRead() override { is_read_ = true; }
  void ReopenAroundCache(CatalogEntry& entry);

  Io& io_;
  const Fd directory_;
  const Catalog::Identity identity_;
  Catalog catalog_;
  CheckpointStore checkpoints_;
  SegmentReader reader_;
  bool is_read_ = false;
  absl::Status status_;
  std::optional<Checkpoint> checkpoint_;
};

}  // namespace backstay
