// spool/debt.h -- a recipient whose debt ends with a report, as it lies in the report's record.
#pragma once

#include <cstdint>

namespace backstay {

class Debt {
 public:
  Debt() = default;
  // `was_delivered`: the report says that it was handed on, not that it failed.
  explicit constexpr Debt(uint32_t recipient, bool was_delivered = false)
      : word_(recipient | (was_delivered ? kWasDelivered : 0)) {}

  uint32_t recipient() const { return word_ & ~kWasDelivered; }
  bool was_delivered() const { return (word_ & kWasDelivered) != 0; }
  friend bool operator==(const Debt&, const Debt&) = default;

 private:
  static constexpr uint32_t kWasDelivered = 1u << 31;

  uint32_t word_ = 0;
};
static_assert(sizeof(Debt) == sizeof(uint32_t));

}  // namespace backstay
