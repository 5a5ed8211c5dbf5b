// core/queue/shared_answers.h -- what a primary said of one domain's mail, to all shards.
//
// Exact but for answers that come to several shards in the same moment: such a one may be counted
// in the run before or behind its own. A trip is nobody's but the first one's, and known to all at
// once.
//
// Owns:    a bit for each of the last 1,000 answers, and the hashes of one run of refusals.
// Threads: every method from any thread. No atomics of its own (SharedWord).
// See:     core/queue/breaker.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/queue/shared_word.h"

namespace backstay {

class SharedAnswers {
 public:
  static constexpr size_t kAnswersMax = 1000;  // that are remembered
  static constexpr size_t kDifferentMax = 20;  // that are told apart in a run

  struct Run {
    size_t refusals = 0;
    size_t different = 0;  // hashes among them, at most kDifferentMax
  };

  explicit SharedAnswers(size_t shards) { (void)shards; }

  void Remember(bool is_taken);
  // As if there had been so many, and `taken` of them spread among the others: an earlier run's.
  void Resume(size_t taken, size_t answers);
  // So many of the last kAnswersMax there were, and of those were taken.
  size_t answers() const { return counts_.Load().answers; }
  size_t taken() const { return counts_.Load().taken; }

  // One more refusal with these words (a hash); others than the last one's begin a run anew.
  Run OnRefused(uint32_t words, uint64_t who);
  void EndRun();

  // It refuses everybody, and nobody else has said so since the last Untrip().
  bool Trip();
  void Untrip() { tripped_.Store(0); }
  bool tripped() const { return tripped_.Load() != 0; }

 private:
  struct Counts {
    uint32_t next;  // place of the next answer
    uint16_t answers;
    uint16_t taken;
  };
  struct Words {
    uint32_t hash;
    uint32_t refusals;
  };
  static constexpr size_t kBits = 64;

  void ForgetWho();

  SharedWord<Counts> counts_;
  std::array<SharedWord<uint64_t>, (kAnswersMax + kBits - 1) / kBits> last_;  // a ring of bits
  SharedWord<Words> run_;
  std::array<SharedWord<uint64_t>, kDifferentMax> who_;  // 0: nobody
  SharedWord<uint64_t> tripped_;
};

}  // namespace backstay
