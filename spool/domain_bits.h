// spool/domain_bits.h -- which recipients of a segment are whose: a list for each of its domains.
//
// Where thousands of domains share a segment, whoever looks for one of them reads the messages of
// all. The list takes 4 bytes a recipient and two walks to make, so a segment has one only while
// that pays (SegmentIndex).
//
// Units: recipients by their bit in the segment, as MessageTable numbers them.
// Turn:  pure; nothing waits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "spool/message_table.h"

namespace backstay {

class DomainBits {
 public:
  // Of the groups that are full; what comes later is not in it.
  explicit DomainBits(const MessageTable& table);
  DomainBits(const DomainBits&) = delete;
  DomainBits& operator=(const DomainBits&) = delete;

  uint32_t end_group() const { return end_group_; }
  // Of the domain with this local number, ascending.
  std::span<const uint32_t> Of(uint32_t local) const;

 private:
  uint32_t end_group_;
  std::vector<uint32_t> bits_;   // domain by domain
  std::vector<uint32_t> begin_;  // in bits_, by local number; one more: the end
};

}  // namespace backstay
