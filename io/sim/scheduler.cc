// io/sim/scheduler.cc -- the event heap.
#include "io/sim/scheduler.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "core/base/check.h"

namespace backstay {

Scheduler::Scheduler(Random random) : random_(random) {}

bool Scheduler::Later(const Event& left, const Event& right) {
  return std::tie(left.due, left.tie, left.sequence) >
         std::tie(right.due, right.tie, right.sequence);
}

void Scheduler::At(Instant due, Run run) {
  heap_.push_back(Event{std::max(due, now_), random_.Next(), ++sequence_, std::move(run)});
  std::push_heap(heap_.begin(), heap_.end(), Later);
}

Instant Scheduler::NextDue() const {
  return heap_.empty() ? Instant::Max() : heap_.front().due;
}

void Scheduler::RunNext() {
  ASSERT(!heap_.empty());
  ASSERT(!running_);  // an attached actor's turn must not drive the world
  std::pop_heap(heap_.begin(), heap_.end(), Later);
  Event event = std::move(heap_.back());
  heap_.pop_back();
  ASSERT(event.due >= now_);
  now_ = event.due;
  ++events_;
  running_ = true;
  event.run();
  running_ = false;
}

void Scheduler::AdvanceTo(Instant now) {
  ASSERT(now <= NextDue());
  now_ = std::max(now_, now);
}

}  // namespace backstay
