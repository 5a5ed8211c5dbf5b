// tools/backstay/daemon_client.h -- asks a running daemon by its socket: a line there, lines back.
//
// Turn:  waits; a daemon that says nothing for kSilenceMax is given up.
// See:   core/control/README.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"

namespace backstay {

struct DaemonAnswer {
  int exit_code = 0;  // of what went wrong, which was said; 0: nothing
  uint64_t recipients = 0;
  uint64_t reports = 0;  // that were owed of others, and end
};

class DaemonClient {
 public:
  // A daemon reads a large spool after its start, and answers when it knows its queue.
  static constexpr absl::Duration kSilenceMax = absl::Minutes(5);

  explicit DaemonClient(std::string endpoint) : endpoint_(std::move(endpoint)) {}
  ~DaemonClient();
  DaemonClient(const DaemonClient&) = delete;
  DaemonClient& operator=(const DaemonClient&) = delete;

  // `request`: JSON. Each row of the answer is given to `row` as it was sent.
  DaemonAnswer Ask(std::string_view request, absl::FunctionRef<void(std::string_view row)> row);

 private:
  int Connect();
  bool Send(std::string_view text);
  bool ReadLine(std::string& line);

  const std::string endpoint_;
  int socket_ = -1;
  std::string input_;
};

}  // namespace backstay
