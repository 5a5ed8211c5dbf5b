// core/shard/primary_searcher.cc -- question, reply, question, until there is a verdict.
#include "core/shard/primary_searcher.h"

#include <utility>

#include "core/base/check.h"
#include "core/base/mark.h"

namespace backstay {

void PrimarySearcher::Start(uint64_t key, const PrimaryList& list, std::string_view our_hostname) {
  ASSERT(is_free());
  key_ = key;
  began_ = io_.Now();
  search_.emplace(list, our_hostname);
  Continue();
}

void PrimarySearcher::Continue() {
  while (search_->question() != nullptr && io_.Now() - began_ > patience_) {
    MARK("search_takes_too_long");
    search_->OnNoReply("its name servers take too long");
  }
  if (const DnsQuestion* const question = search_->question(); question != nullptr) {
    io_.Ask(&op_, question->name, question->type);
    return;
  }
  const PrimarySearch search = *std::move(search_);
  search_.reset();
  home_.OnSearched(key_, search);
}

void PrimarySearcher::OnReply(const IoResult& result) {
  if (stopped_) {
    search_.reset();
    return;
  }
  if (result.ok()) {
    search_->OnReply(result.lent());
  } else {
    search_->OnNoReply(result.error() == IoError::kTimedOut ? "no resolver answers"
                                                            : "the resolvers fail at it");
  }
  Continue();
}

void PrimarySearcher::Stop() {
  stopped_ = true;
  io_.Cancel(&op_);
}

}  // namespace backstay
