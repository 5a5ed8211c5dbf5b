// core/policy/recipient_knowledge.h -- what is known of one recipient, what to say, what to learn.
//
// Pure: `now` is an argument. A positive answer is good for 31 days and asked again after 7; a
// negative one is good for 3 hours. A primary that came back without its users must not poison
// what is known: a positive is replaced only by two negatives an hour apart, and by none while the
// primary is not plainly up.
//
// Units: calendar minutes, so that what is known lives on over a restart.
// See:   DESIGN 7.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "core/base/units.h"

namespace backstay {

// 2 bits of kind, 30 of minutes since the Unix epoch: good for two thousand years.
class Knowledge {
 public:
  enum class Kind : uint8_t {
    kPositive,  // at(): of the last positive answer
    kNegative,  // at(): of the last negative one
    kDoubted    // positive, and at() was the first negative answer since
  };
  static constexpr absl::Duration kPositiveFor = absl::Hours(31 * 24);
  static constexpr absl::Duration kRefreshAfter = absl::Hours(7 * 24);
  static constexpr absl::Duration kNegativeFor = absl::Hours(3);
  static constexpr absl::Duration kSecondNegativeAfter = absl::Hours(1);
  // A clock that is set right moves by less.
  static constexpr absl::Duration kAheadMax = absl::Hours(1);
  static_assert(kRefreshAfter < kPositiveFor);
  static_assert(kSecondNegativeAfter < kNegativeFor);

  Knowledge(Kind kind, WallTime at);
  // Nothing: no kind has such bits.
  static std::optional<Knowledge> FromBits(uint32_t bits);
  uint32_t bits() const { return bits_; }

  Kind kind() const { return static_cast<Kind>(bits_ >> 30); }
  WallTime at() const;
  // Learned while the clock was ahead: nobody knows how long ago that was.
  bool IsAhead(WallTime now) const { return at() - now > kAheadMax; }
  // As good as nothing known. A clock that was set back makes a positive no older.
  bool IsOver(WallTime now) const;
  // To be asked again, though it may still be believed.
  bool IsStale(WallTime now) const;
  bool is_positive() const { return kind() != Kind::kNegative; }

 private:
  explicit Knowledge(uint32_t bits) : bits_(bits) {}
  uint32_t bits_;
};

// What the shard believes of the primary.
enum class PrimaryHealth : uint8_t {
  kUp,      // as far as is known; one that is suspect is asked, too
  kUnsure,  // it can be asked, but what it refuses is not believed: ramping
  kAway     // down or held: nobody to ask
};

enum class RecipientAction : uint8_t {
  kAccept,
  kAcceptAndAsk,  // and refresh what is known
  kRefuse,        // 550 5.1.1
  kAsk,           // the reply waits for the primary
  kLater          // 451 4.1.1
};

// `takes_all`: the primary is known to accept any address of the domain, but for those that it has
// refused since.
RecipientAction ActionFor(std::optional<Knowledge> known, bool takes_all, PrimaryHealth health,
                          WallTime now);

// What is to be kept after an answer of the primary; nothing: no change.
std::optional<Knowledge> Learn(std::optional<Knowledge> known, bool positive, PrimaryHealth health,
                               WallTime now);

}  // namespace backstay
