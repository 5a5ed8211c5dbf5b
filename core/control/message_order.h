// core/control/message_order.h -- the operator's order for named messages, on one shard's thread.
//
// A question (core/shard/question.h): asked again while !is_done(), first for the next piece of its
// list, then until the disk has it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/shard/question.h"
#include "spool/queue_id.h"
#include "spool/rule.h"

namespace backstay {

class MessageOrder final : public ShardQuestion {
 public:
  // Messages in one turn: well under a millisecond.
  static constexpr size_t kPiece = 256;
  // Ids that are told for the log.
  static constexpr size_t kNamedMax = 8;

  MessageOrder(Rule rule, bool counts_only, std::vector<QueueId> ids)
      : rule_(std::move(rule)), counts_only_(counts_only), ids_(std::move(ids)) {}

  std::optional<MessageRef> Next(const ShardView& view) override;
  void OnHead(const ShardView&, MessageRef, const MessageHead*) override {}  // none is read

  // ---- of the last answer ----
  bool is_done() const { return at_ == ids_.size() && (is_on_disk_ || takes_none_ || is_full_); }
  uint64_t recipients() const { return recipients_; }
  // Of a delete: recipients of whom only a report was owed. They are not among recipients().
  uint64_t reports() const { return reports_; }
  uint64_t messages() const { return messages_; }
  const std::vector<QueueId>& named() const { return named_; }     // the first of these
  uint64_t unknown() const { return unknown_; }                    // ids of nothing that waits here
  bool takes_none() const { return takes_none_ && !is_on_disk_; }  // the device
  bool is_full() const { return is_full_; }  // too many messages have a word of their own

 private:
  void Take(const ShardView& view, const QueueId& id, std::vector<MessageRef>& changed);

  const Rule rule_;
  const bool counts_only_;
  const std::vector<QueueId> ids_;
  size_t at_ = 0;
  uint64_t recipients_ = 0;
  uint64_t reports_ = 0;
  uint64_t messages_ = 0;
  std::vector<QueueId> named_;
  uint64_t unknown_ = 0;
  uint64_t outcome_ = 0;  // on disk when the spool has synced so many
  bool is_on_disk_ = false;
  bool takes_none_ = false;
  bool is_full_ = false;
};

}  // namespace backstay
