// core/control/go_job.cc -- what is meant, then the same question to every shard; each looks at its
// own routes.
#include "core/control/go_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/control/reply.h"

namespace backstay {
namespace {

constexpr size_t kNamedMax = 8;  // in a line of the log

}  // namespace

std::optional<MessageRef> GoQuestion::Next(const ShardView& view) {
  for (const DomainPlan& plan : view.snapshot.domains) {
    if (!request_->is_all &&
        !std::binary_search(request_->domains.begin(), request_->domains.end(), plan.name)) {
      continue;
    }
    ++domains_;
    const DomainId domain = view.spool.Intern(plan.name);
    recipients_ += view.spool.LiveRecipients(domain);
    // Whom an operator or a breaker has stopped nobody calls until `primary release`.
    Route* const route = view.routes.RouteOf(plan);
    if (route != nullptr && view.spool.StopOf(domain) == DomainStop::kNone) {
      route->LookNow();
    }
  }
  return std::nullopt;
}

void GoQuestion::OnHead(const ShardView&, MessageRef, const MessageHead*) {
  UNREACHABLE();  // no message is asked for
}

// Of destinations and domains the shards' common configuration tells, so one of them is asked.
GoJob::GoJob(AdminShared& shared, const AdminRequest& request, std::string who)
    : shared_(shared),
      request_(request),
      who_(std::move(who)),
      survey_(shared.desk, 1),
      is_named_(request.is_all),
      parts_(shared.desk.shards(), GoQuestion(request_)) {}

bool GoJob::is_free() const {
  return survey_.is_free() && std::none_of(parts_.begin(), parts_.end(), [](const auto& part) {
           return part.state == ShardQuestion::State::kAsked;
         });
}

bool GoJob::Step(std::string& out) {
  if (!is_named_) {
    if (const std::optional<bool> ended = survey_.Name(request_, out); ended.has_value()) {
      return *ended;
    }
    is_named_ = true;
  }
  return Work(out);
}

// `queue flush` and `primary probe` are one order.
std::string GoJob::WhatWasSaid() const {
  std::string said = "queue flush or primary probe";
  if (request_.is_all) {
    return said + " --all";
  }
  const size_t named = std::min(request_.domains.size(), kNamedMax);
  for (size_t i = 0; i < named; ++i) {
    said += " " + Escaped(request_.domains[i]);
  }
  if (request_.domains.size() > named) {
    said += fmt::format(" and {} more", request_.domains.size() - named);
  }
  return said;
}

bool GoJob::Work(std::string& out) {
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
  LogInfo("admin: {}: {}: {}", who_, WhatWasSaid(), InWords({recipients}));
  out += CountLine({recipients});
  return true;
}

}  // namespace backstay
