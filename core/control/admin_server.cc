// core/control/admin_server.cc -- poll, read, step, write.
#include "core/control/admin_server.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"

namespace backstay {
namespace {

constexpr int kWorkingMilliseconds = 1;
// A shard that reads its spool, or whose disk takes nothing, is looked at now and then.
constexpr int kDeskMilliseconds = 20;
// Breakers trip on shards, which do not wake this thread.
constexpr int kIdleMilliseconds = 1000;
constexpr char kStopKind = 'S';
// Of a reload: small letters are of a forced one.
constexpr char kBeginsKind = 'B';
constexpr char kForcedBeginsKind = 'b';
constexpr char kEndsKind = 'E';
constexpr char kForcedEndsKind = 'e';
// A client that says nothing for so long goes when another wants its place. An operator may think
// for as long as he likes while there is room.
constexpr absl::Duration kSilenceMax = absl::Minutes(1);
// When no descriptor is left: a client that waits stays readable, and poll() would spin.
constexpr absl::Duration kAcceptAgain = absl::Milliseconds(100);
// One write() of at most PIPE_BUF bytes arrives as a whole.
constexpr size_t kToldBytesMax = PIPE_BUF - 2;

}  // namespace

AdminServer::AdminServer(PostOffice& post, const World& world)
    : desk_(post), world_(world), shared_{desk_, *this, nullptr, std::nullopt} {
  int ends[2];
  ASSERT(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  pipe_read_ = ends[0];
  pipe_write_ = ends[1];
}

AdminServer::~AdminServer() {
  close(pipe_read_);
  close(pipe_write_);
}

void AdminServer::Use(std::unique_ptr<Endpoint> endpoint) {
  endpoint_ = std::move(endpoint);
}

void AdminServer::Run() {
  desk_.Start();
  while (!is_stopping_) {
    Wait();
    desk_.Poll();
    for (const std::unique_ptr<AdminClient>& client : clients_) {
      client->Step();
    }
    clients_.erase(std::remove_if(clients_.begin(), clients_.end(),
                                  [](const auto& client) { return client->is_over(); }),
                   clients_.end());
  }
  endpoint_.reset();
}

int AdminServer::WaitMilliseconds() const {
  const bool is_working = std::any_of(clients_.begin(), clients_.end(), [](const auto& client) {
    return client->is_working() && !client->is_gone();
  });
  if (is_working) {
    return kWorkingMilliseconds;
  }
  if (world_.now() < accepts_again_) {
    return static_cast<int>(absl::ToInt64Milliseconds(kAcceptAgain));
  }
  const bool has_left = std::any_of(clients_.begin(), clients_.end(),
                                    [](const auto& client) { return client->is_gone(); });
  return desk_.ready() && !has_left ? kIdleMilliseconds : kDeskMilliseconds;
}

void AdminServer::Wait() {
  const bool accepts = endpoint_ != nullptr && world_.now() >= accepts_again_;
  std::vector<pollfd> watched = {{pipe_read_, POLLIN, 0},
                                 {accepts ? endpoint_->socket() : -1, POLLIN, 0}};
  for (const std::unique_ptr<AdminClient>& client : clients_) {
    watched.push_back({client->socket(), client->events(), 0});
  }
  if (poll(watched.data(), watched.size(), WaitMilliseconds()) <= 0) {
    return;
  }
  for (size_t i = 0; i < clients_.size(); ++i) {
    const short seen = watched[i + 2].revents;
    if (seen != 0) {
      clients_[i]->set_seen(world_.now());
    }
    if ((seen & POLLIN) != 0) {
      clients_[i]->OnReadable();
    } else if ((seen & (POLLHUP | POLLERR)) != 0) {
      clients_[i]->OnHangUp();
    } else if ((seen & POLLOUT) != 0) {
      clients_[i]->OnWritable();
    }
  }
  if (watched[1].revents != 0) {
    Accept();
  }
  if (watched[0].revents != 0) {
    ReadPipe();
  }
}

void AdminServer::Accept() {
  for (size_t count = 0; count < kClientsMax; ++count) {
    const std::optional<int> socket = endpoint_->Accept();
    if (!socket.has_value()) {
      accepts_again_ =
          world_.now() + (endpoint_->is_failing() ? kAcceptAgain : absl::ZeroDuration());
      return;
    }
    auto client = std::make_unique<AdminClient>(shared_, *socket, endpoint_->PeerOf(*socket));
    client->set_seen(world_.now());
    if (HasRoom()) {
      clients_.push_back(std::move(client));
      continue;
    }
    client->Refuse(AdminResult::kBusy, "too many clients");
    client->OnWritable();  // whether it arrives is the client's affair
  }
}

// Who is gone takes nobody's place, whatever is still under way for him.
bool AdminServer::HasRoom() {
  const auto gone = static_cast<size_t>(std::count_if(
      clients_.begin(), clients_.end(), [](const auto& client) { return client->is_gone(); }));
  return gone < kLeftMax && (clients_.size() - gone < kClientsMax || MakeRoom());
}

// The one that has been silent for longest goes, if that is long.
bool AdminServer::MakeRoom() {
  const auto oldest =
      std::min_element(clients_.begin(), clients_.end(), [](const auto& left, const auto& right) {
        return std::pair(!left->is_silent(), left->seen()) <
               std::pair(!right->is_silent(), right->seen());
      });
  if (!(*oldest)->is_silent() || world_.now() - (*oldest)->seen() < kSilenceMax) {
    return false;
  }
  clients_.erase(oldest);
  return true;
}

// ---- the main thread's end of the pipe ----

void AdminServer::Tell(char kind, std::string_view text) {
  std::string told(1, kind);
  told += text.substr(0, kToldBytesMax);
  told += '\0';
  // A full pipe means that the admin thread has ended.
  (void)!write(pipe_write_, told.data(), told.size());
}

void AdminServer::Stop() {
  Tell(kStopKind, "");
}

void AdminServer::OnReloadBegins(bool is_forced) {
  Tell(is_forced ? kForcedBeginsKind : kBeginsKind, "");
}

void AdminServer::OnReload(bool is_forced, std::string_view why_not) {
  Tell(is_forced ? kForcedEndsKind : kEndsKind, why_not);
}

// ---- and the admin thread's ----

// What has begun by now is read before it is asked.
uint64_t AdminServer::Begin(bool is_forced) {
  ReadPipe();
  const uint64_t before = (is_forced ? forced : plain).begun;
  world_.ask_reload(is_forced);
  return before;
}

void AdminServer::ReadPipe() {
  char piece[PIPE_BUF];
  for (ssize_t bytes = 1; bytes > 0;) {  // all there is
    bytes = read(pipe_read_, piece, sizeof(piece));
    told_.append(piece, bytes > 0 ? static_cast<size_t>(bytes) : 0);
  }
  for (size_t end = told_.find('\0'); end != std::string::npos; end = told_.find('\0')) {
    const char kind = told_[0];
    Reloads& reloads = kind == kForcedBeginsKind || kind == kForcedEndsKind ? forced : plain;
    if (kind == kStopKind) {
      is_stopping_ = true;
    } else if (kind == kBeginsKind || kind == kForcedBeginsKind) {
      ++reloads.begun;
    } else {
      reloads.ended = reloads.begun;
      reloads.refusal = told_.substr(1, end - 1);
    }
    told_.erase(0, end + 1);
  }
}

}  // namespace backstay
