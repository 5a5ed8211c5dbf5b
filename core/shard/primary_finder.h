// core/shard/primary_finder.h -- asks the DNS where the primaries are, again and again, and tells
// the routes.
//
// The home shard of a destination asks and tells the others. What was found, when a primary was
// down, and what it said of a domain's mail, is kept on disk by the first shard. What was found
// stays good for as long as the DNS says nothing, also over a restart (PrimaryKeeper). A list of
// addresses alone asks nobody.
//
// Life:   UseSnapshot() first, and at each reload. Stop() ends what is under way; then idle().
// Owns:   what is known of each destination; a bounded number of searches at a time.
// Turn:   answers come from Io::Turn; OnPrimaries is called from there, the wheel and UseSnapshot.
// See:    DESIGN 6, core/dns/primary_search.h.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "core/dns/primary_search.h"
#include "core/queue/shared_answers.h"
#include "core/queue/timer_wheel.h"
#include "core/shard/inbox.h"
#include "core/shard/own_places.h"
#include "core/shard/primary_keeper.h"
#include "core/shard/primary_searcher.h"
#include "core/shard/snapshot.h"
#include "io/io.h"

namespace backstay {

class PrimaryFinderHome {
 public:
  virtual void OnPrimaries(uint64_t key, const FoundPrimaries& found) = 0;
  // Whether nothing is to be hurried.
  virtual bool IsUp(uint64_t key) const = 0;
  // What was said lately of a domain's mail, to all shards; null: nothing.
  virtual const SharedAnswers* AnswersOf(uint64_t domain) const = 0;

 protected:
  ~PrimaryFinderHome() = default;
};

class PrimaryFinder : private PrimarySearcherHome {
 public:
  PrimaryFinder(Io& io, TimerWheel& wheel, PostOffice& post, size_t index,
                const PrimaryFiles& files, PrimaryFinderHome& home);
  ~PrimaryFinder();
  PrimaryFinder(const PrimaryFinder&) = delete;
  PrimaryFinder& operator=(const PrimaryFinder&) = delete;

  void UseSnapshot(const Snapshot& snapshot);
  // The home shard's kPrimaries.
  void OnShardMessage(const ShardMessage& message);
  // As an earlier run left them; for routes that are new.
  Outages SavedOutages(uint64_t key) const;
  // The home route's, of this shard: it went down, or came back.
  void Keep(uint64_t key, const Outages& outages);
  // It went down: perhaps it is elsewhere.
  void Hasten(uint64_t key);
  // Max(): it is asked by another shard, or never.
  Instant NextQuestion(uint64_t key) const;
  void Stop();
  bool idle() const;

 private:
  class Entry final : public Timer {
   public:
    explicit Entry(PrimaryFinder* owner) : owner_(owner) {}
    void OnTimer() override { owner_->Want(*this); }

    DestinationPlan plan;
    FoundPrimaries found;
    Outages outages;          // the first shard's, to be saved
    bool is_planned = false;  // by the snapshot in force
    bool is_home = false;
    bool is_wanted = false;  // waits for a search, or has one
    bool is_told = false;    // the others know it, since the last reload
    size_t failures = 0;     // in a row
    Instant searched;
    Instant next;  // search

   private:
    PrimaryFinder* const owner_;
  };
  static constexpr size_t kSearchersMax = 16;

  Entry* Find(uint64_t key) const;
  Entry& EntryOf(uint64_t key);
  void Plan(const DestinationPlan& plan, const Snapshot& snapshot);
  void Want(Entry& entry);
  void StartSearches();
  void OnSearched(uint64_t key, const PrimarySearch& search) override;
  void Adopt(Entry& entry, FoundPrimaries found);
  void OnFailed(Entry& entry, const FoundPrimaries& found);
  void SearchIn(Entry& entry, absl::Duration wait);
  void Tell(Entry& entry);
  void Save();
  void TakeAnswers();

  Io& io_;
  TimerWheel& wheel_;
  PostOffice& post_;
  const size_t index_;
  PrimaryFinderHome& home_;
  const SavedPrimaries saved_;
  PrimaryKeeper keeper_;  // the first shard's writes
  std::vector<uint64_t> domains_;
  SavedPrimaries answers_;  // of them, as they are saved: not at each answer
  Alarm<&PrimaryFinder::TakeAnswers> answers_clock_{this};
  std::string our_hostname_;
  OwnPlaces own_places_;
  absl::btree_map<uint64_t, std::unique_ptr<Entry>> entries_;
  std::deque<uint64_t> waiting_;  // for a searcher
  std::array<std::unique_ptr<PrimarySearcher>, kSearchersMax> searchers_;
  bool stopping_ = false;
};

}  // namespace backstay
