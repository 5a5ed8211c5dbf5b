// core/control/job.cc -- which job answers which verb; and the shortest of them.
#include "core/control/job.h"

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/control/go_job.h"
#include "core/control/list_job.h"
#include "core/control/message_order_job.h"
#include "core/control/recipient_job.h"
#include "core/control/report_job.h"
#include "core/control/rule_job.h"

namespace backstay {
namespace {

class ReloadJob final : public AdminJob {
 public:
  ReloadJob(ReloadHome& home, bool is_forced, const std::string& who)
      : reloads_(is_forced ? home.forced : home.plain) {
    LogInfo("admin: {}: reload{}", who, is_forced ? " --force" : "");
    others_ = home.Begin(is_forced);
  }

  bool Step(std::string& out) override {
    if (reloads_.ended <= others_) {
      return false;
    }
    out += ResultLine(reloads_.refusal.empty() ? AdminResult::kOk : AdminResult::kFailed,
                      reloads_.refusal);
    return true;
  }
  bool is_free() const override { return true; }

 private:
  const ReloadHome::Reloads& reloads_;
  uint64_t others_ = 0;
};

}  // namespace

std::unique_ptr<AdminJob> MakeJob(AdminShared& shared, const AdminRequest& request,
                                  const std::string& who) {
  switch (request.verb) {
    case AdminVerb::kReset:
    case AdminVerb::kHold:
    case AdminVerb::kRelease:
    case AdminVerb::kBounce:
    case AdminVerb::kDelete:
      if (!request.ids.empty()) {
        return std::make_unique<MessageOrderJob>(shared, request, who);
      }
      return std::make_unique<RuleJob>(shared, request, who);
    case AdminVerb::kStop:
    case AdminVerb::kStart:
      return std::make_unique<RuleJob>(shared, request, who);
    case AdminVerb::kGo:
      return std::make_unique<GoJob>(shared, request, who);
    case AdminVerb::kStatus:
    case AdminVerb::kPrimaries:
      return std::make_unique<ReportJob>(shared, request.verb == AdminVerb::kStatus);
    case AdminVerb::kList:
    case AdminVerb::kShow:
      return std::make_unique<ListJob>(shared, request);
    case AdminVerb::kReload:
      return std::make_unique<ReloadJob>(shared.reload, request.is_forced, who);
    case AdminVerb::kRecipients:
    case AdminVerb::kImport:
    case AdminVerb::kForget:
      return std::make_unique<RecipientJob>(shared, request, who);
  }
  UNREACHABLE();
}

}  // namespace backstay
