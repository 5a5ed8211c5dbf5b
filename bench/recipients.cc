// bench/recipients.cc -- what ten million known recipients cost: memory, time of a look-up, of
// learning, and the longest pause of a table that grows.
//
// backstay-bench-recipients [ENTRIES]. The baseline beside it is absl::flat_hash_map of the same.
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/clock.h"
#include "core/base/random.h"
#include "core/policy/address_key.h"
#include "core/policy/recipient_table.h"

namespace backstay {
namespace {

constexpr size_t kTables = size_t{1} << RecipientTable::kSkippedBits;
constexpr size_t kLookUps = 2'000'000;

size_t HeapBytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

class Tables {
 public:
  explicit Tables(size_t entries_max) {
    for (auto& table : tables_) {
      table = std::make_unique<RecipientTable>(entries_max);
    }
  }
  RecipientTable& Of(uint64_t key) { return *tables_[key >> (64 - RecipientTable::kSkippedBits)]; }
  void Set(uint64_t key, uint32_t value) { Of(key).Set(key, value); }
  bool Has(uint64_t key) { return Of(key).Find(key).has_value(); }

 private:
  std::array<std::unique_ptr<RecipientTable>, kTables> tables_;
};

class Map {
 public:
  void Set(uint64_t key, uint32_t value) { map_[key] = value; }
  bool Has(uint64_t key) { return map_.contains(key); }

 private:
  absl::flat_hash_map<uint64_t, uint32_t> map_;
};

template <typename Holder>
void Measure(const char* name, Holder& holder, size_t entries) {
  Random random(1);
  std::vector<uint64_t> some;
  const size_t before = HeapBytes();
  some.reserve(entries / 100 + 1);
  const size_t kept = HeapBytes() - before;
  absl::Duration longest;
  const absl::Time begin = absl::Now();
  absl::Time last = begin;
  for (size_t number = 0; number < entries; ++number) {
    const uint64_t key = random.Next() | 1;
    holder.Set(key, static_cast<uint32_t>(number));
    if (number % 100 == 0) {
      some.push_back(key);
    }
    const absl::Time now = absl::Now();
    longest = std::max(longest, now - last);
    last = now;
  }
  const double learning = absl::ToDoubleNanoseconds(last - begin) / static_cast<double>(entries);
  const double bytes =
      static_cast<double>(HeapBytes() - before - kept) / static_cast<double>(entries);
  size_t found = 0;
  const auto look_up = [&](auto key_of) {
    const absl::Time start = absl::Now();
    for (size_t number = 0; number < kLookUps; ++number) {
      found += holder.Has(key_of(number)) ? 1 : 0;
    }
    return absl::ToDoubleNanoseconds(absl::Now() - start) / kLookUps;
  };
  const double known = look_up([&](size_t number) { return some[number % some.size()]; });
  const double unknown = look_up([&](size_t) { return random.Next() | 1; });
  fmt::print(
      "{:14} {:5.1f} bytes each, learned in {:4.0f} ns, longest pause {:7.3f} ms, "
      "look-up {:4.0f} ns known, {:4.0f} ns unknown ({} found)\n",
      name, bytes, learning, absl::ToDoubleMilliseconds(longest), known, unknown, found);
}

void Keys() {
  const SipKey secret{1, 2};
  uint64_t sum = 0;
  const absl::Time start = absl::Now();
  for (size_t number = 0; number < kLookUps; ++number) {
    std::string address = "somebody.or.other@example.com";
    address[number % 8] = 'x';
    sum += static_cast<uint64_t>(KeyOf(secret, address));
  }
  fmt::print("an address to its key: {:.0f} ns ({})\n",
             absl::ToDoubleNanoseconds(absl::Now() - start) / kLookUps, sum % 10);
}

}  // namespace
}  // namespace backstay

int main(int argc, char** argv) {
  const size_t entries = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10'000'000;
  {
    backstay::Tables tables(entries);
    backstay::Measure("RecipientTable", tables, entries);
  }
  backstay::Map map;
  backstay::Measure("flat_hash_map", map, entries);
  backstay::Keys();
}
