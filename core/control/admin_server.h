// core/control/admin_server.h -- the admin thread: completes the rules, then answers the operator.
//
// Life:    Run() on its own thread when the shards run, until Stop(). Destroyed when these have
//          ended: until then a question of it may be with one of them.
// Owns:    the endpoint, its clients (at most kClientsMax; who is silent makes room), what is still
//          under way for those that left (at most kLeftMax), the desk.
// Threads: Run() on one thread; Stop() and OnReload...() from the main thread, through a pipe.
// Turn:    plain poll(): this is no shard. What shards answer does not wake it, so while something
//          is under way it looks every millisecond, and otherwise never.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/control/admin_client.h"
#include "core/control/endpoint.h"
#include "core/control/job.h"
#include "core/shard/rule_desk.h"

namespace backstay {

class AdminServer : private ReloadHome {
 public:
  static constexpr size_t kClientsMax = 16;
  // A shard whose disk does not answer keeps what it was asked, and it was asked by many when every
  // script gives up after a while and tries again.
  static constexpr size_t kLeftMax = 64;

  // Both are called on the admin thread. Behind `ask_reload` the main thread says OnReloadBegins(),
  // then OnReload().
  struct World {
    void (*ask_reload)(bool is_forced);
    Instant (*now)();
  };
  AdminServer(PostOffice& post, const World& world);
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // Before Run(). Without one nobody can ask, and the rules are completed all the same.
  void Use(std::unique_ptr<Endpoint> endpoint);
  void Run();
  void Stop();
  void OnReloadBegins(bool is_forced);
  // How it ended; empty: it is in force.
  void OnReload(bool is_forced, std::string_view why_not);

 private:
  uint64_t Begin(bool is_forced) override;
  void Wait();
  void ReadPipe();
  void Accept();
  bool HasRoom();
  bool MakeRoom();
  void Tell(char kind, std::string_view text);
  int WaitMilliseconds() const;

  RuleDesk desk_;
  const World world_;
  AdminShared shared_;
  std::unique_ptr<Endpoint> endpoint_;  // null: not opened
  std::vector<std::unique_ptr<AdminClient>> clients_;
  Instant accepts_again_;  // not before
  int pipe_read_ = -1;
  int pipe_write_ = -1;
  std::string told_;  // of the pipe, not yet whole
  bool is_stopping_ = false;
};

}  // namespace backstay
