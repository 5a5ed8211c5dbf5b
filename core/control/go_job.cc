// core/control/go_job.cc -- the same question to every shard; each looks at its own routes.
#include "core/control/go_job.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/control/reply.h"

namespace backstay {

std::optional<MessageRef> GoQuestion::Next(const ShardView& view) {
  for (const DomainPlan& plan : view.snapshot.domains) {
    if (!IsMeant(view, plan)) {
      continue;
    }
    ++domains_;
    recipients_ += view.spool.LiveRecipients(view.spool.Intern(plan.name));
    if (Route* route = view.routes.RouteOf(plan); route != nullptr) {
      route->GoNow(/*ask_others=*/false);
    }
  }
  return std::nullopt;
}

// A destination is named by its list, one of its addresses, or one of its domains.
bool GoQuestion::IsMeant(const ShardView& view, const DomainPlan& plan) const {
  const auto names = [](const std::vector<std::string>& list, const std::string& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  const DestinationPlan& destination = view.snapshot.destinations[plan.destination];
  if (request_->is_all || names(request_->domains, plan.name) ||
      names(request_->destinations, destination.name)) {
    return true;
  }
  const Route* const route = view.routes.RouteOf(plan);
  return route != nullptr &&
         std::any_of(route->hosts().begin(), route->hosts().end(), [&](const PrimaryHost& host) {
           return names(request_->destinations, host.address.ToString());
         });
}

void GoQuestion::OnHead(const ShardView&, MessageRef, const MessageHead*) {
  UNREACHABLE();  // no message is asked for
}

GoJob::GoJob(AdminShared& shared, const AdminRequest& request, std::string who)
    : shared_(shared),
      request_(request),
      who_(std::move(who)),
      parts_(shared.desk.shards(), GoQuestion(request_)) {}

bool GoJob::is_free() const {
  return std::none_of(parts_.begin(), parts_.end(), [](const GoQuestion& part) {
    return part.state == ShardQuestion::State::kAsked;
  });
}

bool GoJob::Step(std::string& out) {
  uint64_t recipients = 0;
  bool is_done = true;
  for (size_t shard = 0; shard < parts_.size(); ++shard) {
    GoQuestion& part = parts_[shard];
    if (part.state == ShardQuestion::State::kRefused) {
      out += ResultLine(AdminResult::kBusy, "the daemon is ending");
      return true;
    }
    if (part.state == ShardQuestion::State::kNew) {
      shared_.desk.Ask(shard, part);
    }
    if (part.state != ShardQuestion::State::kDone) {
      is_done = false;  // the part is its shard's meanwhile
      continue;
    }
    recipients += part.recipients();
  }
  if (!is_done) {
    return false;
  }
  if (parts_.front().domains() == 0 && !request_.is_all) {
    out += ResultLine(AdminResult::kUnknown, "no domain of the configuration is meant by that");
    return true;
  }
  LogInfo("admin: {}: flush: {} domains, {} recipients", who_, parts_.front().domains(),
          recipients);
  out += CountLine(recipients);
  return true;
}

}  // namespace backstay
