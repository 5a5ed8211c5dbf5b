// core/shard/recipient_clerk.cc -- one query: the address, its domain, the primary.
#include "core/shard/recipient_clerk.h"

#include <fmt/format.h>

#include <utility>

#include "core/base/check.h"
#include "core/base/mark.h"
#include "core/smtp/address.h"

namespace backstay {
namespace {

// A query that nobody waits for any more may still learn something.
constexpr absl::Duration kForgetAfter = absl::Seconds(30);
static_assert(RecipientClerk::kAnswerWithin < Verifier::kSilentMax);
static_assert(Verifier::kSilentMax < kForgetAfter);
static_assert(kForgetAfter < Verifier::kGreetsWithin);
// What this shard remembers of a whole domain without asking the one that answers for it.
constexpr absl::Duration kDomainFor = absl::Minutes(5);

// A refusal by one that may have lost its users is none.
const Reply& ReplyTo(PrimaryVerdict verdict, PrimaryHealth health) {
  const bool is_up = health == PrimaryHealth::kUp;
  switch (verdict) {
    case PrimaryVerdict::kTaken:
      return replies::kRcptOk;
    case PrimaryVerdict::kRefused:
      return is_up ? replies::kUserUnknown : replies::kRecipientUnsure;
    case PrimaryVerdict::kNeedsUtf8:
      return is_up ? replies::kAddressNotAscii : replies::kRecipientUnsure;
    case PrimaryVerdict::kNone:
      return replies::kRecipientUnsure;
  }
  UNREACHABLE();
}

}  // namespace

class RecipientClerk::Query final : public Timer, public RecipientQuestion {
 public:
  enum class Step : uint8_t { kFree, kAddress, kDomain, kPrimary };

  Query(RecipientClerk& owner, uint64_t number) : owner_(owner), number_(number) {}

  std::string_view address() const override { return address_; }
  Interest interest() const override {
    if (!waiter_.empty()) {
      return Interest::kWaiting;
    }
    return is_told_ || is_for_domain_ ? Interest::kLearning : Interest::kNone;
  }
  void OnPrimarySaid(PrimaryVerdict verdict) override { owner_.OnPrimarySaid(*this, verdict); }
  void OnTimer() override { owner_.OnLate(*this); }

  RecipientClerk& owner_;
  const uint64_t number_;  // in queries_
  uint64_t ticket_ = 0;    // of the look-up under way; an answer with another one is too late
  Step step_ = Step::kFree;
  bool is_for_domain_ = false;  // the address is one that nobody has
  bool is_told_ = false;        // who asked
  bool is_late_ = false;
  std::string address_;
  std::string domain_;
  AddressKey key_{};                // under which the primary's word is kept
  std::optional<Knowledge> known_;  // under it, until now
  List<RecipientWaiter> waiter_;    // at most one
};

RecipientClerk::RecipientClerk(Io& io, TimerWheel& wheel, PostOffice& post, size_t shard,
                               const RecipientFiles& files, RecipientHome& home)
    : io_(io),
      wheel_(wheel),
      post_(post),
      shard_(shard),
      home_(home),
      store_(io, wheel, files, shard, post.shards()) {}

RecipientClerk::~RecipientClerk() {
  for (const std::unique_ptr<Query>& query : queries_) {
    wheel_.Cancel(query.get());
  }
}

void RecipientClerk::Stop() {
  for (size_t number = 0; number < queries_.size(); ++number) {
    Query& query = *queries_[number];
    if (query.step_ != Query::Step::kFree) {
      Answer(query, replies::kRecipientUnsure);
      Free(query);
    }
  }
  store_.Stop();
}

// ---- queries ----

// Of `address` with the domain as configured: without a trailing dot, in ASCII. Good until the next
// call.
std::string_view RecipientClerk::Canonical(std::string_view address, std::string_view domain) {
  canonical_.assign(address.substr(0, address.rfind('@') + 1)).append(domain);
  return canonical_;
}

// Of one that no domain of ours comes with.
AddressKey RecipientClerk::KeyFor(std::string_view address) const {
  const std::string_view local = address.substr(0, address.rfind('@') + 1);
  return KeyOf(store_.secret(), std::string(local).append(DomainOf(address)));
}

RecipientClerk::Query* RecipientClerk::NewQuery(std::string_view address, std::string_view domain) {
  if (free_.empty() && queries_.size() < kQueriesMax) {
    queries_.push_back(std::make_unique<Query>(*this, queries_.size()));
    free_.reserve(queries_.size());
    free_.push_back(queries_.back().get());
  }
  if (free_.empty()) {
    MARK("recipient_queries_full");
    return nullptr;
  }
  Query* query = free_.back();
  free_.pop_back();
  query->address_.assign(address);
  query->domain_.assign(domain);
  query->is_for_domain_ = false;
  query->is_told_ = false;
  query->is_late_ = false;
  query->known_.reset();
  wheel_.Insert(query, io_.Now() + kAnswerWithin);
  return query;
}

void RecipientClerk::Free(Query& query) {
  wheel_.Cancel(&query);
  query.RecipientQuestion::Unlink();
  while (RecipientWaiter* waiter = query.waiter_.PopFront()) {
    waiter->Unlink();
  }
  if (query.is_for_domain_) {
    StateOf(query.domain_).is_asked = false;
  }
  questions_ -= query.step_ == Query::Step::kPrimary ? 1 : 0;
  query.step_ = Query::Step::kFree;
  ++query.ticket_;
  free_.push_back(&query);
}

void RecipientClerk::Answer(Query& query, const Reply& reply) {
  if (RecipientWaiter* waiter = query.waiter_.PopFront()) {
    query.is_told_ = true;
    waiter->OnRecipientJudged(reply);
  }
}

void RecipientClerk::OnLate(Query& query) {
  if (std::exchange(query.is_late_, true)) {
    Free(query);
    return;
  }
  Answer(query, replies::kRecipientUnsure);
  wheel_.Insert(&query, io_.Now() + kForgetAfter);
}

RecipientClerk::DomainState& RecipientClerk::StateOf(std::string_view domain) {
  const auto found = domains_.find(domain);
  return found != domains_.end() ? found->second : domains_[std::string(domain)];
}

void RecipientClerk::SetDomain(std::string_view domain, std::optional<Knowledge> known) {
  DomainState& state = StateOf(domain);
  state.is_known = known.has_value() && !known->IsOver(io_.WallNow());
  state.takes_all = state.is_known && known->is_positive();
  state.good_until = io_.Now() + kDomainFor;
}

bool RecipientClerk::TakesAll(std::string_view domain) {
  const DomainState& state = StateOf(domain);
  return state.is_known && state.takes_all && io_.Now() < state.good_until;
}

std::optional<Reply> RecipientClerk::Judge(std::string_view given, std::string_view domain,
                                           RecipientWaiter& waiter) {
  const std::string_view address = Canonical(given, domain);
  const AddressKey key = KeyOf(store_.secret(), address);
  const bool takes_all = TakesAll(domain);
  if (store_.HomeOf(key) == shard_) {  // the answer may be in memory
    const std::optional<Knowledge> known = store_.Find(key);
    const RecipientAction action =
        ActionFor(known, takes_all, home_.HealthOf(domain), io_.WallNow());
    if (action == RecipientAction::kAccept) {
      return replies::kRcptOk;
    }
    if (action == RecipientAction::kRefuse) {
      return replies::kUserUnknown;
    }
  }
  Query* query = NewQuery(address, domain);
  if (query == nullptr) {
    return takes_all ? replies::kRcptOk : replies::kRecipientUnsure;
  }
  query->key_ = key;
  query->step_ = Query::Step::kAddress;
  query->waiter_.PushBack(&waiter);
  LookUp(*query, key);
  return std::nullopt;
}

// Also of a key that is ours, so that an answer always comes in a later turn.
void RecipientClerk::LookUp(Query& query, AddressKey key) {
  ShardMessage message{.kind = ShardMessage::Kind::kRecipientAsk};
  message.key = key;
  message.ticket = ++query.ticket_ * kQueriesMax + query.number_;
  message.from = shard_;
  post_.Post(shard_, store_.HomeOf(key), message);
}

void RecipientClerk::OnShardMessage(const ShardMessage& message) {
  if (message.kind == ShardMessage::Kind::kRecipientAsk) {
    ShardMessage answer{.kind = ShardMessage::Kind::kRecipientKnown};
    answer.ticket = message.ticket;
    answer.known = store_.Find(message.key);
    post_.Post(shard_, message.from, answer);
    return;
  }
  if (message.kind == ShardMessage::Kind::kRecipientLearned) {
    const std::optional<Knowledge> learned =
        backstay::Learn(store_.Find(message.key), message.is_taken, message.health, io_.WallNow());
    if (learned.has_value()) {
      store_.Set(message.key, *learned);
    }
    return;
  }
  ASSERT(message.kind == ShardMessage::Kind::kRecipientKnown);
  Query& query = *queries_[message.ticket % kQueriesMax];
  if (query.ticket_ == message.ticket / kQueriesMax) {
    OnKnown(query, message.known);
  }
}

void RecipientClerk::OnKnown(Query& query, std::optional<Knowledge> known) {
  switch (query.step_) {
    case Query::Step::kAddress:
      OnAddressKnown(query, known);
      return;
    case Query::Step::kDomain:
      OnDomainKnown(query, known);
      return;
    case Query::Step::kFree:
    case Query::Step::kPrimary:
      break;
  }
  UNREACHABLE();
}

void RecipientClerk::OnAddressKnown(Query& query, std::optional<Knowledge> known) {
  query.known_ = known;
  const DomainState& state = StateOf(query.domain_);
  const bool is_unknown = !known.has_value() || known->IsOver(io_.WallNow());
  if (is_unknown && !(state.is_known && io_.Now() < state.good_until)) {
    query.step_ = Query::Step::kDomain;
    LookUp(query, KeyOfDomain(store_.secret(), query.domain_));
    return;
  }
  Decide(query);
}

void RecipientClerk::OnDomainKnown(Query& query, std::optional<Knowledge> known) {
  SetDomain(query.domain_, known);
  const bool is_stale = !known.has_value() || known->IsStale(io_.WallNow());
  if (is_stale && !StateOf(query.domain_).is_asked &&
      home_.HealthOf(query.domain_) == PrimaryHealth::kUp) {
    AskAboutDomain(query.domain_, known);
  }
  Decide(query);
}

// No address that anybody has, and one that cannot be told from others.
void RecipientClerk::AskAboutDomain(std::string_view domain, std::optional<Knowledge> known) {
  Query* query = NewQuery(
      fmt::format("{:016x}{:08x}@{}", io_.random().Next(), io_.random().Below(UINT32_MAX), domain),
      domain);
  if (query == nullptr) {
    return;
  }
  query->key_ = KeyOfDomain(store_.secret(), domain);
  query->known_ = known;
  query->is_for_domain_ = true;
  StateOf(domain).is_asked = true;
  AskPrimary(*query);
}

void RecipientClerk::Decide(Query& query) {
  const RecipientAction action = ActionFor(query.known_, TakesAll(query.domain_),
                                           home_.HealthOf(query.domain_), io_.WallNow());
  switch (action) {
    case RecipientAction::kAccept:
      Answer(query, replies::kRcptOk);
      Free(query);
      return;
    case RecipientAction::kRefuse:
      Answer(query, replies::kUserUnknown);
      Free(query);
      return;
    case RecipientAction::kLater:
      Answer(query, replies::kRecipientUnsure);
      Free(query);
      return;
    case RecipientAction::kAcceptAndAsk:
      Answer(query, replies::kRcptOk);
      break;
    case RecipientAction::kAsk:
      break;
  }
  AskPrimary(query);
}

void RecipientClerk::AskPrimary(Query& query) {
  if (questions_ >= kQuestionsMax) {
    MARK("recipient_questions_full");
    OnPrimarySaid(query, PrimaryVerdict::kNone);
    return;
  }
  ++questions_;
  query.step_ = Query::Step::kPrimary;
  home_.AskPrimary(query.domain_, query);
}

void RecipientClerk::OnPrimarySaid(Query& query, PrimaryVerdict verdict) {
  const PrimaryHealth health = home_.HealthOf(query.domain_);
  const bool is_taken = verdict == PrimaryVerdict::kTaken;
  if (is_taken || verdict == PrimaryVerdict::kRefused) {
    LearnKey(query.key_, is_taken, health);
    if (query.is_for_domain_) {
      // As the shard that answers for it does: one refusal is no end of a catch-all.
      const auto learned = backstay::Learn(query.known_, is_taken, health, io_.WallNow());
      SetDomain(query.domain_, learned.has_value() ? learned : query.known_);
    }
  }
  Answer(query, ReplyTo(verdict, health));
  Free(query);
}

// ---- learning ----

void RecipientClerk::LearnKey(AddressKey key, bool is_taken, PrimaryHealth health) {
  ShardMessage message{.kind = ShardMessage::Kind::kRecipientLearned};
  message.key = key;
  message.is_taken = is_taken;
  message.health = health;
  if (store_.HomeOf(key) == shard_) {
    OnShardMessage(message);
  } else {
    post_.Post(shard_, store_.HomeOf(key), message);
  }
}

void RecipientClerk::Learn(std::string_view address, std::string_view domain, bool is_taken) {
  if (address.find('@') != std::string_view::npos) {
    LearnKey(KeyOf(store_.secret(), Canonical(address, domain)), is_taken, home_.HealthOf(domain));
  }
}

// ---- the operator ----

bool RecipientClerk::AnswersFor(std::string_view address) const {
  return store_.HomeOf(KeyFor(address)) == shard_;
}

bool RecipientClerk::Import(std::string_view address) {
  if (!AnswersFor(address)) {
    return false;
  }
  store_.Set(KeyFor(address), Knowledge(Knowledge::Kind::kPositive, io_.WallNow()));
  return true;
}

bool RecipientClerk::Forget(std::string_view address) {
  const AddressKey key = KeyFor(address);
  const bool is_known = AnswersFor(address) && store_.Find(key).has_value();
  if (is_known) {
    store_.Forget(key);
  }
  return is_known;
}

size_t RecipientClerk::ForgetDomain(std::string_view domain) {
  domains_.clear();
  return store_.ForgetDomain(TagOf(domain));
}

std::optional<Knowledge> RecipientClerk::Find(std::string_view address) const {
  return AnswersFor(address) ? store_.Find(KeyFor(address)) : std::nullopt;
}

}  // namespace backstay
