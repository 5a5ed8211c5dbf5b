// core/control/rule_job.cc -- name, wait for the turn, give rule after rule, tell.
#include "core/control/rule_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_join.h"
#include "core/base/check.h"
#include "core/base/log.h"

namespace backstay {
namespace {

std::string CommandOf(AdminVerb verb) {
  switch (verb) {
    case AdminVerb::kStop:
      return "primary hold";
    case AdminVerb::kStart:
      return "primary release";
    default:
      return fmt::format("queue {}", NameOf(verb));
  }
}

}  // namespace

// Of destinations the shards' common configuration tells, so one of them is asked.
RuleJob::RuleJob(AdminShared& shared, const AdminRequest& request, std::string who)
    : shared_(shared),
      request_(request),
      who_(std::move(who)),
      survey_(shared.desk, IsOfDomains(request.verb) ? shared.desk.shards() : 1) {}

bool RuleJob::Step(std::string& out) {
  for (Phase before = Phase::kEnded; before != phase_ && phase_ != Phase::kEnded;) {
    before = phase_;
    Advance();
  }
  if (phase_ != Phase::kEnded) {
    return false;
  }
  out += result_ == AdminResult::kOk ? CountLine(count_) : ResultLine(result_, text_);
  return true;
}

void RuleJob::Advance() {
  switch (phase_) {
    case Phase::kNaming:
      return Name();
    case Phase::kTurn:
      if (shared_.rule_turn == nullptr) {
        shared_.rule_turn = this;
        phase_ = Phase::kReady;
      }
      return;
    case Phase::kReady:
      if (shared_.desk.ready()) {
        GiveRule();
        phase_ = Phase::kWorking;
      }
      return;
    case Phase::kWorking:
      if (shared_.desk.result().has_value()) {
        OnOutcome(*shared_.desk.result());
      }
      return;
    case Phase::kEnded:
      break;
  }
  UNREACHABLE();
}

void RuleJob::Name() {
  if (IsOfDomains(request_.verb) && !shared_.desk.ready()) {
    return;  // what is queued is not known yet
  }
  if (!request_.destinations.empty() || IsOfDomains(request_.verb)) {
    const std::optional<DomainSurvey::Naming> naming = survey_.Name(request_);
    if (!naming.has_value()) {
      return;
    }
    if (naming->result != AdminResult::kOk) {
      return End(naming->result, naming->why);
    }
  }
  ASSERT(request_.is_all == request_.domains.empty());  // no domains would be a rule for all
  rules_ = RulesOf(request_);
  phase_ = Phase::kTurn;
}

// A delete also speaks for recipients of whom only a report is owed, so those that are to be
// delivered are counted first, as another rule counts. What fails in between was one of these.
void RuleJob::GiveRule() {
  Rule rule = rules_[rule_];
  const bool counts_live = rule.verb == RuleVerb::kDelete && !live_.has_value();
  rule.verb = counts_live ? RuleVerb::kReset : rule.verb;
  shared_.desk.Begin(std::move(rule), counts_live || request_.is_dry_run);
}

void RuleJob::OnOutcome(const RuleOutcome& outcome) {
  if (request_.verb == AdminVerb::kDelete && !live_.has_value()) {
    live_ = outcome.recipients;
    phase_ = Phase::kReady;
    return;
  }
  const uint64_t recipients = std::min(outcome.recipients, live_.value_or(UINT64_MAX));
  live_.reset();
  count_.recipients += recipients;
  count_.reports += outcome.recipients - recipients;
  if (!outcome.not_on_disk.empty()) {
    return End(AdminResult::kNotStored,
               fmt::format("in force, but the disk takes nothing of shard {}: a restart before it "
                           "does would forget it; {} of {} rules were given",
                           absl::StrJoin(outcome.not_on_disk, ", "), rule_ + 1, rules_.size()));
  }
  if (++rule_ < rules_.size()) {
    phase_ = Phase::kReady;
    return;
  }
  End(AdminResult::kOk, "");
}

void RuleJob::End(AdminResult result, std::string text) {
  result_ = result;
  text_ = std::move(text);
  if (shared_.rule_turn == this) {
    shared_.rule_turn = nullptr;
    Log();
  }
  phase_ = Phase::kEnded;
}

// Counting changes nothing, and is not logged.
void RuleJob::Log() const {
  if (request_.is_dry_run) {
    return;
  }
  constexpr size_t kNamesMax = 8;
  std::string names;
  for (size_t i = 0; i < std::min(request_.domains.size(), kNamesMax); ++i) {
    names += " " + Escaped(request_.domains[i]);
  }
  if (request_.domains.size() > kNamesMax) {
    names += fmt::format(" and {} more", request_.domains.size() - kNamesMax);
  }
  LogInfo("admin: {}: {}{}{}{}: {}{}{}", who_, CommandOf(request_.verb),
          request_.keeps_age ? " --keep-age" : "",
          request_.accepts_refusals ? " --accept-refusals" : "", names.empty() ? " --all" : names,
          InWords(count_), text_.empty() ? "" : ", ", text_);
}

}  // namespace backstay
