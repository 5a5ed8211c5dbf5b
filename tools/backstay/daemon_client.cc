// tools/backstay/daemon_client.cc -- a blocking unix socket.
#include "tools/backstay/daemon_client.h"

#include <errno.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "tools/backstay/row.h"
#include "tools/backstay/text.h"
#include "tools/backstay/verb.h"

namespace backstay {
namespace {

int ExitCodeOf(std::string_view result) {
  if (result == "ok") {
    return kExitOk;
  }
  if (result == "usage") {
    return kExitUsage;
  }
  if (result == "denied") {
    return kExitPermission;
  }
  return result == "not-stored" || result == "busy" ? kExitNotYet : kExitFound;
}

// Mistakes of a configuration come one a line.
void ComplainOfLines(std::string_view text) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    Complain(Printable(line));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
}

}  // namespace

DaemonClient::~DaemonClient() {
  if (socket_ >= 0) {
    close(socket_);
  }
}

int DaemonClient::Connect() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (endpoint_.empty() || endpoint_.size() >= sizeof(address.sun_path)) {
    Complain(fmt::format("'{}' cannot be a socket's path", Printable(endpoint_)));
    return kExitUsage;
  }
  std::memcpy(address.sun_path, endpoint_.data(), endpoint_.size());
  socket_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval silence = absl::ToTimeval(kSilenceMax);
  setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
  if (connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    return kExitOk;
  }
  if (errno == EACCES || errno == EPERM) {
    Complain(fmt::format("{}: only root and the group backstay may ask", endpoint_));
    return kExitPermission;
  }
  Complain(
      fmt::format("{}: no daemon answers ({}); --endpoint before the verb, or "
                  "BACKSTAY_ENDPOINT, names another socket",
                  endpoint_, std::strerror(errno)));
  return kExitNoDaemon;
}

bool DaemonClient::Send(std::string_view text) {
  while (!text.empty()) {
    const ssize_t bytes = send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
    if (bytes < 0) {
      return false;
    }
    text.remove_prefix(static_cast<size_t>(bytes));
  }
  return true;
}

bool DaemonClient::ReadLine(std::string& line) {
  size_t looked_at = 0;
  for (;;) {
    const size_t end = input_.find('\n', looked_at);
    if (end != std::string::npos) {
      line = input_.substr(0, end);
      input_.erase(0, end + 1);
      return true;
    }
    looked_at = input_.size();
    char piece[65536];
    const ssize_t bytes = recv(socket_, piece, sizeof(piece), 0);
    if (bytes <= 0) {
      return false;
    }
    input_.append(piece, static_cast<size_t>(bytes));
  }
}

DaemonAnswer DaemonClient::Ask(std::string_view request,
                               absl::FunctionRef<void(std::string_view row)> row) {
  DaemonAnswer answer;
  if (socket_ < 0) {
    answer.exit_code = Connect();
    if (answer.exit_code != kExitOk) {
      return answer;
    }
  }
  // What it refuses it may refuse before it has read all: its answer counts, not our failure.
  static_cast<void>(Send(std::string(request) + "\n"));
  std::string line;
  while (ReadLine(line)) {
    const Row reply(line);
    const std::string result = reply.Text("result");
    if (result.empty()) {
      row(line);
      continue;
    }
    answer.recipients = reply.Number("recipients");
    answer.reports = reply.Number("reports");
    answer.exit_code = ExitCodeOf(result);
    ComplainOfLines(reply.Text("message"));  // none when there is nothing to say
    return answer;
  }
  Complain(fmt::format("{}: the daemon ended the connection or says nothing", endpoint_));
  answer.exit_code = kExitNoDaemon;
  return answer;
}

}  // namespace backstay
