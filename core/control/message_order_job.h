// core/control/message_order_job.h -- the operator's order for named messages: shard after shard,
// one line in the log.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/control/job.h"
#include "core/control/message_order.h"
#include "core/control/reply.h"

namespace backstay {

class MessageOrderJob final : public AdminJob {
 public:
  MessageOrderJob(AdminShared& shared, const AdminRequest& request, std::string who);

  bool Step(std::string& out) override;
  // Between two pieces, too, when it changes something: all of it was ordered.
  bool is_free() const override {
    return !is_under_way_ && (order_ == nullptr || order_->state != ShardQuestion::State::kAsked);
  }

 private:
  // False: the order for this shard goes on.
  bool TakeAnswer();
  void Log(const std::string& text) const;
  bool End(AdminResult result, const std::string& text, std::string& out);

  AdminShared& shared_;
  const AdminRequest request_;
  const std::string who_;
  std::map<size_t, std::vector<QueueId>> left_;  // by shard
  std::unique_ptr<MessageOrder> order_;
  OrderCount count_;
  uint64_t messages_ = 0;
  std::vector<QueueId> named_;  // of these, for the log
  uint64_t unknown_ = 0;
  bool is_under_way_ = false;
  bool is_on_disk_ = true;
  bool is_full_ = false;
};

}  // namespace backstay
