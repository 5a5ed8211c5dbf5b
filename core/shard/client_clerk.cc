// core/shard/client_clerk.cc -- questions about clients, and what follows from the answers.
#include "core/shard/client_clerk.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"
#include "core/dns/reverse_name.h"
#include "core/shard/snapshot.h"
#include "core/smtp/helo_name.h"

namespace backstay {
namespace {

// Lists change by the minute, names by the month; what nobody could say is asked again soon.
constexpr absl::Duration kGoodFor = absl::Minutes(10);
constexpr absl::Duration kUnansweredFor = absl::Minutes(1);
// Of a list's own words in a reply; a line may have 512 bytes in all.
constexpr size_t kTextBytesMax = 200;

// RFC 5782 s2.1: an answer of a list lies in 127.0.0.0/8. Others are a resolver's that answers
// everything, or a list that is gone and whose domain has a web site now. 127.255.255.0/24, and
// with some lists 127.0.0.1, is about us: we ask too often, by a public resolver, or for a zone
// that is none. Taken for a listing it would refuse everybody.
bool IsListing(const SocketAddress& address) {
  constexpr uint8_t kLoopback = 127;
  constexpr uint8_t kAboutUs = 255;
  const auto& bytes = address.bytes();
  const bool is_in_127 = !address.is_v6() && bytes[0] == kLoopback;
  const bool is_about_us = bytes[1] == kAboutUs && bytes[2] == kAboutUs;
  return is_in_127 && !is_about_us && address != SocketAddress::V4({kLoopback, 0, 0, 1}, 0);
}

}  // namespace

// ---- one course of questions ----

void ClientClerk::Inquiry::StartName(Record& record) {
  record_ = &record;
  name_search_.emplace(record.client);
  Ask(*name_search_->question());
}

void ClientClerk::Inquiry::StartList(Record& record, const SmtpConfig::BlockList& list) {
  record_ = &record;
  list_ = list;
  Ask({ReversedBelow(record.client, list.zone), DnsType::kA});
}

void ClientClerk::Inquiry::Ask(const DnsQuestion& question) {
  question_ = question;
  owner_->io_.Ask(&op_, question_.name, question_.type);
}

void ClientClerk::Inquiry::OnReply(const IoResult& result) {
  if (owner_->stopping_) {
    End();
  } else if (name_search_.has_value()) {
    OnNameReply(result);
  } else {
    OnListReply(result);
  }
}

void ClientClerk::Inquiry::OnNameReply(const IoResult& result) {
  if (result.ok()) {
    name_search_->OnReply(result.lent());
  } else {
    record_->good_until = owner_->io_.Now() + kUnansweredFor;
    name_search_->OnNoReply();
  }
  if (const DnsQuestion* const next = name_search_->question(); next != nullptr) {
    Ask(*next);
    return;
  }
  record_->name = name_search_->name();
  record_->is_nameless = name_search_->is_nameless();
  End();
}

void ClientClerk::Inquiry::OnListReply(const IoResult& result) {
  if (!result.ok()) {
    record_->good_until = owner_->io_.Now() + kUnansweredFor;
    End();
    return;
  }
  const DnsAnswer answer = ParseDnsAnswer(result.lent(), question_.name, question_.type);
  if (question_.type == DnsType::kTxt) {
    record_->text = answer.texts.empty() ? "" : answer.texts.front().substr(0, kTextBytesMax);
    End();
    return;
  }
  if (std::none_of(answer.addresses.begin(), answer.addresses.end(), &IsListing)) {
    if (!answer.addresses.empty()) {
      owner_->OnNoListing(list_, answer.addresses.front());
    }
    End();
    return;
  }
  const bool was_listed = owner_->IsListed(*record_);
  record_->weight += list_.weight;
  if (was_listed || !owner_->IsListed(*record_)) {
    End();
    return;
  }
  record_->zone = list_.zone;  // the one that made it too much says why
  Ask({question_.name, DnsType::kTxt});
}

void ClientClerk::Inquiry::End() {
  Record& record = *std::exchange(record_, nullptr);
  const bool is_about_name = name_search_.has_value();
  name_search_.reset();
  owner_->OnInquiryEnd(record, *this, is_about_name);
}

// ---- clients ----

ClientClerk::ClientClerk(Io& io, TimerWheel& wheel, SharedTable<SharedNotice>& notices)
    : io_(io), wheel_(wheel), notices_(notices) {}

ClientClerk::~ClientClerk() = default;

void ClientClerk::UseConfig(const SmtpConfig& smtp) {
  lists_ = smtp.dnsbl;
  threshold_ = smtp.dnsbl_threshold;
  checks_ = smtp.client_checks;
  for (Record* record = by_age_.front(); record != nullptr; record = by_age_.Next(record)) {
    record->good_until = Instant();  // asked anew when it comes again
  }
}

ClientClerk::Record* ClientClerk::Find(const SocketAddress& client) const {
  const auto found = records_.find(client.WithPort(0));
  return found == records_.end() ? nullptr : found->second.get();
}

// Null: there is no room.
ClientClerk::Record* ClientClerk::NewRecord(const SocketAddress& client) {
  if (records_.size() >= kClientsMax) {
    Record* oldest = by_age_.front();
    while (oldest != nullptr && (oldest->inquiries > 0 || !oldest->waiters.empty())) {
      oldest = by_age_.Next(oldest);
    }
    if (oldest == nullptr) {
      return nullptr;
    }
    records_.erase(oldest->client);
  }
  std::unique_ptr<Record>& made = records_[client.WithPort(0)];
  made = std::make_unique<Record>(this);
  made->client = client.WithPort(0);
  return made.get();
}

ClientClerk::Inquiry& ClientClerk::TakeInquiry() {
  if (free_.empty()) {
    inquiries_.push_back(std::make_unique<Inquiry>(this));
    free_.reserve(inquiries_.size());
    return *inquiries_.back();
  }
  Inquiry& inquiry = *free_.back();
  free_.pop_back();
  return inquiry;
}

// Loopback is this machine, whose name is known and who is on no list.
void ClientClerk::Ask(const SocketAddress& client) {
  if (stopping_ || client.is_loopback() || asked_ >= kAskedMax) {
    return;
  }
  Record* record = Find(client);
  if (record != nullptr && (record->inquiries > 0 || io_.Now() < record->good_until)) {
    return;
  }
  if (record == nullptr) {
    record = NewRecord(client);
    if (record == nullptr) {
      return;
    }
  }
  record->ListNode::Unlink();
  by_age_.PushBack(record);
  record->name.clear();
  record->is_nameless = false;
  record->weight = 0;
  record->text.clear();
  record->is_waited_for = false;
  record->good_until = io_.Now() + kGoodFor;
  record->list_inquiries = lists_.size();
  record->inquiries = lists_.size() + 1;
  ++asked_;
  for (const SmtpConfig::BlockList& list : lists_) {
    TakeInquiry().StartList(*record, list);
  }
  TakeInquiry().StartName(*record);
}

void ClientClerk::OnInquiryEnd(Record& record, Inquiry& inquiry, bool is_about_name) {
  free_.push_back(&inquiry);
  record.list_inquiries -= is_about_name ? 0 : 1;
  if (--record.inquiries == 0) {
    --asked_;
  }
  TellIfKnown(record);
}

// It is remembered like an answer: who says that we ask too often is not to be asked sooner.
void ClientClerk::OnNoListing(const SmtpConfig::BlockList& list, const SocketAddress& said) {
  MARK("block_list_lists_nobody");
  if (notices_.At(DomainKey(list.zone)).Take(io_.Now())) {
    LogWarning(
        "dnsbl: {} answers {}, which lists nobody: it is asked too often or by a public resolver, "
        "or is no list any more; it refuses nobody meanwhile",
        list.zone, said.AddressString());
  }
}

std::string_view ClientClerk::NameOf(const SocketAddress& client) const {
  const Record* const record = Find(client);
  return record != nullptr ? std::string_view(record->name) : std::string_view();
}

std::optional<Reply> ClientClerk::Judge(const SocketAddress& client, std::string_view helo,
                                        RecipientWaiter& waiter) {
  if (checks_.helo && !helo.empty() && !client.is_loopback() && !IsFullHelo(helo)) {
    refusal_ = fmt::format("{}: not a fully qualified host name", helo);
    return Reply{504, "5.5.2", refusal_};
  }
  const bool is_record_of_use = !lists_.empty() || checks_.reverse_dns;
  Record* const record = is_record_of_use ? Find(client) : nullptr;
  if (record == nullptr) {
    return replies::kRcptOk;
  }
  if (IsKnown(*record)) {
    return Verdict(*record);
  }
  record->waiters.PushBack(&waiter);
  if (!record->late_.armed()) {
    wheel_.Insert(&record->late_, io_.Now() + kAnswerWithin);
  }
  return std::nullopt;
}

// All that its verdict rests on is there, or was waited for long enough.
bool ClientClerk::IsKnown(const Record& record) const {
  if (record.is_waited_for || stopping_) {
    return true;
  }
  const bool is_name_open = record.inquiries > record.list_inquiries;
  const bool needs_name = checks_.reverse_dns && !IsListed(record);
  return record.list_inquiries == 0 && !(needs_name && is_name_open);
}

Reply ClientClerk::Verdict(const Record& record) {
  if (IsListed(record)) {
    refusal_ = fmt::format("{} is listed by {}{}{}", record.client.AddressString(), record.zone,
                           record.text.empty() ? "" : ": ", record.text);
    return {550, "5.7.1", refusal_};
  }
  if (checks_.reverse_dns && record.is_nameless) {
    refusal_ = fmt::format("{} has no name that points back to it", record.client.AddressString());
    return {450, "4.7.25", refusal_};
  }
  return replies::kRcptOk;
}

void ClientClerk::TellIfKnown(Record& record) {
  if (!IsKnown(record)) {
    return;
  }
  wheel_.Cancel(&record.late_);
  Reply reply = Verdict(record);
  const std::string text(reply.text);  // a waiter may bring on the next refusal
  reply.text = text;
  List<RecipientWaiter> waiters;
  waiters.TakeAll(record.waiters);
  while (RecipientWaiter* waiter = waiters.PopFront()) {
    waiter->OnRecipientJudged(reply);
  }
}

void ClientClerk::OnLate(Record& record) {
  MARK("block_list_late");
  record.is_waited_for = true;
  TellIfKnown(record);
}

void ClientClerk::Stop() {
  stopping_ = true;
  for (const std::unique_ptr<Inquiry>& inquiry : inquiries_) {
    inquiry->Stop();
  }
}

bool ClientClerk::idle() const {
  return std::all_of(inquiries_.begin(), inquiries_.end(),
                     [](const std::unique_ptr<Inquiry>& inquiry) { return inquiry->idle(); });
}

}  // namespace backstay
