// tools/backstay/shard_files.cc -- opening, and waiting for reads.
#include "tools/backstay/shard_files.h"

#include <algorithm>

#include "core/base/check.h"
#include "io/wait.h"

namespace backstay {
namespace {

// Tells how far the sink has got.
class CountedSink final : public SegmentSink {
 public:
  CountedSink(SegmentSink& sink, ReadProgress* progress) : sink_(sink), progress_(progress) {}
  uint64_t at() const override { return sink_.at(); }
  uint64_t end() const override { return sink_.end(); }
  uint64_t need() const override { return sink_.need(); }
  void Feed(Bytes bytes) override {
    const uint64_t before = sink_.at();
    sink_.Feed(bytes);
    if (progress_ != nullptr) {
      progress_->OnBytesRead(sink_.at() - before);
    }
  }
  void SkipZeros(uint64_t to) override {
    const uint64_t before = sink_.at();
    sink_.SkipZeros(to);
    if (progress_ != nullptr) {
      progress_->OnBytesRead(sink_.at() - before);
    }
  }

 private:
  SegmentSink& sink_;
  ReadProgress* progress_;
};

}  // namespace

ShardFiles::ShardFiles(Io& io, Fd directory, const Catalog::Identity& identity)
    : io_(io),
      directory_(directory),
      identity_(identity),
      catalog_(io, directory, identity, *this),
      checkpoints_(io, directory, {identity.node, identity.shard}, *this),
      reader_(io, *this) {}

ShardFiles::~ShardFiles() {
  for (const CatalogEntry& entry : catalog_.entries()) {
    if (entry.file.valid()) {
      io_.Close(entry.file);
    }
  }
}

void ShardFiles::OnCatalogRead(const absl::Status& status) {
  status_ = status;
  is_read_ = true;
}

void ShardFiles::OnCheckpointRead(std::optional<Checkpoint> checkpoint) {
  checkpoint_ = std::move(checkpoint);
  is_read_ = true;
}

std::optional<Checkpoint> ShardFiles::ReadCheckpoint() {
  is_read_ = false;
  checkpoints_.Read(catalog_.checkpoints());
  return TakeCheckpoint();
}

std::optional<Checkpoint> ShardFiles::ReadOlderCheckpoint() {
  is_read_ = false;
  checkpoints_.ReadOlder();
  return TakeCheckpoint();
}

std::optional<Checkpoint> ShardFiles::TakeCheckpoint() {
  while (!is_read_) {
    checkpoints_.StepRead(false);
    io_.Turn(checkpoints_.NextDue());
  }
  return std::move(checkpoint_);
}

absl::Status ShardFiles::Open() {
  is_read_ = false;
  catalog_.Start();
  while (!is_read_) {
    io_.Turn(Instant::Max());
  }
  for (CatalogEntry& entry : catalog_.entries()) {
    if (catalog_.TrustEnd(entry.number).has_value()) {
      ReopenAroundCache(entry);
    }
  }
  return status_;
}

// The page cache of an abandoned segment may show bytes that never reached the disk.
void ShardFiles::ReopenAroundCache(CatalogEntry& entry) {
  io_.Close(entry.file);
  const SegmentName name = NameOfSegment(entry.number);
  Wait open(io_);
  io_.Open(open.op(), directory_, name.data(), OpenMode::kReadDirect);
  const IoResult opened = open.Result();
  entry.file = opened.ok() ? opened.fd() : Fd();
  entry.is_unreadable |= !opened.ok();
}

const CatalogEntry* ShardFiles::Find(uint32_t segment) const {
  return catalog_.Find(segment);
}

uint64_t ShardFiles::DataEnd(const CatalogEntry& entry) const {
  return catalog_.ReadableEnd(entry);
}

uint64_t ShardFiles::Read(const CatalogEntry& entry, SegmentSink& sink, ReadProgress* progress) {
  CountedSink counted(sink, progress);
  is_read_ = counted.at() >= counted.end();
  if (is_read_) {
    return 0;
  }
  reader_.Start(entry.file, counted);
  while (!is_read_) {
    io_.Turn(Instant::Max());
  }
  return reader_.unreadable_blocks();
}

size_t ShardFiles::ReadRange(const CatalogEntry& entry, MutableBytes into, uint64_t at,
                             IoError& error) {
  error = IoError::kNone;
  size_t done = 0;
  while (done < into.size()) {
    Wait read(io_);
    io_.Read(read.op(), entry.file, into.subspan(done), Offset{at + done});
    const IoResult result = read.Result();
    error = result.error();
    if (!result.ok() || result.count() == 0) {
      break;
    }
    done += result.count();
  }
  return done;
}

}  // namespace backstay
