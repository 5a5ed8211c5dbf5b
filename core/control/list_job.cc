// core/control/list_job.cc -- one question at a time.
#include "core/control/list_job.h"

#include <fmt/format.h>

namespace backstay {

ListJob::ListJob(AdminShared& shared, const AdminRequest& request)
    : shared_(shared),
      request_(request),
      survey_(shared.desk, 1),
      is_named_(request.destinations.empty()),
      shard_(request.id.has_value() ? request.id->shard : 0),
      messages_left_(request.id.has_value() ? 1 : request.messages_max) {}

bool ListJob::Step(std::string& out) {
  if (request_.wants_whole && !shared_.desk.ready() && report_ == nullptr) {
    return false;  // as an order for domains waits
  }
  if (!is_named_) {  // no domains would be a list of all of them
    if (const std::optional<bool> ended = survey_.Name(request_, out); ended.has_value()) {
      return *ended;
    }
    is_named_ = true;
  }
  if (report_ != nullptr && report_->state == ShardQuestion::State::kAsked) {
    return false;
  }
  if (report_ != nullptr && report_->state == ShardQuestion::State::kRefused) {
    out += ResultLine(AdminResult::kBusy, "the daemon is ending");
    return true;
  }
  if (report_ != nullptr) {
    for (const MessageRow& row : report_->rows()) {
      // An id of another node's spool may name a place of this one.
      const bool is_wanted = !request_.id.has_value() || row.queue_id == IdText();
      if (messages_left_ > 0 && is_wanted) {
        out += MessageLine(row);
        --messages_left_;
        ++messages_;
      }
    }
    is_queue_ready_ = is_queue_ready_ && report_->is_queue_ready();
    report_->Clear();
    if (!report_->has_more()) {
      report_.reset();
      ++shard_;
    }
  }
  const bool is_over = request_.id.has_value() && shard_ != request_.id->shard;
  if (messages_left_ == 0 || shard_ >= shared_.desk.shards() || is_over) {
    return End(out);
  }
  if (report_ == nullptr) {
    report_ =
        request_.id.has_value()
            ? std::make_unique<MessageReport>(MessageRef{request_.id->segment, request_.id->block})
            : std::make_unique<MessageReport>(request_.domains, request_.older);
  }
  shared_.desk.Ask(shard_, *report_);
  return false;
}

std::string ListJob::IdText() const {
  const auto id = request_.id->ToText();
  return {id.data(), id.size()};
}

bool ListJob::End(std::string& out) const {
  if (request_.id.has_value() && messages_ == 0) {
    out += ResultLine(AdminResult::kUnknown,
                      fmt::format("{} does not wait here: it is delivered, reported, discarded or "
                                  "deleted; or it never was; or its place is damaged: `backstay "
                                  "spool verify` says so",
                                  IdText()));
  } else {
    out += ReportLine(is_queue_ready_);
  }
  return true;
}

}  // namespace backstay
