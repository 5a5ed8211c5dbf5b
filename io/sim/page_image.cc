// io/sim/page_image.cc -- reading and writing across pages.
#include "io/sim/page_image.h"

#include <algorithm>

namespace backstay {

PageImage::Page& PageImage::Own(std::shared_ptr<Page>& page) {
  if (page == nullptr) {
    page = std::make_shared<Page>();
  } else if (page.use_count() > 1) {
    page = std::make_shared<Page>(*page);
  }
  return *page;
}

size_t PageImage::Read(uint64_t at, MutableBytes into) const {
  if (at >= size_) {
    return 0;
  }
  const size_t total = static_cast<size_t>(std::min<uint64_t>(into.size(), size_ - at));
  size_t done = 0;
  while (done < total) {
    const size_t page = static_cast<size_t>((at + done) / kPageBytes);
    const size_t within = static_cast<size_t>((at + done) % kPageBytes);
    const size_t count = std::min(total - done, kPageBytes - within);
    if (pages_[page] == nullptr) {
      std::fill_n(into.data() + done, count, uint8_t{0});
    } else {
      std::copy_n(pages_[page]->data() + within, count, into.data() + done);
    }
    done += count;
  }
  return total;
}

uint64_t PageImage::NextWritten(uint64_t at) const {
  for (auto page = static_cast<size_t>(at / kPageBytes); page < pages_.size(); ++page) {
    if (pages_[page] != nullptr) {
      return std::max<uint64_t>(at, page * kPageBytes);
    }
  }
  return UINT64_MAX;
}

void PageImage::Write(uint64_t at, Bytes from) {
  if (from.empty()) {
    return;
  }
  if (at + from.size() > size_) {
    Resize(at + from.size());
  }
  size_t done = 0;
  while (done < from.size()) {
    Page& page = Own(pages_[static_cast<size_t>((at + done) / kPageBytes)]);
    const size_t within = static_cast<size_t>((at + done) % kPageBytes);
    const size_t count = std::min(from.size() - done, kPageBytes - within);
    std::copy_n(from.data() + done, count, page.data() + within);
    done += count;
  }
}

void PageImage::Resize(uint64_t bytes) {
  pages_.resize(static_cast<size_t>((bytes + kPageBytes - 1) / kPageBytes));
  const size_t tail = static_cast<size_t>(bytes % kPageBytes);
  if (bytes < size_ && tail != 0 && pages_.back() != nullptr) {
    Page& last = Own(pages_.back());
    std::fill(last.begin() + static_cast<std::ptrdiff_t>(tail), last.end(), uint8_t{0});
  }
  size_ = bytes;
}

}  // namespace backstay
