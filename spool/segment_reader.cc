// spool/segment_reader.cc -- the window over the file.
#include "spool/segment_reader.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"

namespace backstay {

void SegmentReader::Start(Fd file, SegmentSink& sink) {
  ASSERT(sink.at() < sink.end());
  file_ = file;
  sink_ = &sink;
  window_.clear();
  window_at_ = sink.at() / kBlockBytes * kBlockBytes;
  unreadable_blocks_ = 0;
  Continue();
}

void SegmentReader::StartDirect(Fd directory, uint32_t segment, Fd file, SegmentSink& sink) {
  directory_ = directory;
  file_ = file;
  sink_ = &sink;
  name_ = NameOfSegment(segment);
  failed_opens_ = 0;
  io_.Open(&open_, directory_, name_.data(), OpenMode::kReadDirect);
}

void SegmentReader::OnOpened(const IoResult& result) {
  if (result.error() == IoError::kDevice && ++failed_opens_ < kReadTries) {
    return io_.Open(&open_, directory_, name_.data(), OpenMode::kReadDirect);
  }
  if (result.ok()) {
    direct_ = result.fd();
  } else {
    LogWarning("spool file={} is read from the page cache: {}", name_.data(),
               Describe(result.error()));
  }
  Start(direct_.valid() ? direct_ : file_, *sink_);
}

void SegmentReader::End() {
  if (direct_.valid()) {
    io_.Close(std::exchange(direct_, Fd()));
  }
  events_.OnSegmentRead();
}

void SegmentReader::Continue() {
  const uint64_t wanted = std::min(sink_->at() + sink_->need(), sink_->end());
  const uint64_t have = window_at_ + window_.size();
  ASSERT(have < AlignUp(wanted, kBlockBytes));
  const uint64_t left = AlignUp(sink_->end(), kBlockBytes) - have;
  Read(static_cast<size_t>(std::min<uint64_t>(left, kReadBytes)));
}

void SegmentReader::Read(size_t bytes) {
  read_at_ = window_.size();
  read_bytes_ = bytes;
  window_.Resize(read_at_ + bytes);
  read_.Start(file_, {window_.data() + read_at_, bytes}, window_at_ + read_at_);
}

void SegmentReader::OnRangeRead(IoError error, size_t bytes) {
  const uint64_t read_end = window_at_ + read_at_ + bytes;
  const bool reaches_end = error == IoError::kNone && read_end >= sink_->end();
  const size_t whole = reaches_end ? bytes : bytes / kBlockBytes * kBlockBytes;
  window_.Resize(read_at_ + whole);
  if (whole == 0) {
    if (read_bytes_ > kBlockBytes) {
      return Read(kBlockBytes);  // find the block that cannot be read
    }
    MARK("unreadable block");
    ++unreadable_blocks_;
    window_.Resize(read_at_ + kBlockBytes);
    std::fill(window_.data() + read_at_, window_.data() + window_.size(), kNothing);
  }
  for (;;) {
    const uint64_t have = window_at_ + window_.size();
    if (sink_->at() >= sink_->end()) {
      return End();
    }
    if (std::min(sink_->at() + sink_->need(), sink_->end()) > have) {
      break;
    }
    sink_->Feed(window_.bytes().subspan(static_cast<size_t>(sink_->at() - window_at_)));
  }
  const uint64_t keep_from =
      std::min(sink_->at() / kBlockBytes * kBlockBytes, window_at_ + window_.size());
  window_.Consume(static_cast<size_t>(keep_from - window_at_));
  window_at_ = keep_from;
  SkipUnwritten();
  if (sink_->at() >= sink_->end()) {
    return End();
  }
  Continue();
}

// Half of the last segment, as a rule: the kernel would make zeros for us, page by page.
void SegmentReader::SkipUnwritten() {
  if (window_.size() > 0 || sink_->at() % kBlockBytes != 0 || sink_->need() > kBlockBytes) {
    return;
  }
  const uint64_t written = io_.NextWritten(file_, Offset{sink_->at()});
  const uint64_t to = std::min(written, sink_->end()) / kBlockBytes * kBlockBytes;
  if (to > sink_->at()) {
    MARK("what was never written is not read");
    sink_->SkipZeros(to);
    window_at_ = to;
  }
}

}  // namespace backstay
