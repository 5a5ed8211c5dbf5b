// core/base/mark.h -- coverage marks: a named rare branch that a test can demand (STYLE 42).
//
// MARK("name") costs one relaxed increment of a static counter. Tests and the simulator read the
// counters by name: MarkCount("name").
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

namespace backstay {

class Mark {
 public:
  explicit Mark(const char* name);
  void Hit() { count_.fetch_add(1, std::memory_order_relaxed); }
  const char* name() const { return name_; }
  uint64_t count() const { return count_.load(std::memory_order_relaxed); }

 private:
  friend uint64_t MarkCount(std::string_view name);
  friend std::vector<const Mark*> AllMarks();
  const char* const name_;
  std::atomic<uint64_t> count_{0};
  Mark* next_;
};

// How often the branch was reached in this process; 0 for a name that was never reached.
uint64_t MarkCount(std::string_view name);
// Every mark that was reached at least once, in no particular order.
std::vector<const Mark*> AllMarks();

}  // namespace backstay

#define MARK(name)                           \
  do {                                       \
    static ::backstay::Mark mark_here{name}; \
    mark_here.Hit();                         \
  } while (false)
