// core/control/recipient_job.h -- what is known of recipients: taught, forgotten, told.
//
// Every shard is asked the same and answers for the addresses that are its own.
#pragma once

#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "core/control/job.h"
#include "core/control/reply.h"
#include "core/shard/question.h"

namespace backstay {

// The part of one shard. Counting looks at one slice of the table a turn.
class RecipientInquiry final : public ShardQuestion {
 public:
  explicit RecipientInquiry(const AdminRequest& request) : request_(request) {}

  std::optional<MessageRef> Next(const ShardView& view) override;
  void OnHead(const ShardView& view, MessageRef message, const MessageHead* head) override;

  bool has_more() const { return has_more_; }
  bool is_loaded() const { return is_loaded_; }
  uint64_t changed() const { return changed_; }
  const std::vector<KnownRow>& rows() const { return rows_; }
  // By domain; of an address or domain that is not configured: "".
  const absl::btree_map<std::string, RecipientCounts>& counts() const { return counts_; }

 private:
  void Change(const ShardView& view);
  void CountChange(const ShardView& view);
  void Find(const ShardView& view);
  void CountSlice(const ShardView& view);

  const AdminRequest& request_;
  bool has_more_ = false;
  bool is_loaded_ = false;
  size_t slice_ = 0;
  uint64_t changed_ = 0;
  std::vector<KnownRow> rows_;
  absl::btree_map<std::string, RecipientCounts> counts_;
};

class RecipientJob final : public AdminJob {
 public:
  RecipientJob(AdminShared& shared, const AdminRequest& request, const std::string& who);

  bool Step(std::string& out) override;
  bool is_free() const override;

 private:
  std::string Answer() const;

  AdminShared& shared_;
  const AdminRequest request_;
  std::vector<RecipientInquiry> parts_;
};

}  // namespace backstay
