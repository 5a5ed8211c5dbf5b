// core/queue/shared_answers.cc -- a ring of bits and a run of hashes.
#include "core/queue/shared_answers.h"

#include <algorithm>

namespace backstay {
namespace {

constexpr uint64_t kZero = 0x9e3779b97f4a7c15;  // instead of nobody

}  // namespace

void SharedAnswers::Remember(bool is_taken) {
  size_t place = 0;
  counts_.Change([&](Counts& counts) {
    place = counts.next;
    counts.next = static_cast<uint32_t>((place + 1) % kAnswersMax);
    counts.answers = static_cast<uint16_t>(std::min<size_t>(counts.answers + 1, kAnswersMax));
    return true;
  });
  const uint64_t bit = uint64_t{1} << (place % kBits);
  const bool is_other = last_[place / kBits].Change([&](uint64_t& bits) {
    const bool was_taken = (bits & bit) != 0;
    bits ^= bit;
    return was_taken != is_taken;
  });
  if (is_other) {
    counts_.Change([&](Counts& counts) {
      counts.taken = static_cast<uint16_t>(is_taken ? counts.taken + 1 : counts.taken - 1);
      return true;
    });
  }
}

void SharedAnswers::Resume(size_t taken, size_t answers) {
  answers = std::min(answers, kAnswersMax);
  for (size_t i = 0; i < answers; ++i) {
    Remember((i + 1) * taken / answers > i * taken / answers);
  }
}

SharedAnswers::Run SharedAnswers::OnRefused(uint32_t words, uint64_t who) {
  bool is_new = false;
  Run run;
  run_.Change([&](Words& now) {
    is_new = now.refusals == 0 || now.hash != words;
    now = {words, is_new ? 1 : now.refusals + 1};
    run.refusals = now.refusals;
    return true;
  });
  if (is_new) {
    ForgetWho();
  }
  const uint64_t mark = who == 0 ? kZero : who;
  bool is_known = false;
  for (SharedWord<uint64_t>& one : who_) {
    const bool is_put = !is_known && one.Change([&](uint64_t& value) {
      const bool was_free = value == 0;
      value = was_free ? mark : value;
      return was_free;
    });
    is_known = is_known || is_put || one.Load() == mark;
    run.different += one.Load() != 0 ? 1 : 0;
  }
  return run;
}

void SharedAnswers::EndRun() {
  const bool was_one = run_.Change([](Words& now) {
    const bool has_some = now.refusals > 0;
    now.refusals = 0;
    return has_some;
  });
  if (was_one) {
    ForgetWho();
  }
}

bool SharedAnswers::Trip() {
  return tripped_.Change([](uint64_t& is_tripped) {
    const bool is_first = is_tripped == 0;
    is_tripped = 1;
    return is_first;
  });
}

void SharedAnswers::ForgetWho() {
  for (SharedWord<uint64_t>& one : who_) {
    one.Store(0);
  }
}

}  // namespace backstay
