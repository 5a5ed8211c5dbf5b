// core/control/rule_job.h -- the operator's order: which domains, how many recipients, one rule
// after the other, one line in the log.
//
// Rules of one order stand together: another order waits until the last of them is on every disk.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/control/job.h"
#include "core/control/reply.h"
#include "core/control/report_job.h"

namespace backstay {

class RuleJob final : public AdminJob {
 public:
  RuleJob(AdminShared& shared, const AdminRequest& request, std::string who);

  bool Step(std::string& out) override;
  bool is_free() const override { return shared_.rule_turn != this && survey_.is_free(); }

 private:
  enum class Phase : uint8_t { kNaming, kTurn, kReady, kWorking, kEnded };

  void Advance();
  void Name();
  void GiveRule();
  void End(AdminResult result, std::string text);
  void OnOutcome(const RuleOutcome& outcome);
  void Log() const;

  AdminShared& shared_;
  AdminRequest request_;
  const std::string who_;
  Phase phase_ = Phase::kNaming;
  DomainSurvey survey_;
  std::vector<Rule> rules_;
  size_t rule_ = 0;  // the one under way
  OrderCount count_;
  // Of a delete: recipients that are to be delivered, of those that the rule under way speaks for.
  std::optional<uint64_t> live_;
  AdminResult result_ = AdminResult::kOk;
  std::string text_;
};

}  // namespace backstay
