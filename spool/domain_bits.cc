// spool/domain_bits.cc -- counted, then put in order.
#include "spool/domain_bits.h"

#include <numeric>

namespace backstay {
namespace {

template <typename Take>
void ForEachRecipientBefore(const MessageTable& table, uint32_t messages, Take take) {
  MessageTable::Entry entry;
  for (uint32_t message = 0; message < messages; ++message) {
    entry = message == 0 ? table.Get(0) : table.Next(entry);
    table.ForEachRecipient(entry, [&](uint32_t recipient, uint32_t local) {
      take(entry.first_bit + recipient, local);
    });
  }
}

}  // namespace

DomainBits::DomainBits(const MessageTable& table)
    : end_group_(table.messages() / MessageTable::kGroup), begin_(table.domains() + 1) {
  const uint32_t messages = end_group_ * MessageTable::kGroup;
  bits_.resize(table.FirstBitOf(end_group_));
  ForEachRecipientBefore(table, messages,
                         [this](uint32_t, uint32_t local) { ++begin_[local + 1]; });
  std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
  std::vector<uint32_t> next = begin_;
  ForEachRecipientBefore(table, messages,
                         [&](uint32_t bit, uint32_t local) { bits_[next[local]++] = bit; });
}

std::span<const uint32_t> DomainBits::Of(uint32_t local) const {
  if (local + 1 >= begin_.size()) {
    return {};  // it came later
  }
  return std::span(bits_).subspan(begin_[local], begin_[local + 1] - begin_[local]);
}

}  // namespace backstay
