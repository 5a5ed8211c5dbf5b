// core/control/report_job.h -- `status` and `primary list`: every shard is asked, the answers added
// up.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/control/domain_report.h"
#include "core/control/job.h"
#include "core/control/reply.h"

namespace backstay {

// Asks shards 0..count-1, each to the end of its list.
class DomainSurvey {
 public:
  DomainSurvey(RuleDesk& desk, size_t shards) : desk_(desk), reports_(shards) {}

  enum class Progress : uint8_t { kWaiting, kDone, kRefused };
  Progress Step();
  bool is_free() const;
  const DomainRows& rows() const { return rows_; }
  struct Naming {
    AdminResult result = AdminResult::kOk;
    std::string why;  // as a sentence, if it is another one
  };
  // Steps to the end, and adds the domains of the request's destinations to its domains, sorted: a
  // destination is named by its list, one of its addresses, or one of its domains. Nothing: not
  // yet. Each name of a verb that has no mail to count must mean something, and that of kGo a
  // primary.
  std::optional<Naming> Name(AdminRequest& request);
  // As a job's first steps. Nothing: all is named, go on. Otherwise what Step() returns; its end is
  // in `out`.
  std::optional<bool> Name(AdminRequest& request, std::string& out);
  const std::vector<DomainReport>& reports() const { return reports_; }

 private:
  // Nothing: done. Otherwise what is none.
  std::optional<std::string> NameDomains(AdminRequest& request) const;
  std::optional<std::string> FindUnknown(const AdminRequest& request) const;

  RuleDesk& desk_;
  std::vector<DomainReport> reports_;
  DomainRows rows_;
};

class ReportJob final : public AdminJob {
 public:
  ReportJob(AdminShared& shared, bool is_status)
      : shared_(shared), is_status_(is_status), survey_(shared.desk, shared.desk.shards()) {}

  bool Step(std::string& out) override;
  bool is_free() const override { return survey_.is_free(); }

 private:
  std::string Status();
  std::string Primaries() const;
  std::string Domains() const;

  AdminShared& shared_;
  const bool is_status_;
  DomainSurvey survey_;
};

}  // namespace backstay
