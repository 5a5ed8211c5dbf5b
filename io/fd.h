// io/fd.h -- a descriptor as a value. Whoever holds it closes it with Io::Close; nothing is
// automatic.
#pragma once

#include <compare>

namespace backstay {

class Fd {
 public:
  constexpr Fd() = default;
  explicit constexpr Fd(int number) : number_(number) {}
  constexpr bool valid() const { return number_ >= 0; }
  constexpr int number() const { return number_; }
  friend constexpr auto operator<=>(Fd, Fd) = default;

 private:
  int number_ = -1;
};

}  // namespace backstay
