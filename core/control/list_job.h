// core/control/list_job.h -- `queue list` and `queue show`: shard after shard, piece by piece.
//
// The next piece is asked for when the one before has gone to the client's buffer, so a slow reader
// costs one piece of memory.
#pragma once

#include <memory>

#include "core/control/job.h"
#include "core/control/message_report.h"
#include "core/control/reply.h"
#include "core/control/report_job.h"

namespace backstay {

class ListJob final : public AdminJob {
 public:
  ListJob(AdminShared& shared, const AdminRequest& request);

  bool Step(std::string& out) override;
  bool is_free() const override {
    return survey_.is_free() &&
           (report_ == nullptr || report_->state != ShardQuestion::State::kAsked);
  }

 private:
  std::string IdText() const;
  bool End(std::string& out) const;

  AdminShared& shared_;
  AdminRequest request_;
  DomainSurvey survey_;  // of one shard: which domains the destinations have
  bool is_named_;
  size_t shard_ = 0;
  uint64_t messages_left_;
  uint64_t messages_ = 0;
  bool is_queue_ready_ = true;             // of the shards asked so far
  std::unique_ptr<MessageReport> report_;  // to shard_
};

}  // namespace backstay
