// io/uring/probe.cc -- setup, opcodes, buffer rings, multishot accept; the first failure is
// reported.
#include "io/uring/probe.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/base/status_macros.h"
#include "io/uring/receive_buffers.h"
#include "io/uring/ring.h"

namespace backstay {
namespace {

constexpr const char* kNeededKernel = "Linux 6.1 or newer is needed (Debian 12 has it)";
constexpr const char* kSysctlPath = "/proc/sys/kernel/io_uring_disabled";
constexpr uint32_t kProbeEntries = 8;
constexpr uint32_t kProbeBuffers = 2;
constexpr uint32_t kProbeBufferBytes = 4096;
constexpr uint64_t kCancel = 1;
constexpr uint64_t kReceive = 2;
constexpr uint64_t kAccept = 3;
constexpr absl::Duration kProbePatience = absl::Seconds(5);

struct NeededOpcode {
  int opcode;
  const char* name;
};
constexpr NeededOpcode kNeededOpcodes[] = {
    {IORING_OP_ACCEPT, "ACCEPT"},       {IORING_OP_CONNECT, "CONNECT"},
    {IORING_OP_RECV, "RECV"},           {IORING_OP_SEND, "SEND"},
    {IORING_OP_OPENAT, "OPENAT"},       {IORING_OP_READ, "READ"},
    {IORING_OP_WRITE, "WRITE"},         {IORING_OP_FSYNC, "FSYNC"},
    {IORING_OP_FALLOCATE, "FALLOCATE"}, {IORING_OP_UNLINKAT, "UNLINKAT"},
    {IORING_OP_RENAMEAT, "RENAMEAT"},   {IORING_OP_ASYNC_CANCEL, "ASYNC_CANCEL"},
};

struct NeededFeature {
  uint32_t bit;
  const char* name;
};
constexpr NeededFeature kNeededFeatures[] = {
    {IORING_FEAT_NODROP, "NODROP"},       {IORING_FEAT_SUBMIT_STABLE, "SUBMIT_STABLE"},
    {IORING_FEAT_FAST_POLL, "FAST_POLL"}, {IORING_FEAT_EXT_ARG, "EXT_ARG"},
    {IORING_FEAT_CQE_SKIP, "CQE_SKIP"},
};

std::string ReadFirstLine(const char* path) {
  std::array<char, 64> line{};
  std::FILE* file = std::fopen(path, "re");
  if (file == nullptr) {
    return "";
  }
  const char* got = std::fgets(line.data(), static_cast<int>(line.size()), file);
  std::fclose(file);
  std::string text = got != nullptr ? got : "";
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
    text.pop_back();
  }
  return text;
}

std::string KernelRelease() {
  utsname names{};
  return uname(&names) == 0 ? names.release : "unknown";
}

absl::Status Lacks(const std::string& what) {
  return absl::UnavailableError(
      fmt::format("this kernel ({}) lacks {}: {}", KernelRelease(), what, kNeededKernel));
}

absl::Status CheckFeatures(Ring& ring) {
  for (const NeededFeature& feature : kNeededFeatures) {
    if ((ring.raw().features & feature.bit) == 0) {
      return Lacks(fmt::format("io_uring feature {}", feature.name));
    }
  }
  io_uring_probe* probe = io_uring_get_probe_ring(&ring.raw());
  if (probe == nullptr) {
    return Lacks("io_uring IORING_REGISTER_PROBE");
  }
  const char* missing = nullptr;
  for (const NeededOpcode& needed : kNeededOpcodes) {
    if (io_uring_opcode_supported(probe, needed.opcode) == 0) {
      missing = needed.name;
      break;
    }
  }
  io_uring_free_probe(probe);
  return missing == nullptr ? absl::OkStatus()
                            : Lacks(fmt::format("io_uring operation {}", missing));
}

// Enters until a completion of `user_data` is there: those of canceled requests may come late,
// behind the cancel's own. False when none came in time.
bool WaitFor(Ring& ring, uint64_t user_data, Completed* completed) {
  for (;;) {
    if (ring.ready() == 0) {
      ring.Enter(true, kProbePatience);
    }
    if (ring.ready() == 0) {
      return false;
    }
    *completed = ring.Pop();
    if (completed->user_data == user_data) {
      return true;
    }
  }
}

// Ends what is armed on the ring, so that nothing refers to our descriptors.
void CancelAll(Ring& ring) {
  io_uring_sqe* entry = ring.NextEntry();
  if (entry == nullptr) {
    return;
  }
  io_uring_prep_cancel64(entry, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
  entry->user_data = kCancel;
  Completed completed;
  WaitFor(ring, kCancel, &completed);
}

absl::Status CheckBufferedReceive(Ring& ring) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return absl::UnavailableError(fmt::format("cannot make sockets: {}", strerrordesc_np(errno)));
  }
  io_uring_sqe* entry = ring.NextEntry();
  io_uring_prep_recv(entry, pair[0], nullptr, 0, 0);
  entry->ioprio = IORING_RECVSEND_POLL_FIRST;
  entry->flags |= IOSQE_BUFFER_SELECT;
  entry->buf_group = ReceiveBuffers::kGroup;
  entry->user_data = kReceive;
  const bool sent = write(pair[1], "x", 1) == 1;
  Completed completed;
  const bool came = sent && WaitFor(ring, kReceive, &completed);
  CancelAll(ring);
  close(pair[0]);
  close(pair[1]);
  const bool works = came && completed.result == 1 && (completed.flags & IORING_CQE_F_BUFFER) != 0;
  return works ? absl::OkStatus() : Lacks("io_uring receive with provided buffers");
}

// A listening local socket with an address that the kernel chooses; -1 when that fails.
int MakeLocalListener(sockaddr_un* address, socklen_t* bytes) {
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  address->sun_family = AF_UNIX;
  auto* generic = reinterpret_cast<sockaddr*>(address);
  const bool listening = listener >= 0 && bind(listener, generic, sizeof(sa_family_t)) == 0 &&
                         listen(listener, 1) == 0 && getsockname(listener, generic, bytes) == 0;
  if (!listening && listener >= 0) {
    close(listener);
  }
  return listening ? listener : -1;
}

absl::Status CheckMultishotAccept(Ring& ring) {
  sockaddr_un address{};
  socklen_t bytes = sizeof(address);
  const int listener = MakeLocalListener(&address, &bytes);
  const int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool connected = listener >= 0 && client >= 0 &&
                         connect(client, reinterpret_cast<const sockaddr*>(&address), bytes) == 0;
  Completed completed;
  bool came = false;
  if (connected) {
    io_uring_sqe* entry = ring.NextEntry();
    io_uring_prep_multishot_accept(entry, listener, nullptr, nullptr, SOCK_CLOEXEC);
    entry->user_data = kAccept;
    came = WaitFor(ring, kAccept, &completed);
    CancelAll(ring);
  }
  const bool accepted = came && completed.result >= 0;
  for (const int descriptor : {listener, client, accepted ? completed.result : -1}) {
    if (descriptor >= 0) {
      close(descriptor);
    }
  }
  const bool works = accepted && (completed.flags & IORING_CQE_F_MORE) != 0;
  return works ? absl::OkStatus() : Lacks("io_uring multishot accept");
}

// Raises the soft limit to the hard one. An empty string when it is there.
std::string RaiseLimit(__rlimit_resource resource, const char* name) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0) {
    return fmt::format("cannot read the limit {}: {}", name, strerrordesc_np(errno));
  }
  if (limit.rlim_cur == limit.rlim_max) {
    return "";
  }
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(resource, &limit) != 0) {
    return fmt::format("cannot raise the limit {} from {} to {}: {}", name, before, limit.rlim_max,
                       strerrordesc_np(errno));
  }
  return "";
}

}  // namespace

std::string ExplainSetupError(int error, const std::string& sysctl, const std::string& release) {
  switch (error) {
    case ENOSYS:
      return fmt::format(
          "this kernel ({}) has no io_uring, or a seccomp profile hides it: {}; in a "
          "container allow io_uring_setup, io_uring_enter and io_uring_register",
          release, kNeededKernel);
    case EPERM:
    case EACCES:
      if (sysctl == "1" || sysctl == "2") {
        return fmt::format(
            "io_uring is switched off: set sysctl kernel.io_uring_disabled=0 (it is {})", sysctl);
      }
      return "io_uring is forbidden, by a container's seccomp profile or a security module: allow "
             "io_uring_setup, io_uring_enter and io_uring_register";
    case EINVAL:
      return fmt::format(
          "this kernel ({}) lacks io_uring flags SINGLE_ISSUER and DEFER_TASKRUN: {}", release,
          kNeededKernel);
    case ENOMEM:
      return "no memory for a ring: raise the limit of locked memory (LimitMEMLOCK=infinity) or "
             "the "
             "memory of the control group";
    case EMFILE:
    case ENFILE:
      return "no descriptor for a ring: raise the limit of open files (LimitNOFILE=)";
    default:
      return fmt::format("io_uring_setup: {}", strerrordesc_np(error));
  }
}

absl::Status ProbeKernel() {
  ReceiveBuffers buffers;  // goes after the ring, which refers to it
  Ring ring;
  const int setup = ring.Create({kProbeEntries, kProbeEntries * 2});
  if (setup != 0) {
    return absl::UnavailableError(
        ExplainSetupError(setup, ReadFirstLine(kSysctlPath), KernelRelease()));
  }
  RETURN_IF_ERROR(CheckFeatures(ring));
  if (buffers.Create(ring, kProbeBuffers, kProbeBufferBytes) != 0) {
    return Lacks("io_uring provided buffer rings");
  }
  const int enabled = ring.Enable();
  if (enabled != 0) {
    return absl::UnavailableError(
        fmt::format("cannot enable a ring: {}", strerrordesc_np(enabled)));
  }
  RETURN_IF_ERROR(CheckBufferedReceive(ring));
  return CheckMultishotAccept(ring);
}

size_t FilesMax() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : SIZE_MAX;
}

absl::Status RaiseLimits() {
  std::string text = RaiseLimit(RLIMIT_NOFILE, "RLIMIT_NOFILE (open files)");
  const std::string memory = RaiseLimit(RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK (locked memory)");
  if (!text.empty() && !memory.empty()) {
    text += "; ";
  }
  text += memory;
  return text.empty() ? absl::OkStatus() : absl::ResourceExhaustedError(text);
}

}  // namespace backstay
