// core/shard/transaction.h -- one mail transaction being received: envelope, staged content, its
// commit.
//
// Pooled by the shard, because idle connections must not pay for it: taken at MAIL, given back when
// the transaction is over and no commit is outstanding. It outlives its connection when a client
// vanishes between its end of data and our sync (the message is then stored all the same:
// reliability row 55).
//
// Life:  Begin, AddRecipient*, Append*, then Finish or Abandon; the owner is told by
//        OnTransactionStored.
// Owns:  the envelope (strings keep their capacity), the writer.
// Turn:  OnTransactionStored and OnTransactionFree come from the spool's turn, never from inside
//        Finish.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "core/shard/event_log.h"
#include "core/smtp/envelope.h"
#include "core/smtp/extensions.h"
#include "core/smtp/message_id.h"
#include "io/io.h"
#include "spool/message_writer.h"

namespace backstay {

class Transaction;

// The connection that receives the mail.
class TransactionOwner {
 public:
  // `id` is what the 250 names.
  virtual void OnTransactionStored(CommitResult result, std::string_view id) = 0;

 protected:
  ~TransactionOwner() = default;
};

// The pool.
class TransactionHome {
 public:
  virtual EventLog& Log() = 0;
  // Nothing is outstanding: it may be used again.
  virtual void OnTransactionFree(Transaction& transaction) = 0;

 protected:
  ~TransactionHome() = default;
};

class Transaction final : private MessageSource {
 public:
  Transaction(Io& io, Spool& spool, TransactionHome& home);
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  struct Client {
    std::string_view hostname;  // ours
    std::string_view helo;
    std::string_view address;          // SocketAddress::AddressString
    std::string_view address_literal;  // SocketAddress::AddressLiteral
    uint16_t port = 0;
    bool extended = true;     // EHLO: "with ESMTP"
    std::string_view tls;     // "TLSv1.3", static: "with ESMTPS"; empty: clear text
    uint64_t connection = 0;  // its number in the log
  };

  void Begin(TransactionOwner& owner, std::string_view reverse_path, const MailParams& params);
  // The disk has room for what was announced, or for a usual message.
  bool HasRoom() const { return writer_.HasRoom(announced_bytes_); }
  // It is this message's from now on; false: it is gone. Not before content comes: a number costs a
  // client nothing, and those who only announce would close the door to all others.
  bool ClaimRoom() { return writer_.Claim(announced_bytes_); }
  void AddRecipient(std::string_view address, const RcptParams& params);
  // One that is not decided yet; then AddPending() or nothing.
  void SetPending(std::string_view address, const RcptParams& params);
  const Recipient& pending() const { return pending_; }
  void AddPending();
  size_t recipients() const { return envelope_.recipients.size(); }
  std::string_view reverse_path() const { return envelope_.reverse_path; }
  // By DNS, or as a proxy says; empty: not known.
  void NameClient(std::string_view name) { envelope_.client_name.assign(name); }
  void Append(Bytes content);
  // `client` is copied.
  void Finish(const Client& client, bool has_dot_lines);
  // Behind Finish: the owner is told nothing any more, and what the disk may take yet is discarded,
  // because the client sends it again (reliability row 170).
  void Refuse();
  // The owner is told nothing any more. Gives the transaction back, now or after its commit.
  void Abandon();

 private:
  MessageDescription Describe(const QueueId& id) override;
  void OnCommitted(CommitResult result, MessageRef message) override;
  void CollectDomains();
  void LogQueued();
  void Discard(MessageRef message);
  void Reset();

  Io& io_;
  Spool& spool_;
  TransactionHome& home_;
  TransactionOwner* owner_ = nullptr;
  MessageWriter writer_;
  bool finished_ = false;
  bool is_refused_ = false;
  bool has_dot_lines_ = false;
  std::string_view tls_;
  uint64_t connection_ = 0;
  uint64_t announced_bytes_ = 0;
  uint64_t bytes_ = 0;
  MessageIdReader message_id_;
  Envelope envelope_;
  Recipient pending_;  // not decided yet
  std::string hostname_;
  std::string address_literal_;
  std::array<char, 16> id_{};
  std::string encoded_;
  std::string received_;
  std::string domain_;
  std::vector<std::string> domain_names_;  // [0, domains_used_) are in use
  size_t domains_used_ = 0;
  std::vector<std::string_view> domains_;
  std::vector<uint16_t> recipient_domains_;
};

}  // namespace backstay
