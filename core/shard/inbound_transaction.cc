// core/shard/inbound_transaction.cc -- what a session asks while it receives a message.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "core/base/check.h"
#include "core/base/mark.h"
#include "core/shard/inbound.h"

namespace backstay {
namespace {

constexpr std::string_view kQueuedAs = "Ok: queued as ";

}  // namespace

Reply InboundConnection::OnMail(std::string_view reverse_path, const MailParams& params) {
  const Reply verdict = parts_.home.MayReceive();
  if (!verdict.positive()) {
    return verdict;
  }
  ASSERT(conversation_->transaction == nullptr);
  conversation_->transaction = &parts_.home.TakeTransaction();
  conversation_->transaction->Begin(*this, reverse_path, params);
  if (!conversation_->transaction->HasRoom()) {
    DropTransaction();
    return replies::kNoSpace;
  }
  return replies::kMailOk;
}

// What the client calls itself; of a proxy's client the proxy says it. Empty: it does not know.
std::string_view InboundConnection::Helo() const {
  return told_ != nullptr && told_->helo.has_value() ? std::string_view(*told_->helo)
                                                     : conversation_->session.helo();
}

// Who is no client of ours hears so for each recipient that we would have taken.
std::optional<Reply> InboundConnection::OnRcpt(std::string_view address, const RcptParams& params) {
  const RelayVerdict verdict = parts_.home.Relay().Judge(address);
  if (!verdict.reply.positive()) {
    return verdict.reply;
  }
  const std::optional<Reply> welcome =
      parts_.home.JudgeClient({client_, Helo()}, address, conversation_->judged);
  if (!welcome.has_value()) {
    conversation_->transaction->SetPending(address, params);
    conversation_->awaits_client = true;
  }
  if (!welcome.has_value() || !welcome->positive()) {
    return welcome;
  }
  // RFC 5321 s4.5.1: who has trouble with the domain must reach somebody, also while the primary is
  // up or the domain has its quota waiting. The disk's reserve holds for all mail.
  const Reply room =
      IsPostmaster(address) ? replies::kRcptOk : parts_.home.MayQueue(verdict.domain);
  if (!room.positive()) {
    return room;
  }
  if (verdict.is_asked) {
    const std::optional<Reply> known =
        parts_.home.JudgeRecipient(verdict.address, verdict.domain, conversation_->judged);
    if (!known.has_value()) {
      conversation_->transaction->SetPending(verdict.address, params);
    }
    if (!known.has_value() || !known->positive()) {
      return known;
    }
  }
  conversation_->transaction->AddRecipient(verdict.address, params);
  return replies::kRcptOk;
}

// The client is welcome: now the recipient. Nothing: that is to be asked, too.
std::optional<Reply> InboundConnection::GoOnWithPending() {
  const Recipient pending = conversation_->transaction->pending();
  return OnRcpt(pending.address, {pending.notify, pending.original_recipient});
}

void InboundConnection::OnRecipientJudged(const Reply& judged) {
  ASSERT(conversation_->transaction != nullptr);
  std::optional<Reply> reply = judged;
  const std::string address = conversation_->transaction->pending().address;
  const bool was_client = std::exchange(conversation_->awaits_client, false);
  if (was_client && judged.positive()) {
    reply = GoOnWithPending();
  } else if (judged.positive()) {
    conversation_->transaction->AddPending();
  }
  if (!reply.has_value()) {
    return;
  }
  conversation_->session.FinishRcpt(address, *reply);
  Progress();
  Pump();
  if (!closing_) {
    stream_.Resume();
  }
  Settle();
}

// What is not known of the client's name by now is not waited for.
Reply InboundConnection::OnData() {
  const bool is_told = told_ != nullptr && !told_->name.empty();
  conversation_->transaction->NameClient(is_told ? told_->name : parts_.home.ClientName(client_));
  const Reply verdict = parts_.home.MayReceive();
  if (verdict.positive() && !conversation_->transaction->ClaimRoom()) {
    return replies::kNoSpace;
  }
  conversation_->in_message = verdict.positive();
  return verdict;
}

void InboundConnection::OnContent(Bytes decoded) {
  conversation_->transaction->Append(decoded);
}

void InboundConnection::OnEndOfData(bool has_dot_lines) {
  Transaction::Client client;
  const std::string address = client_.AddressString();
  const std::string literal = client_.AddressLiteral();
  client.hostname = parts_.params.hostname;
  client.helo = Helo();
  client.address = address;
  client.address_literal = literal;
  client.port = client_.port();
  client.extended = conversation_->session.extended();
  if (told_ != nullptr) {
    client.extended = told_->extended.value_or(client.extended);
  }
  client.tls = TlsProtocol();
  client.connection = number_;
  conversation_->in_message = false;  // whole, whether the client waits for our reply or not
  Watch(Patience::kCommit);
  conversation_->transaction->Finish(client, has_dot_lines);
}

// The disk may take it yet. The client has heard that it has not.
void InboundConnection::GiveUpCommit() {
  MARK("commit_given_up");
  conversation_->transaction->Refuse();
  OnTransactionStored(CommitResult::kFailed, "");
}

void InboundConnection::OnReset() {
  conversation_->in_message = false;  // our refusal, not its doing
  DropTransaction();
}

void InboundConnection::OnTransactionStored(CommitResult result, std::string_view id) {
  parts_.home.OnMessageStored(result);
  switch (result) {
    case CommitResult::kStored: {
      parts_.home.ClientConduct().Reward(client_key(), conversation_->transaction->recipients(),
                                         parts_.io.Now());
      std::array<char, 64> text;  // on the stack: no allocation per message
      ASSERT(kQueuedAs.size() + id.size() <= text.size());
      const auto end = std::copy(id.begin(), id.end(),
                                 std::copy(kQueuedAs.begin(), kQueuedAs.end(), text.begin()));
      conversation_->session.FinishData({250, "2.0.0", std::string_view(text.begin(), end)});
      break;
    }
    case CommitResult::kFailed:
      conversation_->session.FinishData(replies::kCommitFailed);
      break;
    case CommitResult::kNoSpace:
      conversation_->session.FinishData(replies::kNoSpace);
      break;
  }
  conversation_->transaction = nullptr;
  Watch(Patience::kIdle);
  if (!closing_) {
    stream_.Resume();  // replies to what stood behind the end of data leave in the same piece
  }
  Pump();
  Settle();
}

}  // namespace backstay
