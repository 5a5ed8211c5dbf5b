// tests/spool/domain_bits_test.cc -- every recipient is in the list of its domain, in order.
#include "spool/domain_bits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "core/base/random.h"

namespace backstay {
namespace {

TEST(DomainBits, HasTheRecipientsOfEachDomainInFullGroups) {
  Random random(5);
  for (const uint32_t messages : {0u, 10u, 64u, 1000u}) {
    MessageTable table;
    std::map<uint32_t, std::vector<uint32_t>> model;  // by local number
    for (uint32_t message = 0; message < messages; ++message) {
      std::vector<DomainId> recipients(random.Between(1, 3));
      for (DomainId& domain : recipients) {
        domain = DomainId{static_cast<uint32_t>(random.Below(200))};
      }
      const uint32_t first_bit = table.bits();
      table.Add(message + 1, 0, recipients);
      for (uint32_t i = 0; i < recipients.size(); ++i) {
        const bool is_full = message < messages / MessageTable::kGroup * MessageTable::kGroup;
        auto& bits = model[table.LocalOf(recipients[i])];
        bits.insert(bits.end(), is_full ? 1 : 0, first_bit + i);
      }
    }
    const DomainBits lists(table);
    EXPECT_EQ(lists.end_group(), messages / MessageTable::kGroup);
    for (const auto& [local, bits] : model) {
      const std::span<const uint32_t> of = lists.Of(local);
      EXPECT_TRUE(std::equal(of.begin(), of.end(), bits.begin(), bits.end())) << local;
    }
    EXPECT_TRUE(lists.Of(table.domains()).empty());  // it comes later
  }
}

}  // namespace
}  // namespace backstay
