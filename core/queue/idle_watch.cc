// core/queue/idle_watch.cc -- a line for each patience, each in order.
#include "core/queue/idle_watch.h"

#include <algorithm>

namespace backstay {

void IdleWatch::Watch(Watched& watched, Patience patience, Instant now) {
  watched.Unlink();
  watched.progress_ = now;
  watched.patience_ = patience;
  lines_[static_cast<size_t>(patience)].PushBack(&watched);
}

Instant IdleWatch::DueOf(size_t line) const {
  const Watched* const first = lines_[line].front();
  return first == nullptr ? Instant::Max() : first->progress_ + limits_[line];
}

// Whoever is called stands behind all others then, so that each is called once, even if its line
// has no patience at all.
void IdleWatch::Advance(Instant now) {
  for (size_t line = 0; line < kPatiences; ++line) {
    List<Watched> due;
    for (size_t count = 0; count < kPerAdvance && DueOf(line) <= now; ++count) {
      due.PushBack(lines_[line].PopFront());
    }
    while (Watched* watched = due.PopFront()) {
      Progress(*watched, now);
      watched->OnSilence();
    }
  }
}

Instant IdleWatch::NextDue() const {
  Instant next = Instant::Max();
  for (size_t line = 0; line < kPatiences; ++line) {
    next = std::min(next, DueOf(line));
  }
  return next;
}

bool IdleWatch::empty() const {
  return std::all_of(lines_.begin(), lines_.end(), [](auto& line) { return line.empty(); });
}

std::vector<Watched*> IdleWatch::All() {
  std::vector<Watched*> all;
  for (List<Watched>& line : lines_) {
    for (Watched* watched = line.front(); watched != nullptr; watched = line.Next(watched)) {
      all.push_back(watched);
    }
  }
  return all;
}

}  // namespace backstay
