// core/dns/client_name.cc -- PTR, then the addresses of what it says.
#include "core/dns/client_name.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/dns/reverse_name.h"

namespace backstay {
namespace {

// A client has one name; whoever has a crowd of them is not waited for.
constexpr size_t kNamesMax = 4;
constexpr size_t kNameAliasesMax = 8;

}  // namespace

ClientNameSearch::ClientNameSearch(const SocketAddress& client)
    : client_(client), question_({ReverseName(client), DnsType::kPtr}) {}

const DnsQuestion* ClientNameSearch::question() const {
  return question_.has_value() ? &*question_ : nullptr;
}

void ClientNameSearch::OnReply(Bytes reply) {
  ASSERT(question_.has_value());
  DnsAnswer answer = ParseDnsAnswer(reply, question_->name, question_->type);
  if (answer.kind == DnsAnswer::Kind::kAlias && ++aliases_ <= kNameAliasesMax) {
    question_->name = std::move(answer.alias);
    return;
  }
  // An alias that is left is one too many: what it leads to was not asked for.
  const bool is_known =
      answer.kind != DnsAnswer::Kind::kFailed && answer.kind != DnsAnswer::Kind::kAlias;
  is_sure_ = is_sure_ && is_known && answer.names.size() <= kNamesMax;
  if (candidate_.empty()) {
    names_ = std::move(answer.names);
    names_.resize(std::min(names_.size(), kNamesMax));
  } else if (std::find(answer.addresses.begin(), answer.addresses.end(), client_.WithPort(0)) !=
             answer.addresses.end()) {
    name_ = candidate_;
    question_.reset();
    return;
  }
  AskNext();
}

void ClientNameSearch::OnNoReply() {
  ASSERT(question_.has_value());
  is_sure_ = false;
  AskNext();
}

void ClientNameSearch::AskNext() {
  aliases_ = 0;
  if (names_.empty()) {
    question_.reset();
    return;
  }
  candidate_ = std::move(names_.back());
  names_.pop_back();
  question_ = {candidate_, client_.is_v6() ? DnsType::kAaaa : DnsType::kA};
}

}  // namespace backstay
