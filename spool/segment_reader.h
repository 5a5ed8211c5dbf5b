// spool/segment_reader.h -- reads one segment file in order into a sink, in bounded memory.
//
// Every read starts and ends on a block, so the file may be open around the page cache. What was
// never written is not read. A block that the device cannot read is replaced by bytes that are
// nothing, and the sink finds damage there.
//
// Owns:  one window: 1 MiB, or the largest record of the segment if that is more; its descriptor
//        around the page cache.
// Turn:  one read at a time; OnSegmentRead comes from Io::Turn.
#pragma once

#include "io/io.h"
#include "spool/aligned_buffer.h"
#include "spool/range_read.h"
#include "spool/segment.h"
#include "spool/segment_sink.h"

namespace backstay {

class SegmentReaderEvents {
 public:
  virtual void OnSegmentRead() = 0;

 protected:
  ~SegmentReaderEvents() = default;
};

class SegmentReader : public RangeReadEvents {
 public:
  SegmentReader(Io& io, SegmentReaderEvents& events)
      : io_(io), events_(events), read_(io, *this, kReadTries) {}
  SegmentReader(const SegmentReader&) = delete;
  SegmentReader& operator=(const SegmentReader&) = delete;

  // The sink wants at least one byte.
  void Start(Fd file, SegmentSink& sink);
  // The same around the page cache, which may show what a failed sync did not bring to the disk.
  // `file` is read if there is no such way.
  void StartDirect(Fd directory, uint32_t segment, Fd file, SegmentSink& sink);
  uint64_t unreadable_blocks() const { return unreadable_blocks_; }

 private:
  static constexpr size_t kReadBytes = 1_MiB;
  static constexpr uint8_t kNothing = 0xee;  // not zero: zeros would look like the end

  void OnOpened(const IoResult& result);
  void Continue();
  void End();
  void SkipUnwritten();
  void Read(size_t bytes);
  void OnRangeRead(IoError error, size_t bytes) override;

  Io& io_;
  SegmentReaderEvents& events_;
  Fd directory_;
  Fd file_;
  Fd direct_;  // while a segment is read around the cache
  SegmentName name_{};
  int failed_opens_ = 0;
  SegmentSink* sink_ = nullptr;
  AlignedBuffer window_;  // starts at window_at_, a multiple of the block size
  uint64_t window_at_ = 0;
  size_t read_at_ = 0;  // place in the window of the read under way
  size_t read_bytes_ = 0;
  uint64_t unreadable_blocks_ = 0;
  RangeRead read_;
  Completion<&SegmentReader::OnOpened> open_{this};
};

}  // namespace backstay
