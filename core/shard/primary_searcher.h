// core/shard/primary_searcher.h -- takes one PrimarySearch after another through the resolver.
//
// Life:   Start() while is_free(); OnSearched() ends it, from Io::Turn or from inside Start().
//         Stop() drops what is under way; then idle().
// Owns:   one search at a time, one question at a time.
// Errors: a resolver that does not answer is told to the search; what takes longer than `patience`
//         is not asked any more.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/time/time.h"
#include "core/dns/primary_search.h"
#include "io/io.h"

namespace backstay {

class PrimarySearcherHome {
 public:
  virtual void OnSearched(uint64_t key, const PrimarySearch& search) = 0;

 protected:
  ~PrimarySearcherHome() = default;
};

class PrimarySearcher {
 public:
  PrimarySearcher(Io& io, absl::Duration patience, PrimarySearcherHome& home)
      : io_(io), patience_(patience), home_(home) {}
  PrimarySearcher(const PrimarySearcher&) = delete;
  PrimarySearcher& operator=(const PrimarySearcher&) = delete;

  // `key`: what OnSearched is told.
  void Start(uint64_t key, const PrimaryList& list, std::string_view our_hostname);
  void Stop();
  bool is_free() const { return !search_.has_value() && idle(); }
  bool idle() const { return !op_.in_flight; }

 private:
  void Continue();
  void OnReply(const IoResult& result);

  Io& io_;
  const absl::Duration patience_;
  PrimarySearcherHome& home_;
  uint64_t key_ = 0;
  Instant began_;
  bool stopped_ = false;
  std::optional<PrimarySearch> search_;
  Completion<&PrimarySearcher::OnReply> op_{this};
};

}  // namespace backstay
