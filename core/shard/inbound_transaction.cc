// core/shard/inbound_transaction.cc -- what a session asks while it receives a message.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "core/base/check.h"
#include "core/shard/inbound.h"

namespace backstay {
namespace {

constexpr std::string_view kQueuedAs = "Ok: queued as ";

}  // namespace

Reply InboundConnection::OnMail(std::string_view reverse_path, const MailParams& params) {
  const Reply verdict = home_.MayReceive();
  if (!verdict.positive()) {
    return verdict;
  }
  ASSERT(transaction_ == nullptr);
  transaction_ = &home_.TakeTransaction();
  transaction_->Begin(*this, reverse_path, params);
  if (!transaction_->ClaimRoom(params.size_bytes)) {
    DropTransaction();
    return replies::kNoSpace;
  }
  return replies::kMailOk;
}

// Who is no client of ours hears so for each recipient that we would have taken.
std::optional<Reply> InboundConnection::OnRcpt(std::string_view address, const RcptParams& params) {
  const RelayVerdict verdict = home_.Relay().Judge(address);
  if (!verdict.reply.positive()) {
    return verdict.reply;
  }
  const std::optional<Reply> welcome = home_.JudgeClient(client_, address, judged_);
  if (!welcome.has_value()) {
    transaction_->SetPending(address, params);
    awaits_client_ = true;
  }
  if (!welcome.has_value() || !welcome->positive()) {
    return welcome;
  }
  const Reply room = home_.MayQueue(verdict.domain);
  if (!room.positive()) {
    return room;
  }
  if (verdict.is_asked) {
    const std::optional<Reply> known =
        home_.JudgeRecipient(verdict.address, verdict.domain, judged_);
    if (!known.has_value()) {
      transaction_->SetPending(verdict.address, params);
    }
    if (!known.has_value() || !known->positive()) {
      return known;
    }
  }
  transaction_->AddRecipient(verdict.address, params);
  return replies::kRcptOk;
}

// The client is welcome: now the recipient. Nothing: that is to be asked, too.
std::optional<Reply> InboundConnection::GoOnWithPending() {
  const Recipient pending = transaction_->pending();
  return OnRcpt(pending.address, {pending.notify, pending.original_recipient});
}

void InboundConnection::OnRecipientJudged(const Reply& judged) {
  ASSERT(transaction_ != nullptr);
  std::optional<Reply> reply = judged;
  const std::string address = transaction_->pending().address;
  const bool was_client = std::exchange(awaits_client_, false);
  if (was_client && judged.positive()) {
    reply = GoOnWithPending();
  } else if (judged.positive()) {
    transaction_->AddPending();
  }
  if (!reply.has_value()) {
    return;
  }
  session_.FinishRcpt(address, *reply);
  last_progress_ = io_.Now();
  Pump();
  if (!closing_) {
    stream_.Resume();
  }
}

// What is not known of the client's name by now is not waited for.
Reply InboundConnection::OnData() {
  const bool is_told = told_ != nullptr && !told_->name.empty();
  transaction_->NameClient(is_told ? told_->name : home_.ClientName(client_));
  const Reply verdict = home_.MayReceive();
  in_message_ = verdict.positive();
  return verdict;
}

void InboundConnection::OnContent(Bytes decoded) {
  transaction_->Append(decoded);
}

void InboundConnection::OnEndOfData(bool has_dot_lines) {
  Transaction::Client client;
  const std::string address = client_.AddressString();
  const std::string literal = client_.AddressLiteral();
  client.hostname = params_.hostname;
  client.helo = session_.helo();
  client.address = address;
  client.address_literal = literal;
  client.port = client_.port();
  client.extended = session_.extended();
  if (told_ != nullptr) {
    client.helo = told_->helo.has_value() ? std::string_view(*told_->helo) : client.helo;
    client.extended = told_->extended.value_or(client.extended);
  }
  client.tls = TlsProtocol();
  client.connection = number_;
  transaction_->Finish(client, has_dot_lines);
}

void InboundConnection::OnReset() {
  in_message_ = false;  // our refusal, not its doing
  DropTransaction();
}

void InboundConnection::OnTransactionStored(CommitResult result, std::string_view id) {
  home_.OnMessageStored(result);
  in_message_ = false;
  switch (result) {
    case CommitResult::kStored: {
      home_.ClientConduct().Reward(client_key(), transaction_->recipients(), io_.Now());
      std::array<char, 64> text;  // on the stack: no allocation per message
      ASSERT(kQueuedAs.size() + id.size() <= text.size());
      const auto end = std::copy(id.begin(), id.end(),
                                 std::copy(kQueuedAs.begin(), kQueuedAs.end(), text.begin()));
      session_.FinishData({250, "2.0.0", std::string_view(text.begin(), end)});
      break;
    }
    case CommitResult::kFailed:
      session_.FinishData(replies::kCommitFailed);
      break;
    case CommitResult::kNoSpace:
      session_.FinishData(replies::kNoSpace);
      break;
  }
  transaction_ = nullptr;
  last_progress_ = io_.Now();
  if (!closing_) {
    stream_.Resume();  // replies to what stood behind the end of data leave in the same piece
  }
  Pump();
}

}  // namespace backstay
