// core/control/recipient_job.cc -- one question to every shard, and the sum of the answers.
#include "core/control/recipient_job.h"

#include <algorithm>
#include <string_view>

#include "absl/container/btree_set.h"
#include "core/base/check.h"
#include "core/base/log.h"

namespace backstay {
namespace {

using AnswerState = ShardQuestion::State;

KnownRow RowOf(std::string_view address, std::optional<Knowledge> known, WallTime now) {
  KnownRow row;
  row.address = address;
  if (known.has_value() && !known->IsOver(now)) {
    row.state = known->is_positive() ? "known" : "refused";
    row.since = known->at();
  }
  return row;
}

void Add(const RecipientCounts& more, RecipientCounts& sum) {
  sum.positive += more.positive;
  sum.negative += more.negative;
  sum.bytes += more.bytes;
}

}  // namespace

std::optional<MessageRef> RecipientInquiry::Next(const ShardView& view) {
  is_loaded_ = view.recipients.is_loaded();
  if (request_.is_dry_run) {
    CountChange(view);
  } else if (request_.verb != AdminVerb::kRecipients) {
    Change(view);
  } else if (!request_.addresses.empty()) {
    Find(view);
  } else {
    CountSlice(view);
  }
  return std::nullopt;
}

void RecipientInquiry::OnHead(const ShardView&, MessageRef, const MessageHead*) {
  UNREACHABLE();  // no message is asked for
}

void RecipientInquiry::Change(const ShardView& view) {
  for (const std::string& address : request_.addresses) {
    const bool is_done = request_.verb == AdminVerb::kImport ? view.recipients.Import(address)
                                                             : view.recipients.Forget(address);
    changed_ += is_done ? 1 : 0;
  }
  for (const std::string& domain : request_.domains) {
    changed_ += view.recipients.ForgetDomain(domain);
  }
}

// What a kForget would change. A slice a turn when it is about domains.
void RecipientInquiry::CountChange(const ShardView& view) {
  if (request_.domains.empty()) {
    const absl::btree_set<std::string_view> once(request_.addresses.begin(),
                                                 request_.addresses.end());
    for (const std::string_view address : once) {
      changed_ += view.recipients.Find(address).has_value() ? 1 : 0;
    }
    return;
  }
  absl::btree_set<uint16_t> tags;
  for (const std::string& domain : request_.domains) {
    tags.insert(view.recipients.TagOf(domain));
  }
  view.recipients.Visit(
      slice_, [&](AddressKey key, Knowledge) { changed_ += tags.contains(TagOf(key)) ? 1 : 0; });
  has_more_ = ++slice_ < RecipientStore::kSlices;
}

void RecipientInquiry::Find(const ShardView& view) {
  for (const std::string& address : request_.addresses) {
    if (view.recipients.AnswersFor(address)) {
      rows_.push_back(RowOf(address, view.recipients.Find(address), view.io.WallNow()));
    }
  }
}

void RecipientInquiry::CountSlice(const ShardView& view) {
  std::vector<std::string> names = {""};  // all others
  absl::btree_map<uint16_t, size_t> by_tag;
  for (const DomainPlan& domain : view.snapshot.domains) {
    if (domain.verifies) {
      by_tag[view.recipients.TagOf(domain.name)] = names.size();
      names.push_back(domain.name);
    }
  }
  std::vector<RecipientCounts> counts(names.size());
  const WallTime now = view.io.WallNow();
  counts[0].bytes = view.recipients.Visit(slice_, [&](AddressKey key, Knowledge known) {
    if (!known.IsOver(now)) {
      const auto found = by_tag.find(TagOf(key));
      RecipientCounts& sum = counts[found != by_tag.end() ? found->second : 0];
      (known.is_positive() ? sum.positive : sum.negative) += 1;
    }
  });
  for (size_t index = 0; index < names.size(); ++index) {
    Add(counts[index], counts_[names[index]]);
  }
  has_more_ = ++slice_ < RecipientStore::kSlices;
}

RecipientJob::RecipientJob(AdminShared& shared, const AdminRequest& request, const std::string& who)
    : shared_(shared), request_(request) {
  parts_.reserve(shared.desk.shards());
  for (size_t shard = 0; shard < shared.desk.shards(); ++shard) {
    parts_.emplace_back(request_);
  }
  if (request.verb != AdminVerb::kRecipients && !request.is_dry_run) {
    LogInfo("admin: {}: {} {} addresses, {} domains", who, NameOf(request.verb),
            request.addresses.size(), request.domains.size());
  }
}

bool RecipientJob::is_free() const {
  return std::none_of(parts_.begin(), parts_.end(), [](const RecipientInquiry& part) {
    return part.state == AnswerState::kAsked;
  });
}

bool RecipientJob::Step(std::string& out) {
  bool is_done = true;
  for (size_t shard = 0; shard < parts_.size(); ++shard) {
    RecipientInquiry& part = parts_[shard];
    if (part.state == AnswerState::kRefused) {
      out += ResultLine(AdminResult::kBusy, "the daemon is ending");
      return true;
    }
    if (part.state == AnswerState::kNew || (part.state == AnswerState::kDone && part.has_more())) {
      shared_.desk.Ask(shard, part);
    }
    is_done = is_done && part.state == AnswerState::kDone;
  }
  if (is_done) {
    out += Answer();
  }
  return is_done;
}

std::string RecipientJob::Answer() const {
  std::string out;
  uint64_t changed = 0;
  bool is_loaded = true;
  absl::btree_map<std::string, RecipientCounts> sums;
  for (const RecipientInquiry& part : parts_) {
    changed += part.changed();
    is_loaded = is_loaded && part.is_loaded();
    for (const KnownRow& row : part.rows()) {
      out += KnownLine(row);
    }
    for (const auto& [domain, counts] : part.counts()) {
      Add(counts, sums[domain]);
    }
  }
  if (request_.verb != AdminVerb::kRecipients) {
    return CountLine({changed});
  }
  for (const auto& [domain, counts] : sums) {
    out += KnownCountLine(domain, counts);
  }
  return out + ResultLine(AdminResult::kOk, is_loaded ? "" : "what is on disk is still being read");
}

}  // namespace backstay
