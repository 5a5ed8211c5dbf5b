// core/base/mark.cc -- the list of marks reached so far.
#include "core/base/mark.h"

namespace backstay {
namespace {

std::atomic<Mark*> first_mark{nullptr};

}  // namespace

Mark::Mark(const char* name) : name_(name), next_(first_mark.load()) {
  while (!first_mark.compare_exchange_weak(next_, this)) {
  }
}

uint64_t MarkCount(std::string_view name) {
  uint64_t sum = 0;
  for (const Mark* mark = first_mark.load(); mark != nullptr; mark = mark->next_) {
    if (mark->name_ == name) {
      sum += mark->count();
    }
  }
  return sum;
}

std::vector<const Mark*> AllMarks() {
  std::vector<const Mark*> marks;
  for (const Mark* mark = first_mark.load(); mark != nullptr; mark = mark->next_) {
    marks.push_back(mark);
  }
  return marks;
}

}  // namespace backstay
