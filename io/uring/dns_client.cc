// io/uring/dns_client.cc -- questions to c-ares, its sockets to the ring, its answers back.
#include "io/uring/dns_client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/time.h>

#include <algorithm>
#include <utility>

#include "core/base/check.h"

namespace backstay {
namespace {

// The first wait; it doubles with each try. With one server the last word is spoken after 10.5 s.
constexpr int kTimeoutMilliseconds = 1500;
constexpr int kTries = 3;
// What passes everywhere in one piece (DNS flag day 2020); a longer reply comes by TCP.
constexpr int kUdpBytesMax = 1232;
constexpr int kInternet = 1;  // the class of all names

IoError ErrorOf(int status) {
  switch (status) {
    case ARES_ETIMEOUT:
      return IoError::kTimedOut;
    case ARES_ENOMEM:
      return IoError::kNoMemory;
    case ARES_EBADNAME:
    case ARES_ENOTFOUND:  // without a reply: c-ares does not ask for it (.onion)
      return IoError::kInvalid;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION:
      return IoError::kCanceled;
    default:  // SERVFAIL, REFUSED, FORMERR, NOTIMP, nobody listens there, a reply that is none
      return IoError::kRefused;
  }
}

}  // namespace

DnsClient::~DnsClient() {
  if (channel_ != nullptr) {
    ares_destroy(channel_);
  }
}

absl::Status DnsClient::Create(const std::string& servers) {
  ares_options options{};
  options.flags = ARES_FLAG_EDNS;
  options.timeout = kTimeoutMilliseconds;
  options.tries = kTries;
  options.ednspsz = kUdpBytesMax;
  options.sock_state_cb = &DnsClient::OnSocket;
  options.sock_state_cb_data = this;
  int status = ares_init_options(&channel_, &options,
                                 ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                     ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB);
  if (status == ARES_SUCCESS && !servers.empty()) {
    status = ares_set_servers_ports_csv(channel_, servers.c_str());
  }
  if (status != ARES_SUCCESS) {
    return absl::UnavailableError(fmt::format("dns: the resolver's library cannot be used ({}{}{})",
                                              ares_strerror(status), servers.empty() ? "" : ": ",
                                              servers));
  }
  return absl::OkStatus();
}

void DnsClient::Ask(uint64_t ticket, std::string_view name, DnsType type) {
  const uint32_t index = questions_.Take();
  Question& question = questions_.At(index);
  question = {this, ticket, index};
  const bool cannot_be_asked = name.empty() || name.find('\0') != std::string_view::npos;
  if (cannot_be_asked) {
    OnAnswer(&question, ARES_EBADNAME, 0, nullptr, 0);
    return;
  }
  ares_query(channel_, std::string(name).c_str(), kInternet, static_cast<int>(type),
             &DnsClient::OnAnswer, &question);
  deadline_ = Instant();  // the next turn looks at the clock
}

void DnsClient::OnAnswer(void* asked, int status, int, unsigned char* bytes, int count) {
  const Question question = *static_cast<Question*>(asked);
  DnsClient& client = *question.client;
  client.questions_.Free(question.index);
  Reply reply{question.ticket, IoError::kNone, {}};
  if (bytes != nullptr && count > 0) {  // whatever the reply says
    reply.bytes.assign(reinterpret_cast<const char*>(bytes), static_cast<size_t>(count));
  } else {
    ASSERT(status != ARES_SUCCESS);
    reply.error = ErrorOf(status);
  }
  client.replies_.push_back(std::move(reply));
}

void DnsClient::OnSocket(void* owner, ares_socket_t socket, int readable, int writable) {
  std::deque<Watch>& watches = static_cast<DnsClient*>(owner)->watches_;
  const auto wanted =
      static_cast<short>((readable != 0 ? POLLIN : 0) | (writable != 0 ? POLLOUT : 0));
  auto watch = std::find_if(watches.begin(), watches.end(), [socket](const Watch& other) {
    return other.fd == socket && other.wanted != 0;
  });
  if (watch == watches.end()) {
    if (wanted == 0) {
      return;
    }
    watch = std::find_if(watches.begin(), watches.end(),
                         [](const Watch& other) { return other.fd < 0; });
    if (watch == watches.end()) {
      watch = watches.insert(watches.end(), Watch());
    }
    watch->fd = socket;
  }
  watch->wanted = wanted;
  if (wanted == 0 && watch->armed == 0) {
    *watch = Watch();
  }
}

void DnsClient::OnReady(size_t index, int ready, Instant now) {
  Watch& watch = watches_[index];
  watch.armed = 0;
  watch.cancel_asked = false;
  if (watch.wanted == 0) {
    watch = Watch();
    return;
  }
  if (ready <= 0) {
    return;  // canceled, to be watched for something else
  }
  const bool failed = (ready & (POLLERR | POLLHUP | POLLNVAL)) != 0;
  const int fd = watch.fd;
  ares_process_fd(channel_, failed || (ready & POLLIN) != 0 ? fd : ARES_SOCKET_BAD,
                  (ready & POLLOUT) != 0 ? fd : ARES_SOCKET_BAD);
  SetDeadline(now);
}

void DnsClient::OnDeadline(Instant now) {
  ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  SetDeadline(now);
}

void DnsClient::SetDeadline(Instant now) {
  timeval left{};
  const timeval* found = ares_timeout(channel_, nullptr, &left);
  deadline_ = found == nullptr
                  ? Instant::Max()
                  : now + absl::Seconds(left.tv_sec) + absl::Microseconds(left.tv_usec) +
                        absl::Milliseconds(1);  // its clock is not ours: not a little too early
}

}  // namespace backstay
