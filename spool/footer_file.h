// spool/footer_file.h -- writes a footer behind the batches of a sealed segment, and reads it.
//
// Layout: the footer record begins where the last batch ended; the block before the second header
//         says where. Both are written with the segment in place, and synced.
// Errors: a footer that cannot be written or read is none: the segment is scanned at a start.
// Turn:   one operation at a time.
// See:    FORMAT.md 2 "footer".
#pragma once

#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "io/io.h"
#include "spool/aligned_buffer.h"
#include "spool/footer.h"
#include "spool/range_read.h"
#include "spool/segment.h"

namespace backstay {

class FooterWriter {
 public:
  explicit FooterWriter(Io& io) : io_(io) {}
  FooterWriter(const FooterWriter&) = delete;
  FooterWriter& operator=(const FooterWriter&) = delete;

  bool busy() const { return step_ != Step::kIdle; }
  // The segment is sealed, its last batch synced, and a reader of it is counted until the end.
  void Start(Segment& segment, const std::vector<uint8_t>& payload);

 private:
  enum class Step : uint8_t { kIdle, kFooterWritten, kFooterSynced, kPlaceWritten, kPlaceSynced };

  void Advance(const IoResult& result);
  void WriteMore();
  void Finish();

  Io& io_;
  Step step_ = Step::kIdle;
  Segment* segment_ = nullptr;
  AlignedBuffer bytes_;
  uint64_t at_ = 0;
  size_t written_ = 0;
  FooterPlace place_;
  Completion<&FooterWriter::Advance> op_{this};
};

class FooterReaderEvents {
 public:
  // Empty: there is none, or it is damaged (there is a place that names one).
  virtual void OnFooterRead(Bytes payload, bool is_damaged) = 0;

 protected:
  ~FooterReaderEvents() = default;
};

class FooterReader : private RangeReadEvents {
 public:
  FooterReader(Io& io, FooterReaderEvents& events);
  FooterReader(const FooterReader&) = delete;
  FooterReader& operator=(const FooterReader&) = delete;

  void Start(Fd file, const SegmentHeader& header);

 private:
  void OnRangeRead(IoError error, size_t bytes) override;
  // The payload of a whole record of this kind at `block`, in bytes_ from `skip` on; else empty.
  Bytes Record(RecordKind kind, uint32_t block) const;

  FooterReaderEvents& events_;
  Fd file_;
  SegmentHeader header_;
  SegmentKey key_;
  bool has_place_ = false;
  FooterPlace place_;
  AlignedBuffer bytes_;
  RangeRead read_;
};

}  // namespace backstay
