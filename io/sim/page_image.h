// io/sim/page_image.h -- the bytes of a file, in pages made on first touch; copies share them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/units.h"

namespace backstay {

class PageImage {
 public:
  uint64_t size() const { return size_; }
  // `at` or the start of the first page behind it that was made; UINT64_MAX: there is none.
  uint64_t NextWritten(uint64_t at) const;
  // Short at the end of the file.
  size_t Read(uint64_t at, MutableBytes into) const;
  // Grows the file when needed.
  void Write(uint64_t at, Bytes from);
  void Resize(uint64_t bytes);

 private:
  static constexpr size_t kPageBytes = 4_KiB;
  // A page that was not made reads as zeros.
  using Page = std::array<uint8_t, kPageBytes>;
  // Nobody else's from here on.
  static Page& Own(std::shared_ptr<Page>& page);

  uint64_t size_ = 0;
  std::vector<std::shared_ptr<Page>> pages_;  // bytes at and beyond size_ are zero
};

}  // namespace backstay
