// core/shard/report_visit.cc -- connections to strangers: whose turn it is, and how they end.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/mark.h"
#include "core/shard/failure_text.h"
#include "core/shard/report_lane.h"

namespace backstay {
namespace {

// Connections that break without a word to their message, before the domain counts as away.
constexpr size_t kBrokenMax = 3;

}  // namespace

ReportLane::Visit::Visit(ReportLane& lane, const OutboundParts& parts, Stranger& visited)
    : stranger(&visited),
      since(lane.parts_.io.Now()),
      delivery(parts, lane.parts_.spool, lane.hostname_, lane.parts_.log.NextConnection(), *this),
      lane_(lane) {}

bool ReportLane::Visit::Eligible(const Attempt& attempt, uint32_t recipient, DomainId domain) {
  return lane_.queue_.Eligible(attempt, recipient, domain, lane_.parts_.spool.Clock());
}

void ReportLane::Visit::OnUnreadable(const Attempt& attempt, ReadOutcome outcome) {
  lane_.Release(attempt.message);
  lane_.SetAside(attempt.message, outcome);
}

void ReportLane::Visit::OnOutcomes(const Attempt& attempt, const AttemptReport& report) {
  for (size_t position = 0; position < report.recipients.size(); ++position) {
    const Outcome& outcome = report.outcomes[position];
    const bool is_of_connection = outcome.kind == Outcome::Kind::kDeferred && !outcome.own;
    if (is_of_connection && (lane_.stopping_ || !IsLostInContent(outcome))) {
      return lane_.Return(*this, attempt);  // nothing was said of the message
    }
    stranger->broken = is_of_connection ? stranger->broken : 0;
    lane_.Record(attempt, report, position, lane_.parts_.spool.Clock());
  }
  lane_.Release(attempt.message);
  lane_.WantDispatch();  // somebody may stand in line for this connection
}

// ---- whose turn it is ----

// It has mail, and it is known where it is: it stands in line.
void ReportLane::Advance(Stranger& stranger) {
  if (stranger.visited || stranger.in_line || stranger.waiting.empty() ||
      stranger.state != Stranger::State::kFound) {
    return;
  }
  if (parts_.io.Now() >= stranger.until) {
    Search(stranger);
  } else {
    stranger.in_line = true;
    in_line_.push_back(stranger.number);
  }
  WantDispatch();
}

void ReportLane::StartVisits() {
  while (!in_line_.empty() && visits_.size() < visits_max_ && HasRoomForSettles(visits_max_)) {
    Stranger* const stranger = strangers_.Find(in_line_.front());
    in_line_.pop_front();
    if (stranger == nullptr) {
      continue;  // its mail was taken back, and then it was forgotten
    }
    stranger->in_line = false;
    if (stranger->waiting.empty() || stranger->state != Stranger::State::kFound) {
      continue;
    }
    stranger->visited = true;
    strangers_.Settle(*stranger);
    // A domain of ours has its TLS as it is configured.
    const Route* const primary = home_.PrimaryOf(stranger->name);
    visits_.push_back(std::make_unique<Visit>(
        *this, primary != nullptr ? primary->outbound() : outbound_, *stranger));
    visits_.back()->delivery.Connect(stranger->hosts[stranger->host]);
  }
  if (!in_line_.empty() && visits_.size() >= visits_max_) {
    MakeRoom();
  }
  for (const std::unique_ptr<Visit>& visit : visits_) {
    if (visit->stranger != nullptr && !visit->stranger->waiting.empty()) {
      visit->delivery.Poke();
    }
  }
}

// For whoever stands in line: the idle go, and of the others the one that took longest for what it
// is at, if that is too long.
void ReportLane::MakeRoom() {
  Visit* slowest = nullptr;
  for (const std::unique_ptr<Visit>& visit : visits_) {
    if (visit->stranger == nullptr || visit->is_left) {
      continue;
    }
    if (visit->delivery.resting() && visit->stranger->waiting.empty()) {
      visit->is_left = true;
      visit->delivery.StopWhenIdle();
    } else if (slowest == nullptr || visit->since < slowest->since) {
      slowest = visit.get();
    }
  }
  if (slowest != nullptr && parts_.io.Now() - slowest->since >= kPatience) {
    MARK("slow_stranger_left");
    slowest->is_left = true;
    slowest->delivery.TimeOut();
  }
}

void ReportLane::BuryFinished() {
  std::erase_if(visits_, [](const auto& visit) { return visit->delivery.finished(); });
}

std::optional<Attempt> ReportLane::NextOf(Visit& visit) {
  while (!stopping_ && HasRoomForSettles(visits_max_)) {
    const std::optional<MessageRef> message = strangers_.Take(*visit.stranger);
    if (!message.has_value()) {
      break;
    }
    const Attempt attempt{.message = *message};
    if (queue_.in_flight(*message)) {
      queue_.MeetAgain(*message);
      continue;
    }
    if (parts_.spool.IsLive(*message, 0) &&
        queue_.Eligible(attempt, 0, parts_.spool.DomainOf(*message, 0), parts_.spool.Clock())) {
      queue_.Claim(*message);
      visit.since = parts_.io.Now();
      return attempt;
    }
  }
  return std::nullopt;
}

// ---- how they end ----

void ReportLane::Return(Visit& visit, const Attempt& attempt) {
  Release(attempt.message);
  strangers_.Return(*visit.stranger, attempt.message);
}

void ReportLane::OnVisitOver(Visit& visit) {
  Stranger& stranger = *std::exchange(visit.stranger, nullptr);
  const OutboundConnection& connection = visit.delivery.connection();
  const ClientSession::Failure failure = connection.session().failure();
  stranger.visited = false;
  strangers_.Settle(stranger);
  WantDispatch();
  if (stopping_) {
    return;
  }
  const bool is_orderly = failure == ClientSession::Failure::kNone && !connection.deadline_passed();
  if (!connection.greeted()) {
    OnRefused(stranger, connection);
  } else if (!is_orderly && visit.delivery.was_attempting() && ++stranger.broken >= kBrokenMax) {
    MARK("stranger_breaks_off");
    TurnAway(stranger, Stranger::State::kAway, FailureThere(connection));
  }
  Advance(stranger);
}

// The next of its hosts has its turn; one that has our name is none of them.
void ReportLane::OnRefused(Stranger& stranger, const OutboundConnection& connection) {
  if (connection.session().failure() == ClientSession::Failure::kSelf) {
    MARK("stranger_is_ourselves");
    std::erase_if(stranger.hosts,
                  [&](const PrimaryHost& host) { return host.address == connection.address(); });
    stranger.host = 0;
    if (stranger.hosts.empty()) {
      TurnAway(stranger, Stranger::State::kNobody, "its hosts greet with our own name");
    }
    return;
  }
  if (connection.tls_fallback() && ++stranger.broken < kBrokenMax) {
    return;  // its next connection does without
  }
  stranger.host = (stranger.host + 1) % stranger.hosts.size();
  if (++stranger.refused >= stranger.hosts.size()) {
    TurnAway(stranger, Stranger::State::kAway, FailureThere(connection));
  }
}

}  // namespace backstay
