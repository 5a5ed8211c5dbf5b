// core/control/admin_client.h -- one connection to the operator's socket: lines in, lines out.
//
// Requests are answered one after the other. One that is refused ends the connection, and so does
// a peer that may not be here; both are told why.
// Owns:  the socket, the job that answers.
// Turn:  nothing waits; poll() says when there is something to do.
#pragma once

#include <memory>
#include <string>

#include "core/control/endpoint.h"
#include "core/control/job.h"
#include "core/control/reply.h"

namespace backstay {

class AdminClient {
 public:
  AdminClient(AdminShared& shared, int socket, const AdminPeer& peer);
  ~AdminClient();
  AdminClient(const AdminClient&) = delete;
  AdminClient& operator=(const AdminClient&) = delete;

  // -1: the peer is gone.
  int socket() const { return is_gone_ ? -1 : socket_; }
  short events() const;  // for poll()
  // A shard or the main thread may have answered, and does not wake poll().
  bool is_working() const;
  bool is_over() const;  // may be destroyed
  // Nobody reads any more; what was begun goes on.
  bool is_gone() const { return is_gone_; }
  // Nothing is being done for it, or it does not read what was.
  bool is_silent() const { return job_ == nullptr || (!is_working() && job_->is_free()); }
  // When it last gave a sign of life.
  void set_seen(Instant now) { seen_ = now; }
  Instant seen() const { return seen_; }

  void OnReadable();
  void OnWritable();
  void OnHangUp();
  void Step();
  // An answer, and then the end.
  void Refuse(AdminResult result, std::string_view message);

 private:
  void Take(std::string_view line);
  bool MayEndJob(std::string& out);
  void EndJob();

  AdminShared& shared_;
  const int socket_;
  const std::string who_;
  std::string input_;       // at most a line
  std::string output_;      // at most a piece beyond kOutputBytesMax
  size_t sent_ = 0;         // of output_
  bool has_end_ = false;    // nothing more comes
  bool is_ending_ = false;  // what is in output_ is the last
  bool is_gone_ = false;
  std::unique_ptr<AdminJob> job_;
  bool job_is_over_ = false;  // its last line was said
  Instant seen_;
};

}  // namespace backstay
