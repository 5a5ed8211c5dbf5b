// core/control/admin_client.cc -- one request at a time; what comes meanwhile stays in the socket.
#include "core/control/admin_client.h"

#include <errno.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/log.h"

namespace backstay {
namespace {

constexpr size_t kReadBytes = 16_KiB;
// Beyond it the job waits until the client has read.
constexpr size_t kOutputBytesMax = 256_KiB;

}  // namespace

AdminClient::AdminClient(AdminShared& shared, int socket, const AdminPeer& peer)
    : shared_(shared), socket_(socket), who_(fmt::format("uid {} (pid {})", peer.uid, peer.pid)) {
  if (!peer.may) {
    LogWarning("admin: {} was refused", who_);
    Refuse(AdminResult::kDenied, "only root and the group backstay may ask");
  }
}

AdminClient::~AdminClient() {
  close(socket_);
}

short AdminClient::events() const {
  const bool wants_input = !is_ending_ && !has_end_ && job_ == nullptr;
  return static_cast<short>((wants_input ? POLLIN : 0) | (sent_ < output_.size() ? POLLOUT : 0));
}

bool AdminClient::is_over() const {
  const bool is_free = job_ == nullptr || job_->is_free();
  const bool has_said_all = sent_ == output_.size();
  return is_free && (is_gone_ || (is_ending_ && has_said_all) ||
                     (has_end_ && job_ == nullptr && has_said_all));
}

void AdminClient::OnHangUp() {
  is_gone_ = true;
  output_.clear();
  sent_ = 0;
}

void AdminClient::OnReadable() {
  char piece[kReadBytes];
  const ssize_t bytes = recv(socket_, piece, sizeof(piece), 0);
  if (bytes < 0) {
    return errno == EAGAIN || errno == EINTR ? void() : OnHangUp();
  }
  has_end_ = bytes == 0;
  input_.append(piece, static_cast<size_t>(bytes));
  Step();
}

void AdminClient::OnWritable() {
  const ssize_t bytes = send(socket_, output_.data() + sent_, output_.size() - sent_, MSG_NOSIGNAL);
  if (bytes < 0) {
    return errno == EAGAIN || errno == EINTR ? void() : OnHangUp();
  }
  sent_ += static_cast<size_t>(bytes);
  if (sent_ == output_.size()) {
    output_.clear();
    sent_ = 0;
  }
}

bool AdminClient::is_working() const {
  return job_ != nullptr && (is_gone_ || output_.size() <= kOutputBytesMax);
}

void AdminClient::Step() {
  while (!is_gone_) {
    if (job_ == nullptr && !is_ending_) {
      const size_t end = input_.find('\n');
      if (end == std::string::npos) {
        if (input_.size() > kRequestBytesMax) {
          Refuse(AdminResult::kUsage, "the request is too long");
        }
        return;
      }
      Take(std::string_view(input_).substr(0, end));
      input_.erase(0, end + 1);
    }
    if (!is_working() || !MayEndJob(output_)) {
      return;
    }
    EndJob();
  }
  // Nobody reads it any more; what was begun ends all the same.
  std::string unread;
  if (job_ != nullptr && (job_->is_free() || MayEndJob(unread))) {
    EndJob();
  }
}

// Its last line may be said while other shards still have a part of it.
bool AdminClient::MayEndJob(std::string& out) {
  job_is_over_ = job_is_over_ || job_->Step(out);
  return job_is_over_ && job_->is_free();
}

void AdminClient::EndJob() {
  job_.reset();
  job_is_over_ = false;
}

void AdminClient::Take(std::string_view line) {
  const absl::StatusOr<AdminRequest> request = ParseRequest(line);
  if (!request.ok()) {
    Refuse(AdminResult::kUsage, std::string(request.status().message()));
    return;
  }
  job_ = MakeJob(shared_, *request, who_);
}

void AdminClient::Refuse(AdminResult result, std::string_view message) {
  output_ += ResultLine(result, message);
  is_ending_ = true;
}

}  // namespace backstay
