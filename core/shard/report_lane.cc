// core/shard/report_lane.cc -- from the queue to a stranger: whose it is, and whether he is there.
#include "core/shard/report_lane.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/mark.h"
#include "core/smtp/envelope.h"

namespace backstay {
namespace {

// More reports than wait for one domain already are looked at again so much later.
constexpr absl::Duration kPutOffFor = absl::Seconds(30);
// A domain's name servers have so long for all that is asked of them.
constexpr absl::Duration kSearchFor = absl::Minutes(1);
constexpr size_t kVisitsOfAShardMin = 4;

// `name` as of an envelope: a domain, or an address literal (RFC 5321 s4.1.3) in lower case.
PrimaryList ListOf(std::string_view name) {
  PrimaryList list;
  if (!name.starts_with('[')) {
    list.mx_domain.assign(name);
    return list;  // of nobody, if the name is empty
  }
  constexpr std::string_view kV6 = "ipv6:";
  std::string_view text = name.substr(1);
  text.remove_suffix(text.ends_with(']') ? 1 : 0);
  text.remove_prefix(text.starts_with(kV6) ? kV6.size() : 0);
  constexpr uint16_t kSmtpPort = 25;
  if (const auto address = SocketAddress::Parse(text, kSmtpPort); address.has_value()) {
    list.hosts.push_back(HostPort{std::string(text), kSmtpPort, address->WithPort(kSmtpPort)});
  }
  return list;
}

}  // namespace

ReportLane::ReportLane(const ShardParts& parts, ReportLaneHome& home)
    : Lane(parts, home),
      home_(home),
      tls_(parts.io, parts.handshakes),
      outbound_{parts.io, parts.wheel, parts.outbox, tls_, times_},
      visits_max_(std::max(kVisitsMax / parts.post.shards(), kVisitsOfAShardMin)),
      reader_(parts.spool, *this) {}

ReportLane::~ReportLane() = default;

void ReportLane::UseSnapshot(const Snapshot& snapshot) {
  hostname_ = snapshot.hostname;
  own_places_.Use(parts_.io, snapshot.config.smtp.listen);
  times_ = snapshot.config.delivery.times;
  const bool is_off = snapshot.config.delivery.tls == DeliveryConfig::Tls::kOff;
  tls_.UsePlan(is_off ? DeliveryConfig::Tls::kOff : DeliveryConfig::Tls::kOpportunistic,
               snapshot.client_tls.get(),
               /*is_home=*/false);
  strangers_.ForgetIdle();  // a domain may have become one of ours
  WantDispatch();
}

void ReportLane::RestartDomain(DomainId domain) {
  strangers_.ForgetIdle();
  Lane::RestartDomain(domain);
}

void ReportLane::Dispatch() {
  BuryFinished();
  if (!stopping_) {
    TakeNext();
    StartSearches();
    StartVisits();
  }
  SetAlarm();
}

void ReportLane::SetAlarm() {
  Instant next = Instant::Max();
  if (!stopping_ && MayTake() && queue_.NextDue() != SpoolTime::Max()) {
    next = parts_.io.Now() + (queue_.NextDue() - parts_.spool.Clock());
  }
  for (const std::unique_ptr<Visit>& visit : visits_) {
    if (!in_line_.empty() && !visit->is_left) {
      next = std::min(next, visit->since + kPatience);
    }
  }
  parts_.wheel.Cancel(&alarm_);
  if (!stopping_ && next != Instant::Max()) {
    parts_.wheel.Insert(&alarm_, next);
  }
}

void ReportLane::Stop(bool now_too) {
  stopping_ = true;
  reading_.reset();
  reader_.Close();
  for (const std::unique_ptr<PrimarySearcher>& searcher : searchers_) {
    searcher->Stop();
  }
  for (const std::unique_ptr<Visit>& visit : visits_) {
    visit->delivery.Stop(now_too);
  }
  parts_.wheel.Cancel(&alarm_);
  WantDispatch();
}

bool ReportLane::idle() const {
  return !reader_.busy() &&
         std::all_of(searchers_.begin(), searchers_.end(),
                     [](const auto& searcher) { return searcher->idle(); }) &&
         std::all_of(visits_.begin(), visits_.end(),
                     [](const auto& visit) { return visit->delivery.finished(); });
}

// ---- whose it is ----

void ReportLane::TakeNext() {
  if (!MayTake()) {
    return;
  }
  while (!reading_.has_value() && !again_.empty()) {
    const MessageRef message = again_.front();
    again_.pop_front();
    if (!parts_.spool.IsLive(message, 0)) {
      continue;
    }
    if (queue_.in_flight(message)) {
      queue_.MeetAgain(message);
      continue;
    }
    queue_.Claim(message);
    reading_ = Attempt{.message = message};
  }
  if (!reading_.has_value()) {
    reading_ = queue_.Take(parts_.spool.Clock());
  }
  if (reading_.has_value()) {
    reader_.Open(reading_->message);
  }
}

void ReportLane::OnHead(ReadOutcome outcome) {
  const std::optional<Attempt> attempt = std::exchange(reading_, std::nullopt);
  if (!attempt.has_value()) {
    return;
  }
  std::optional<Envelope> envelope;
  if (outcome == ReadOutcome::kOk) {
    envelope = DecodeEnvelope(reader_.head().envelope);
    const bool is_ours = envelope.has_value() && envelope->recipients.size() == 1 &&
                         reader_.head().recipient_domains.size() == 1;
    outcome = is_ours ? outcome : ReadOutcome::kDamaged;
  }
  Release(attempt->message);
  if (outcome == ReadOutcome::kOk) {
    Judge(*attempt, *envelope);
  } else {
    SetAside(attempt->message, outcome);
  }
  reader_.Close();
  WantDispatch();
}

void ReportLane::OnContent(ReadOutcome, Bytes) {
  UNREACHABLE();  // only heads are read
}

void ReportLane::Judge(const Attempt& attempt, const Envelope& envelope) {
  if (!parts_.spool.IsLive(attempt.message, 0)) {
    return;  // gone meanwhile
  }
  const DomainId domain = parts_.spool.DomainOf(attempt.message, 0);
  if (!queue_.Eligible(attempt, 0, domain, parts_.spool.Clock())) {
    return;  // held, or not due
  }
  Stranger& stranger = strangers_.Enter(envelope.recipients.front().Domain(), parts_.io.Now());
  switch (stranger.state) {
    case Stranger::State::kAway:
    case Stranger::State::kNobody:
      return Conclude(attempt, envelope, stranger);
    case Stranger::State::kUnknown:
      Search(stranger);
      [[fallthrough]];
    case Stranger::State::kSearching:
    case Stranger::State::kFound:
      if (!strangers_.Add(stranger, attempt.message)) {
        PutOff(attempt.message);
      }
      return Advance(stranger);
  }
  UNREACHABLE();
}

// It is not tried, as it is known what would come of it.
void ReportLane::Conclude(Attempt attempt, const Envelope& envelope, const Stranger& stranger) {
  const bool is_dead = stranger.state == Stranger::State::kNobody;
  if (is_dead) {
    MARK("dead_report");
  } else {
    MARK("report_deferred_unseen");
  }
  const MessageRef message = attempt.message;
  const DomainId domain = parts_.spool.DomainOf(message, 0);
  const std::vector<uint32_t> recipients = {0};
  const std::vector<DomainId> domains = {domain};
  std::vector<Outcome> outcomes(1);
  outcomes[0].kind = is_dead ? Outcome::Kind::kFailed : Outcome::Kind::kDeferred;
  outcomes[0].text = stranger.reason;
  outcomes[0].own = true;
  const SocketAddress nowhere;
  const AttemptReport report{.envelope = envelope,
                             .recipients = recipients,
                             .domains = domains,
                             .outcomes = outcomes,
                             .arrival = parts_.spool.Arrival(message),
                             .relay = nowhere};
  // Whose time is over waits for a failure of its own only, not for the schedule's last wait.
  attempt.recovery = parts_.spool.Clock() >= PolicyOf(domain).End(CountsFrom(message, domain));
  Record(attempt, report, 0, stranger.failed_at);
}

void ReportLane::Record(const Attempt& attempt, const AttemptReport& report, size_t position,
                        SpoolTime failed_at) {
  const bool is_deferred = report.outcomes[position].kind == Outcome::Kind::kDeferred;
  if (is_deferred && !IsOver(attempt, report, position, failed_at)) {
    Defer(attempt, report, position, absl::ZeroDuration());
  } else {
    Settle(attempt, report, position);
  }
}

// Giving up needs a real failure when its time was over, here one of its own domain.
bool ReportLane::IsOver(const Attempt& attempt, const AttemptReport& report, size_t position,
                        SpoolTime failed_at) const {
  const DomainId domain = report.domains[position];
  const SpoolTime now = parts_.spool.Clock();
  const RetryOrigin origin = CountsFrom(attempt.message, domain);
  const Deferral* const before = DeferralOf(attempt.message, report.recipients[position], origin);
  return PolicyOf(domain).GiveUp(origin, now, failed_at,
                                 before != nullptr ? before->first_own : now);
}

// Only in memory: a restart meets it again at once.
void ReportLane::PutOff(MessageRef message) {
  MARK("report_put_off");
  const SpoolTime now = parts_.spool.Clock();
  const DeferralTable::Key key{message.segment, message.block, 0};
  const Deferral* const before = queue_.deferrals().Find(key);
  Deferral deferral;
  if (before != nullptr) {
    deferral = *before;
  } else {
    deferral.last_try = now;
    deferral.first_own = now;
    deferral.text = "many reports to this domain are before it";
  }
  deferral.next_try = now + kPutOffFor;
  if (!queue_.deferrals().Insert(key, std::move(deferral))) {
    queue_.AfterOverflow(now);
  }
}

// ---- where he is ----

void ReportLane::Search(Stranger& stranger) {
  stranger.state = Stranger::State::kSearching;
  strangers_.Settle(stranger);
  unknown_.push_back(stranger.number);
}

void ReportLane::StartSearches() {
  while (!unknown_.empty()) {
    Stranger* const stranger = strangers_.Find(unknown_.front());
    ASSERT(stranger != nullptr);  // who is searched for is not forgotten
    if (const Route* primary = home_.PrimaryOf(stranger->name); primary != nullptr) {
      unknown_.pop_front();
      VisitPrimary(*stranger, *primary);
      continue;
    }
    auto free = std::find_if(searchers_.begin(), searchers_.end(),
                             [](const auto& searcher) { return searcher->is_free(); });
    if (free == searchers_.end()) {
      if (searchers_.size() == kSearchesMax) {
        return;
      }
      PrimarySearcherHome& home = *this;
      searchers_.push_back(std::make_unique<PrimarySearcher>(parts_.io, kSearchFor, home));
      free = std::prev(searchers_.end());
    }
    unknown_.pop_front();
    (*free)->Start(stranger->number, ListOf(stranger->name), hostname_);
  }
}

// It was none of ours when the report was made.
void ReportLane::VisitPrimary(Stranger& stranger, const Route& primary) {
  MARK("stranger_became_ours");
  if (primary.health() == PrimaryHealth::kAway) {
    return TurnAway(stranger, Stranger::State::kAway,
                    fmt::format("primary {}: {}", primary.name(), primary.last_reason()));
  }
  stranger.state = Stranger::State::kFound;
  stranger.hosts = primary.hosts();
  stranger.host = 0;
  stranger.until = parts_.io.Now() + kAwayFor;
  Advance(stranger);
}

void ReportLane::OnSearched(uint64_t number, const PrimarySearch& search) {
  // A TTL is not taken at its word, as with primaries.
  constexpr absl::Duration kKnownMin = absl::Minutes(1);
  constexpr absl::Duration kKnownMax = absl::Hours(1);
  Stranger* const stranger = strangers_.Find(number);
  ASSERT(stranger != nullptr);
  const auto judge = [this](const SocketAddress& place) { return own_places_.Judge(place, {}); };
  FoundPrimaries found = search.Result(judge, FoundPrimaries(), parts_.io.random());
  switch (found.standing) {
    case PrimaryStanding::kFound:
      stranger->state = Stranger::State::kFound;
      found.hosts.resize(std::min(found.hosts.size(), kHostsMax));
      stranger->hosts = std::move(found.hosts);
      stranger->host = 0;
      stranger->until = parts_.io.Now() + std::clamp(found.ttl, kKnownMin, kKnownMax);
      return Advance(*stranger);
    case PrimaryStanding::kNotAsked:
    case PrimaryStanding::kFailed:
      return TurnAway(*stranger, Stranger::State::kAway, fmt::format("dns: {}", found.reason));
    case PrimaryStanding::kNoAddress:
    case PrimaryStanding::kNotAllowed:
    case PrimaryStanding::kBestMx:
    case PrimaryStanding::kSelf:
      return TurnAway(*stranger, Stranger::State::kNobody, found.reason);
  }
  UNREACHABLE();
}

// What waits for it is read again, to be told the reason.
void ReportLane::TurnAway(Stranger& stranger, Stranger::State state, std::string_view reason) {
  stranger.state = state;
  stranger.until = parts_.io.Now() + kAwayFor;
  stranger.failed_at = parts_.spool.Clock();
  stranger.reason.assign(reason);
  stranger.hosts.clear();
  stranger.refused = 0;
  stranger.broken = 0;
  while (const std::optional<MessageRef> message = strangers_.Take(stranger)) {
    again_.push_back(*message);
  }
  strangers_.Settle(stranger);
  WantDispatch();
}

}  // namespace backstay
