// core/shard/primary_finder.cc -- when to ask, and whom to tell.
#include "core/shard/primary_finder.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/queue/breaker.h"

namespace backstay {
namespace {

// A TTL says how long an answer may be used; below and above these it is not taken at its word.
constexpr absl::Duration kRefreshMin = absl::Seconds(30);
constexpr absl::Duration kRefreshMax = absl::Hours(1);
static_assert(kRefreshMin < kRefreshMax);
// What a crash forgets of the answers.
constexpr absl::Duration kAnswersEvery = absl::Hours(1);
// Fewer say nothing of what is usual (Breaker).
constexpr size_t kAnswersMin = Breaker::kAnswersMin;
// While the DNS says nothing: the first wait doubles up to the last.
constexpr absl::Duration kRetryMin = absl::Seconds(5);
constexpr absl::Duration kRetryMax = absl::Minutes(5);

}  // namespace

PrimaryFinder::PrimaryFinder(Io& io, TimerWheel& wheel, PostOffice& post, size_t index,
                             const PrimaryFiles& files, PrimaryFinderHome& home)
    : io_(io),
      wheel_(wheel),
      post_(post),
      index_(index),
      home_(home),
      saved_(files.saved),
      keeper_(io, wheel, files) {
  PrimarySearcherHome& searcher_home = *this;
  for (std::unique_ptr<PrimarySearcher>& searcher : searchers_) {
    searcher = std::make_unique<PrimarySearcher>(io, absl::InfiniteDuration(), searcher_home);
  }
}

PrimaryFinder::~PrimaryFinder() {
  wheel_.Cancel(&answers_clock_);
}

PrimaryFinder::Entry* PrimaryFinder::Find(uint64_t key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : found->second.get();
}

PrimaryFinder::Entry& PrimaryFinder::EntryOf(uint64_t key) {
  std::unique_ptr<Entry>& entry = entries_[key];
  if (entry == nullptr) {
    entry = std::make_unique<Entry>(this);
    entry->plan.key = key;
    entry->outages = SavedOutages(key);
  }
  return *entry;
}

void PrimaryFinder::UseSnapshot(const Snapshot& snapshot) {
  our_hostname_ = snapshot.hostname;
  own_places_.Use(io_, snapshot.config.smtp.listen);
  for (const auto& [key, entry] : entries_) {
    entry->is_planned = false;
  }
  for (const DestinationPlan& plan : snapshot.destinations) {
    Plan(plan, snapshot);
  }
  for (auto at = entries_.begin(); at != entries_.end();) {
    if (at->second->is_planned) {
      ++at;
    } else {
      at = entries_.erase(at);
    }
  }
  domains_.clear();
  for (const DomainPlan& plan : snapshot.domains) {
    domains_.push_back(plan.key);
  }
  TakeAnswers();
}

void PrimaryFinder::Plan(const DestinationPlan& plan, const Snapshot& snapshot) {
  Entry& entry = EntryOf(plan.key);
  entry.plan = plan;
  entry.is_planned = true;
  entry.is_home = plan.key % post_.shards() == index_;
  const auto judge = [&](const SocketAddress& place) {
    return own_places_.Judge(place, entry.plan.allowed_networks);
  };
  if (AsksNobody(plan.list)) {
    const PrimarySearch search(plan.list, snapshot.hostname);
    Adopt(entry, search.Result(judge, entry.found, io_.random()));
    return;
  }
  const auto saved = saved_.find(plan.key);
  if (entry.found.standing == PrimaryStanding::kNotAsked && saved != saved_.end()) {
    for (const PrimaryCandidate& candidate : saved->second.candidates) {
      if (judge(candidate.address) == PlaceVerdict::kGood) {
        entry.found.candidates.push_back(candidate);
        entry.found.standing = PrimaryStanding::kFound;
      }
    }
    entry.found.hosts = InOrder(entry.found.candidates, !plan.list.mx_domain.empty(), io_.random());
  }
  home_.OnPrimaries(plan.key, entry.found);
  entry.is_told = false;
  if (entry.is_home) {
    Want(entry);
  }
}

// ---- searches ----

void PrimaryFinder::Want(Entry& entry) {
  if (!stopping_ && !std::exchange(entry.is_wanted, true)) {
    wheel_.Cancel(&entry);
    waiting_.push_back(entry.plan.key);
    StartSearches();
  }
}

void PrimaryFinder::Hasten(uint64_t key) {
  Entry* const entry = Find(key);
  if (entry == nullptr || !entry->is_home || entry->is_wanted || AsksNobody(entry->plan.list)) {
    return;
  }
  const Instant soon = std::max(io_.Now(), entry->searched + kRefreshMin);
  if (soon < entry->next) {
    entry->next = soon;
    wheel_.Insert(entry, soon);
  }
}

Instant PrimaryFinder::NextQuestion(uint64_t key) const {
  const Entry* const entry = Find(key);
  if (entry == nullptr || !entry->is_home || AsksNobody(entry->plan.list)) {
    return Instant::Max();
  }
  return entry->is_wanted ? io_.Now() : entry->next;
}

void PrimaryFinder::StartSearches() {
  for (const std::unique_ptr<PrimarySearcher>& searcher : searchers_) {
    while (searcher->is_free() && !waiting_.empty() && !stopping_) {
      const uint64_t key = waiting_.front();
      waiting_.pop_front();
      const Entry* const entry = Find(key);
      if (entry != nullptr) {  // a reload may have taken it away
        searcher->Start(key, entry->plan.list, our_hostname_);
      }
    }
  }
}

void PrimaryFinder::OnSearched(uint64_t key, const PrimarySearch& search) {
  Entry* const entry = Find(key);
  if (entry != nullptr) {
    entry->is_wanted = false;
    entry->searched = io_.Now();
    const auto judge = [&](const SocketAddress& place) {
      return own_places_.Judge(place, entry->plan.allowed_networks);
    };
    FoundPrimaries found = search.Result(judge, entry->found, io_.random());
    if (found.standing == PrimaryStanding::kFailed) {
      OnFailed(*entry, found);
    } else {
      Adopt(*entry, std::move(found));
    }
    Save();
  }
  StartSearches();
}

// What was found before stands, whatever it is.
void PrimaryFinder::OnFailed(Entry& entry, const FoundPrimaries& found) {
  const bool knows_nothing = entry.found.standing == PrimaryStanding::kNotAsked ||
                             entry.found.standing == PrimaryStanding::kFailed;
  if (entry.failures++ == 0) {
    LogWarning("dns: where {} is cannot be asked ({}); {}", entry.plan.name, Escaped(found.reason),
               knows_nothing ? "its mail waits" : "what was found last stays in use");
  }
  if (knows_nothing) {
    entry.found = found;
    Tell(entry);
  }
  const absl::Duration wait = kRetryMin * (int64_t{1} << std::min<size_t>(entry.failures - 1, 6));
  SearchIn(entry, std::min(wait, kRetryMax));
}

void PrimaryFinder::Adopt(Entry& entry, FoundPrimaries found) {
  const bool is_new = found.standing != entry.found.standing ||
                      found.candidates != entry.found.candidates || !entry.is_told;
  if (std::exchange(entry.failures, 0) > 0) {
    LogInfo("dns: where {} is can be asked again", entry.plan.name);
  }
  if (found.standing != entry.found.standing && found.standing != PrimaryStanding::kFound) {
    LogError("held ({}): mail for {} is kept: {}", Describe(found.standing), entry.plan.name,
             Escaped(found.reason));
  }
  absl::Duration wait = std::clamp(found.ttl, kRefreshMin, kRefreshMax);
  if (found.standing != PrimaryStanding::kFound) {
    wait = kRefreshMin;
  }
  entry.found = std::move(found);
  if (is_new) {
    Tell(entry);
  }
  if (AsksNobody(entry.plan.list)) {
    return;
  }
  if (!home_.IsUp(entry.plan.key)) {
    wait = kRefreshMin;
  }
  SearchIn(entry, wait);
}

// A little early, so that what was found together is not asked together for ever.
void PrimaryFinder::SearchIn(Entry& entry, absl::Duration wait) {
  const auto share = static_cast<int64_t>(io_.random().Below(11));
  entry.next = io_.Now() + wait - wait * share / 100;
  wheel_.Insert(&entry, entry.next);
}

void PrimaryFinder::Tell(Entry& entry) {
  entry.is_told = true;
  home_.OnPrimaries(entry.plan.key, entry.found);
  for (size_t shard = 0; entry.is_home && shard < post_.shards(); ++shard) {
    if (shard != index_ && !AsksNobody(entry.plan.list)) {
      post_.Post(index_, shard,
                 {.kind = ShardMessage::Kind::kPrimaries,
                  .destination = entry.plan.key,
                  .primaries = {entry.found}});
    }
  }
}

void PrimaryFinder::OnShardMessage(const ShardMessage& message) {
  Entry& entry = EntryOf(message.destination);  // it may come before the reload that brings it
  if (message.kind == ShardMessage::Kind::kOutages) {
    entry.outages = message.outages;
    return Save();
  }
  entry.found = message.primaries.front();
  if (entry.is_planned) {
    home_.OnPrimaries(message.destination, entry.found);
  }
  Save();
}

Outages PrimaryFinder::SavedOutages(uint64_t key) const {
  const auto saved = saved_.find(key);
  return saved == saved_.end() ? Outages() : saved->second.outages;
}

void PrimaryFinder::Keep(uint64_t key, const Outages& outages) {
  const ShardMessage message{
      .kind = ShardMessage::Kind::kOutages, .destination = key, .outages = outages};
  if (index_ == 0) {
    OnShardMessage(message);
  } else {
    post_.Post(index_, 0, message);
  }
}

// What is held now has no way to go, so there is nothing to remember.
void PrimaryFinder::Save() {
  if (index_ != 0) {
    return;
  }
  SavedPrimaries primaries;
  for (const auto& [key, entry] : entries_) {
    if (!AsksNobody(entry->plan.list) && !entry->found.candidates.empty()) {
      primaries[key].candidates = entry->found.candidates;
    }
    if (!entry->outages.empty()) {
      primaries[key].outages = entry->outages;
    }
  }
  for (const auto& [key, said] : answers_) {
    primaries[key].taken = said.taken;
    primaries[key].answers = said.answers;
  }
  keeper_.Save(primaries);
}

// They change with each message; the file does not.
void PrimaryFinder::TakeAnswers() {
  if (index_ != 0) {
    return;
  }
  answers_.clear();
  for (const uint64_t domain : domains_) {
    const SharedAnswers* const said = home_.AnswersOf(domain);
    const size_t answers = said != nullptr ? said->answers() : 0;  // once: others add to them
    if (answers >= kAnswersMin) {
      answers_[domain].answers = answers;
      answers_[domain].taken = std::min(said->taken(), answers);
    }
  }
  Save();
  if (!stopping_) {
    wheel_.Cancel(&answers_clock_);
    wheel_.Insert(&answers_clock_, io_.Now() + kAnswersEvery);
  }
}

void PrimaryFinder::Stop() {
  const bool is_first = !std::exchange(stopping_, true);
  wheel_.Cancel(&answers_clock_);
  if (is_first) {
    TakeAnswers();
  }
  for (const auto& [key, entry] : entries_) {
    wheel_.Cancel(entry.get());
  }
  for (const std::unique_ptr<PrimarySearcher>& searcher : searchers_) {
    searcher->Stop();
  }
  keeper_.Stop();
}

bool PrimaryFinder::idle() const {
  return keeper_.idle() && std::all_of(searchers_.begin(), searchers_.end(),
                                       [](const auto& searcher) { return searcher->idle(); });
}

}  // namespace backstay
