// core/shard/transaction.cc -- from MAIL to the commit of one message.
#include "core/shard/transaction.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"
#include "core/shard/message_flags.h"
#include "core/smtp/address.h"
#include "core/smtp/trace_fields.h"

namespace backstay {
namespace {

// What is claimed for a message without SIZE. Most are smaller; a larger one takes its chance with
// the reserve.
constexpr uint64_t kUnannouncedBytes = 64_KiB;

}  // namespace

Transaction::Transaction(Io& io, Spool& spool, TransactionHome& home)
    : io_(io), spool_(spool), home_(home), writer_(spool) {}

void Transaction::Begin(TransactionOwner& owner, std::string_view reverse_path,
                        const MailParams& params) {
  ASSERT(owner_ == nullptr);
  ASSERT(!finished_);
  owner_ = &owner;
  announced_bytes_ = params.size_bytes.value_or(kUnannouncedBytes);
  envelope_.reverse_path.assign(reverse_path);
  envelope_.body = params.body;
  envelope_.smtputf8 = params.smtputf8;
  envelope_.return_content = params.return_content;
  envelope_.envelope_id.assign(params.envelope_id);
  message_id_.Start();
}

void Transaction::Append(Bytes content) {
  message_id_.Consume(content);
  writer_.Append(content);
}

// A recipient named twice is kept once, as named first: one delivery (reliability row 48).
void Transaction::AddRecipient(std::string_view address, const RcptParams& params) {
  for (const Recipient& recipient : envelope_.recipients) {
    if (recipient.address == address) {
      return;
    }
  }
  Recipient& added = envelope_.AddRecipient();
  added.address.assign(address);
  added.original_recipient.assign(params.original_recipient);
  added.notify = params.notify;
}

void Transaction::SetPending(std::string_view address, const RcptParams& params) {
  pending_.address.assign(address);
  pending_.original_recipient.assign(params.original_recipient);
  pending_.notify = params.notify;
}

void Transaction::AddPending() {
  AddRecipient(pending_.address, {pending_.notify, pending_.original_recipient});
}

void Transaction::Finish(const Client& client, bool has_dot_lines) {
  ASSERT(!finished_);
  finished_ = true;
  has_dot_lines_ = has_dot_lines;
  tls_ = client.tls;
  connection_ = client.connection;
  hostname_.assign(client.hostname);
  address_literal_.assign(client.address_literal);
  envelope_.client_address.assign(client.address);
  envelope_.client_helo.assign(client.helo);
  envelope_.client_port = client.port;
  envelope_.client_extended = client.extended;
  writer_.Finish(*this);
}

void Transaction::Refuse() {
  ASSERT(finished_);
  owner_ = nullptr;
  if (writer_.Withdraw()) {
    return Reset();
  }
  is_refused_ = true;
}

void Transaction::Abandon() {
  owner_ = nullptr;
  if (finished_) {
    return;  // OnCommitted gives it back
  }
  writer_.Abandon();
  Reset();
}

MessageDescription Transaction::Describe(const QueueId& id) {
  id_ = id.ToText();
  const WallTime arrival = io_.WallNow();
  envelope_.arrival_wall_nanoseconds = arrival.nanoseconds();
  CollectDomains();
  encoded_.clear();
  EncodeEnvelope(envelope_, encoded_);
  received_.clear();
  Trace trace;
  trace.helo = envelope_.client_helo;
  trace.client_address_literal = address_literal_;
  trace.hostname = hostname_;
  trace.client_name = envelope_.client_name;
  trace.extended = envelope_.client_extended;
  trace.secure = !tls_.empty();
  trace.smtputf8 = envelope_.smtputf8;
  trace.queue_id = std::string_view(id_.data(), id_.size());
  if (envelope_.recipients.size() == 1) {
    trace.recipient = envelope_.recipients[0].address;
  }
  trace.time = arrival;
  AppendReceived(trace, received_);
  bytes_ = writer_.content_bytes() + received_.size();

  MessageDescription description;
  description.envelope = AsBytes(encoded_);
  description.prefix = AsBytes(received_);
  description.domains = domains_;
  description.recipient_domains = recipient_domains_;
  description.arrival_wall = arrival;
  description.flags =
      static_cast<uint16_t>((has_dot_lines_ ? MessageFlags::kDotLines : 0) |
                            (envelope_.reverse_path.empty() ? MessageFlags::kNullReversePath : 0));
  return description;
}

// Fills domains_ and recipient_domains_. Few distinct domains a message: a linear search wins.
void Transaction::CollectDomains() {
  domains_used_ = 0;
  recipient_domains_.clear();
  for (const Recipient& recipient : envelope_.recipients) {
    AssignDomainOf(recipient.address, domain_);
    const auto end = domain_names_.begin() + static_cast<std::ptrdiff_t>(domains_used_);
    const auto found = std::find(domain_names_.begin(), end, domain_);
    const auto index = static_cast<size_t>(found - domain_names_.begin());
    if (found == end) {
      if (domains_used_ == domain_names_.size()) {
        domain_names_.emplace_back();
      }
      domain_names_[domains_used_++].assign(domain_);
    }
    recipient_domains_.push_back(static_cast<uint16_t>(index));
  }
  domains_.clear();
  for (size_t index = 0; index < domains_used_; ++index) {
    domains_.push_back(domain_names_[index]);
  }
}

void Transaction::OnCommitted(CommitResult result, MessageRef message) {
  TransactionOwner* owner = std::exchange(owner_, nullptr);
  if (result == CommitResult::kStored && is_refused_) {
    Discard(message);
  } else if (result == CommitResult::kStored) {
    LogQueued();
  }
  if (owner != nullptr) {
    owner->OnTransactionStored(result, std::string_view(id_.data(), id_.size()));
  }
  Reset();
}

void Transaction::Discard(MessageRef message) {
  MARK("stored_too_late");
  LogWarning("{} was stored after its client was told 451: discarded",
             std::string_view(id_.data(), id_.size()));
  for (uint32_t i = 0; i < envelope_.recipients.size(); ++i) {
    const RecipientSettle settle{i, SettleKind::kDiscarded, {}};
    spool_.Settle(message, {&settle, 1});
  }
}

// Also for a client that has gone since: its message is stored.
void Transaction::LogQueued() {
  Event event;
  event.kind = EventKind::kQueued;
  event.connection = connection_;
  event.id = std::string_view(id_.data(), id_.size());
  event.client = envelope_.client_address;
  event.helo = envelope_.client_helo;
  event.protocol = ProtocolName(envelope_.client_extended, !tls_.empty(), envelope_.smtputf8);
  event.tls = tls_;
  event.sender = envelope_.reverse_path;
  event.recipients = envelope_.recipients;
  event.message_id = message_id_.value();
  event.bytes = bytes_;
  home_.Log().Add(event);
}

void Transaction::Reset() {
  finished_ = false;
  is_refused_ = false;
  envelope_.Clear();
  home_.OnTransactionFree(*this);
}

}  // namespace backstay
