// core/smtp/data_writer.cc -- whole blocks where nothing is to be done, single bytes where
// something is.
#include "core/smtp/data_writer.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/base/mark.h"
#include "core/smtp/line_scan.h"

namespace backstay {
namespace {

LineMasks ScanUpTo64(const uint8_t* from, size_t count) {
  if (count == kScanBytes) {
    return ScanBlock(from);
  }
  uint8_t padded[kScanBytes];
  std::memset(padded, 'x', sizeof(padded));
  std::memcpy(padded, from, count);
  return ScanBlock(padded);
}

}  // namespace

void DataWriter::Start(bool has_dot_lines) {
  has_dot_lines_ = has_dot_lines;
  place_ = Place::kLineStart;
}

void DataWriter::Write(Bytes stored, std::string& output) {
  while (!stored.empty()) {
    const size_t clean = CleanBytes(stored);
    output.append(AsText(stored.first(clean)));
    stored = stored.subspan(clean);
    if (!stored.empty()) {
      WriteWithCare(stored.front(), output);
      stored = stored.subspan(1);
    }
  }
}

void DataWriter::Finish(std::string& output) {
  if (place_ == Place::kAfterCr) {
    ++repairs_;
    output += '\n';
  } else if (place_ == Place::kText) {
    output += "\r\n";
  }
  output += ".\r\n";
  place_ = Place::kLineStart;
}

// How many bytes can leave as they lie; place_ is then the one behind them.
size_t DataWriter::CleanBytes(Bytes stored) {
  size_t at = 0;
  while (at < stored.size()) {
    const size_t count = std::min(stored.size() - at, kScanBytes);
    const LineMasks masks = ScanUpTo64(stored.data() + at, count);
    const uint64_t behind_cr = masks.cr << 1 | uint64_t{place_ == Place::kAfterCr};
    const uint64_t crlf = masks.lf & behind_cr;
    const uint64_t line_start = crlf << 1 | uint64_t{place_ == Place::kLineStart};
    uint64_t stop = (masks.dot & line_start) | (masks.lf ^ behind_cr);
    if (count < kScanBytes) {
      stop &= (uint64_t{1} << count) - 1;
    }
    const size_t passed = stop == 0 ? count : static_cast<size_t>(std::countr_zero(stop));
    if (passed > 0) {
      const uint64_t last = uint64_t{1} << (passed - 1);
      place_ = (crlf & last) != 0       ? Place::kLineStart
               : (masks.cr & last) != 0 ? Place::kAfterCr
                                        : Place::kText;
    }
    at += passed;
    if (stop != 0) {
      break;
    }
  }
  return at;
}

void DataWriter::WriteWithCare(uint8_t byte, std::string& output) {
  if (place_ == Place::kAfterCr && byte != '\n') {
    MARK("stray_cr_in_store");
    ++repairs_;
    output += '\n';
    place_ = Place::kLineStart;
  }
  if (byte == '\n') {
    if (place_ != Place::kAfterCr) {
      MARK("stray_lf_in_store");
      ++repairs_;
      output += '\r';
    }
    output += '\n';
    place_ = Place::kLineStart;
    return;
  }
  if (byte == '.' && place_ == Place::kLineStart) {
    if (!has_dot_lines_) {
      MARK("dot_line_against_the_flag");
      ++repairs_;
    }
    output += '.';
  }
  output += static_cast<char>(byte);
  place_ = byte == '\r' ? Place::kAfterCr : Place::kText;
}

}  // namespace backstay
