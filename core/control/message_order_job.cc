// core/control/message_order_job.cc -- ask, ask again until it is on disk, the next shard.
#include "core/control/message_order_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/log.h"

namespace backstay {

MessageOrderJob::MessageOrderJob(AdminShared& shared, const AdminRequest& request, std::string who)
    : shared_(shared), request_(request), who_(std::move(who)) {
  for (const QueueId& id : request_.ids) {
    if (id.shard < shared_.desk.shards()) {
      left_[id.shard].push_back(id);
    } else {
      ++unknown_;
    }
  }
}

bool MessageOrderJob::TakeAnswer() {
  if (!order_->is_done()) {
    return false;
  }
  count_.recipients += order_->recipients();
  count_.reports += order_->reports();
  messages_ += order_->messages();
  named_.insert(named_.end(), order_->named().begin(), order_->named().end());
  unknown_ += order_->unknown();
  is_on_disk_ = is_on_disk_ && !order_->takes_none();
  is_full_ = is_full_ || order_->is_full();
  order_.reset();
  left_.erase(left_.begin());
  return true;
}

bool MessageOrderJob::Step(std::string& out) {
  if (order_ != nullptr) {
    if (order_->state == ShardQuestion::State::kAsked) {
      return false;
    }
    if (order_->state == ShardQuestion::State::kRefused) {
      return End(AdminResult::kBusy, "the daemon is ending", out);
    }
    if (!TakeAnswer()) {
      shared_.desk.Ask(left_.begin()->first, *order_);
      return false;
    }
  }
  // Rules that a crash left on some shards only come first.
  if (!left_.empty() && !shared_.desk.ready()) {
    return false;
  }
  if (!left_.empty() && !is_full_) {
    Rule rule;
    rule.verb = *RuleOf(request_.verb);
    rule.keeps_age = request_.keeps_age;
    auto& [shard, ids] = *left_.begin();
    order_ = std::make_unique<MessageOrder>(rule, request_.is_dry_run, std::move(ids));
    is_under_way_ = !request_.is_dry_run;
    shared_.desk.Ask(shard, *order_);
    return false;
  }
  if (is_full_) {
    return End(AdminResult::kBusy,
               fmt::format("{} messages were told; more cannot have orders of their own: name "
                           "domains, or wait until some are settled",
                           messages_),
               out);
  }
  if (messages_ == 0) {
    return End(AdminResult::kUnknown, "none of them waits here", out);
  }
  if (!is_on_disk_) {
    return End(AdminResult::kNotStored,
               "in force, but the disk takes nothing: a restart before it does would forget it",
               out);
  }
  return End(AdminResult::kOk,
             unknown_ == 0 ? std::string() : fmt::format("{} do not wait here", unknown_), out);
}

// Counting changes nothing, and is not logged.
void MessageOrderJob::Log(const std::string& text) const {
  if (request_.is_dry_run) {
    return;
  }
  std::string names;
  const size_t told = std::min(named_.size(), MessageOrder::kNamedMax);
  for (size_t i = 0; i < told; ++i) {
    const auto id = named_[i].ToText();
    names += fmt::format(" {}", std::string_view(id.data(), id.size()));
  }
  if (messages_ > told) {
    names += fmt::format(" and {} more", messages_ - told);
  }
  LogInfo("admin: {}: queue {}{}{}{}: {} messages by id{}{}, {}{}{}", who_, NameOf(request_.verb),
          request_.keeps_age ? " --keep-age" : "", request_.chosen.empty() ? "" : " ",
          Escaped(request_.chosen), messages_, names.empty() ? "" : ":", names, InWords(count_),
          text.empty() ? "" : ", ", text);
}

bool MessageOrderJob::End(AdminResult result, const std::string& text, std::string& out) {
  is_under_way_ = false;
  Log(text);
  out += result == AdminResult::kOk ? CountLine(count_, text) : ResultLine(result, text);
  return true;
}

}  // namespace backstay
