// core/control/message_report.cc -- walks the log's index domain by domain.
#include "core/control/message_report.h"

#include <algorithm>

namespace backstay {
namespace {

// One message is read a turn; so many rows wait in memory for their reader.
constexpr size_t kMessagesMax = 64;
// Look-ups in one turn, when there are many domains without mail, or much mail that is too young.
constexpr size_t kLookUpsMax = 4096;

}  // namespace

std::optional<DomainId> MessageReport::Domain(const ShardView& view) const {
  if (!wanted_.empty()) {
    return domain_ < wanted_.size() ? std::optional(view.spool.Intern(wanted_[domain_]))
                                    : std::nullopt;
  }
  const std::vector<DomainId>& seen = view.routes.domains();
  return domain_ < seen.size() ? std::optional(seen[domain_]) : std::nullopt;
}

std::optional<MessageRef> MessageReport::Next(const ShardView& view) {
  has_more_ = false;
  is_queue_ready_ = view.is_queue_ready;
  if (only_.has_value()) {
    return messages_read_ == 0 && view.spool.IsOwed(*only_) ? only_ : std::nullopt;
  }
  for (size_t looked_at = 0; looked_at < kLookUpsMax; ++looked_at) {
    const std::optional<DomainId> domain = Domain(view);
    if (!domain.has_value()) {
      return std::nullopt;
    }
    has_more_ = true;
    if (messages_read_ >= kMessagesMax) {
      return std::nullopt;
    }
    const std::optional<MessageRef> next = view.spool.NextLive(*domain, after_);
    if (next.has_value()) {
      after_ = next;
      if (view.spool.Clock() - view.spool.Arrival(*next) >= older_) {
        return next;
      }
      continue;
    }
    ++domain_;
    after_.reset();
    has_more_ = Domain(view).has_value();
  }
  return std::nullopt;
}

void MessageReport::OnHead(const ShardView& view, MessageRef message, const MessageHead* head) {
  ++messages_read_;
  if (head == nullptr) {
    MessageRow row;  // its next delivery settles what to do with it
    const auto id = view.spool.Id(message).ToText();
    row.queue_id.assign(id.data(), id.size());
    rows_.push_back(std::move(row));
    return;
  }
  if (only_.has_value() || IsTold(view, message, *head)) {
    rows_.push_back(Describe(view, message, *head));
  }
}

// A message with recipients in several of the domains is told once, with the first of them. What is
// settled meanwhile may tell it twice.
bool MessageReport::IsTold(const ShardView& view, MessageRef message,
                           const MessageHead& head) const {
  const std::optional<DomainId> domain = Domain(view);
  for (uint32_t i = 0; i < head.recipient_domains.size(); ++i) {
    const std::string_view name = head.domains[head.recipient_domains[i]];
    if (IsWanted(name) && view.spool.IsLive(message, i)) {
      return view.spool.Intern(name) == domain;
    }
  }
  return false;
}

bool MessageReport::IsWanted(std::string_view domain) const {
  return wanted_.empty() || std::find(wanted_.begin(), wanted_.end(), domain) != wanted_.end();
}

// An order for the message is one for all of its recipients, whatever the list was of.
MessageRow MessageReport::Describe(const ShardView& view, MessageRef message,
                                   const MessageHead& head) const {
  MessageRow row = DescribeMessage(view, message, head, /*with_pending=*/only_.has_value());
  for (RecipientRow& recipient : row.recipients) {
    recipient.is_elsewhere = !IsWanted(recipient.domain);
  }
  return row;
}

}  // namespace backstay
