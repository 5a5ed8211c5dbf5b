// core/shard/engine.h -- the threads: one shard each; start, reload, drain, stop.
//
// Owns:    the threads and what lives on them, the current snapshot.
// Threads: every method from the main thread. One of the few files with threads and atomics (STYLE
//          23).
// Errors:  Start fails as a whole: a shard that cannot make its ring or recover ends the others.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/shard/inbox.h"
#include "core/shard/shard.h"
#include "core/shard/snapshot.h"
#include "io/io.h"
#include "io/tls/ticket_keys.h"
#include "spool/spool_directory.h"

namespace backstay {

class Engine {
 public:
  // Makes the Io of the calling thread; the engine itself does not know which back end it is.
  using MakeIo = absl::StatusOr<std::unique_ptr<Io>> (*)();

  Engine(MakeIo make_io, std::unique_ptr<const Snapshot> snapshot, const SpoolDirectory& spool);
  ~Engine();  // joined

  // What a start has to do, in this order.
  enum class Step : uint8_t { kListen, kMakeIo, kOpenSpool };
  // Listens on every address for every shard, with `io`, the main thread's; nobody is answered yet.
  absl::Status Listen(Io& io);
  // Behind Listen(): runs the shards. Returns when every one takes mail, or with the first error,
  // everything stopped again.
  absl::Status Start(Io& io);
  Step failed_at() const { return failed_at_; }  // of a Listen() or Start() that failed
  // Not OK: with `next` mail that waits would be given up at once; how much.
  absl::Status KeepsMail(const Snapshot& next);
  // Every shard uses `snapshot` when this returns.
  void Reload(std::unique_ptr<const Snapshot> snapshot);
  // Begins the drain: no new connections, 421 to the rest, at most 5 s for open data. Join waits.
  void Stop();
  void Join();
  const Snapshot& snapshot() const { return *snapshot_; }
  // Its desk is for the admin thread, between Start() and Join().
  PostOffice& post() { return post_; }

 private:
  // What the threads and the main thread share.
  struct Progress {
    std::atomic<uint32_t> ready{0};    // shards that take mail
    std::atomic<uint32_t> failed{0};   // shards that could not
    std::atomic<uint32_t> changes{0};  // bumped with either: what Start waits on
  };
  void RunShard(size_t index);
  absl::Status ServeShard(size_t index);
  void PostAndWait(ShardMessage message);
  void CloseListeners(Io& io);
  void OpenRecipients(Io& io);
  void OpenPrimaries(Io& io);

  const MakeIo make_io_;
  std::unique_ptr<const Snapshot> snapshot_;
  const SpoolDirectory& spool_;
  PostOffice post_;
  std::optional<SharedCounts> shared_;     // made by Start
  std::optional<TicketKeys> ticket_keys_;  // made by Start
  RecipientFiles recipients_;              // the same
  PrimaryFiles primaries_;                 // the same
  Progress progress_;
  std::vector<std::vector<Fd>> listeners_;  // of each shard, which takes them over
  std::vector<std::unique_ptr<Io>> ios_;    // one a shard, made by its thread; live until all ended
  std::vector<absl::Status> errors_;        // one a shard; read after its failure was counted
  std::vector<char> ios_made_;              // the same; not bool: each thread has its own
  Step failed_at_ = Step::kListen;
  std::vector<std::thread> threads_;
  bool stopping_ = false;
};

}  // namespace backstay
