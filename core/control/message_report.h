// core/control/message_report.h -- queued messages of one shard, oldest first in each domain.
//
// A list is of what is to be delivered; one message is also told if only its report is owed.
// A question (core/shard/question.h): asked again while has_more(), it goes on where it was.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/control/message_row.h"
#include "core/shard/question.h"

namespace backstay {

class MessageReport final : public ShardQuestion {
 public:
  // Of these domains (none: of all), what waits at least for `older` by the spool clock.
  MessageReport(std::vector<std::string> domains, absl::Duration older)
      : wanted_(std::move(domains)), older_(older) {}
  // This one, if anything of it is owed.
  explicit MessageReport(MessageRef only) : only_(only) {}

  std::optional<MessageRef> Next(const ShardView& view) override;
  void OnHead(const ShardView& view, MessageRef message, const MessageHead* head) override;

  // Of the last answer only.
  const std::vector<MessageRow>& rows() const { return rows_; }
  bool has_more() const { return has_more_; }
  bool is_queue_ready() const { return is_queue_ready_; }

  // The next answer's rows.
  void Clear() {
    rows_.clear();
    messages_read_ = 0;
  }

 private:
  std::optional<DomainId> Domain(const ShardView& view) const;
  bool IsTold(const ShardView& view, MessageRef message, const MessageHead& head) const;
  bool IsWanted(std::string_view domain) const;
  MessageRow Describe(const ShardView& view, MessageRef message, const MessageHead& head) const;

  const std::vector<std::string> wanted_;
  const absl::Duration older_;
  const std::optional<MessageRef> only_;
  std::vector<MessageRow> rows_;
  size_t messages_read_ = 0;
  bool has_more_ = false;
  bool is_queue_ready_ = false;
  size_t domain_ = 0;                // index into wanted_, or into RouteTable::domains()
  std::optional<MessageRef> after_;  // in that domain
};

}  // namespace backstay
