// io/uring/dns_client.h -- c-ares without its own waiting: it says what to watch, and is told.
//
// c-ares knows the servers (resolv.conf, read once in Create), sends again, falls back to TCP, and
// takes only what answers a question of its own. It never waits: its sockets do not block, and the
// ring watches them.
//
// Life:   Create() once. Each Ask() brings one Reply, in a later turn; so does Cancel(), first.
// Owns:   the channel, its sockets and what was answered and not yet taken.
// Errors: those of Io::Ask.
// Turn:   OnReady, OnDeadline and TakeReplies from Io::Turn; all calls from one thread.
#pragma once

#include <ares.h>

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/base/units.h"
#include "io/dns_type.h"
#include "io/io_result.h"
#include "io/uring/side_table.h"

namespace backstay {

class DnsClient {
 public:
  struct Reply {
    uint64_t ticket = 0;
    IoError error = IoError::kNone;
    std::string bytes;
  };
  // One socket of c-ares. It stays until the ring has let go of it, also when c-ares has closed it;
  // by then another one may have its number.
  struct Watch {
    int fd = -1;       // free
    short wanted = 0;  // POLLIN, POLLOUT; 0: closed
    short armed = 0;   // what the ring waits for; 0: it does not
    bool cancel_asked = false;
  };

  DnsClient() = default;
  ~DnsClient();
  DnsClient(const DnsClient&) = delete;
  DnsClient& operator=(const DnsClient&) = delete;

  // `servers`: "address:port,..." in place of those of resolv.conf; empty: those.
  absl::Status Create(const std::string& servers);

  void Ask(uint64_t ticket, std::string_view name, DnsType type);
  void Cancel(uint64_t ticket) { replies_.push_back({ticket, IoError::kCanceled, {}}); }
  bool has_replies() const { return !replies_.empty(); }
  // Those of canceled questions come all the same, with a ticket that nobody knows any more.
  std::vector<Reply> TakeReplies() { return std::exchange(replies_, {}); }

  // A socket to be watched differently is one whose `wanted` is not `armed`.
  std::deque<Watch>& watches() { return watches_; }
  // The ring has let go of watch `index`; `ready`: poll's answer, or a negative number.
  void OnReady(size_t index, int ready, Instant now);
  // When c-ares has something to do though nothing came. Max(): never.
  Instant deadline() const { return deadline_; }
  void OnDeadline(Instant now);

 private:
  struct Question {
    DnsClient* client = nullptr;
    uint64_t ticket = 0;
    uint32_t index = 0;
  };
  static void OnSocket(void* client, ares_socket_t socket, int readable, int writable);
  static void OnAnswer(void* question, int status, int timeouts, unsigned char* bytes, int count);
  void SetDeadline(Instant now);

  ares_channel channel_ = nullptr;
  SideTable<Question> questions_;  // c-ares holds pointers into it
  std::deque<Watch> watches_;
  std::vector<Reply> replies_;
  Instant deadline_ = Instant::Max();
};

}  // namespace backstay
