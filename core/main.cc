// core/main.cc -- backstayd: flags, configuration, signals, the engine.
//
// Exit codes (DESIGN 3.3): 0; 64 usage; 69 the kernel lacks what is needed, or a limit of it is too
// low; 73 the spool cannot be opened; 75 another daemon holds it; 76 it was written by a newer
// format; 78 configuration, or an address of it that cannot be listened on.
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "core/control/admin_server.h"
#include "core/control/endpoint.h"
#include "core/notify.h"
#include "core/out_of_memory.h"
#include "core/privileges.h"
#include "core/shard/engine.h"
#include "core/shard/snapshot.h"
#include "io/tls/context.h"
#include "io/tls/library_guard.h"
#include "io/uring/file_system.h"
#include "io/uring/probe.h"
#include "io/uring/uring_io.h"
#include "spool/spool_directory.h"

namespace backstay {
namespace {

constexpr int kExitUsage = 64;
constexpr int kExitKernel = 69;
constexpr int kExitSpool = 73;
constexpr int kExitHeld = 75;
constexpr int kExitNewerFormat = 76;
constexpr int kExitConfig = 78;

// Buffers of parts and batches go back to the system when they are freed. By default the allocator
// raises this threshold to the largest block it has seen freed, up to 32 MiB, and keeps them.
constexpr int kMappedBytesMin = 128 * 1024;
constexpr int kHeapTopBytesMax = 1024 * 1024;

struct Flags {
  std::string config = "/etc/backstay/backstay.toml";
  bool check = false;
};

int Fail(int code, const absl::Status& status) {
  std::fprintf(stderr, "backstayd: %s\n", std::string(status.message()).c_str());
  return code;
}

Machine ThisMachine() {
  return {.files_max = FilesMax()};
}

// BACKSTAY_DNS ("address:port,...") is for tests; the resolvers are those of /etc/resolv.conf.
absl::StatusOr<std::unique_ptr<Io>> MakeIo() {
  UringOptions options;
  if (const char* const servers = std::getenv("BACKSTAY_DNS"); servers != nullptr) {
    options.dns_servers = servers;
  }
  return MakeUringIo(options);
}

// A closed descriptor would soon be a file of the spool, with lines of the log in it. Lines of
// several threads follow each other also when standard error is a file.
void PrepareStandardFiles() {
  for (const int file : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(file, F_GETFD) < 0) {
      (void)open("/dev/null", O_RDWR);  // takes the lowest number that is free
    }
  }
  const int flags = fcntl(STDERR_FILENO, F_GETFL);
  (void)fcntl(STDERR_FILENO, F_SETFL, flags | O_APPEND);  // refused by what cannot append
}

int SpoolExitCode(const absl::Status& status) {
  if (absl::IsFailedPrecondition(status)) {
    return kExitHeld;
  }
  return absl::IsUnimplemented(status) ? kExitNewerFormat : kExitSpool;
}

// An address that cannot be listened on is configuration, but for a lack of descriptors.
int StartExitCode(Engine::Step failed_at, const absl::Status& status) {
  switch (failed_at) {
    case Engine::Step::kListen:
      return absl::IsResourceExhausted(status) ? kExitKernel : kExitConfig;
    case Engine::Step::kMakeIo:
      return kExitKernel;
    case Engine::Step::kOpenSpool:
      return kExitSpool;
  }
  UNREACHABLE();
}

uint16_t ShardsOf(const Config& config) {
  if (config.smtp.shards != 0) {
    return config.smtp.shards;
  }
  return static_cast<uint16_t>(std::clamp(std::thread::hardware_concurrency(), 1U, 1024U));
}

WallTime WallNow() {
  return WallTime::FromNanoseconds(absl::GetCurrentTimeNanos());
}

Instant MonotonicNow() {
  timespec now{};
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return Instant::FromNanoseconds(now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec);
}

std::vector<std::string> CertificateWarnings(const Snapshot& snapshot) {
  std::vector<std::string> warnings;
  for (const TlsContext* context : {snapshot.tls.get(), snapshot.client_tls.get()}) {
    if (context != nullptr) {
      const std::vector<std::string> more = context->Warnings(WallNow());
      warnings.insert(warnings.end(), more.begin(), more.end());
    }
  }
  return warnings;
}

void WarnOfCertificates(const Snapshot& snapshot) {
  for (const std::string& line : CertificateWarnings(snapshot)) {
    LogWarning("tls: {}", line);
  }
}

// What can be told only now: a certificate that ended is served rather than none, but it is no
// better than one that did not.
absl::Status KeepsCertificate(const TlsContext* next, const TlsContext* running) {
  const bool worse = next != nullptr && running != nullptr && next->Expired(WallNow()) &&
                     !running->Expired(WallNow());
  return worse ? absl::FailedPreconditionError(next->Warnings(WallNow()).front())
               : absl::OkStatus();
}

// What lives while mail is taken.
struct Daemon {
  Engine& engine;
  AdminServer& admin;
  Privileges& privileges;
  const std::string& config_path;
};

absl::StatusOr<std::unique_ptr<const Snapshot>> NextSnapshot(Daemon& daemon, bool is_forced) {
  ASSIGN_OR_RETURN(std::unique_ptr<const Snapshot> next,
                   LoadSnapshot(daemon.config_path, ThisMachine()));
  const Snapshot& running = daemon.engine.snapshot();
  RETURN_IF_ERROR(next->CanReplace(running, is_forced));
  RETURN_IF_ERROR(KeepsCertificate(next->tls.get(), running.tls.get()));
  RETURN_IF_ERROR(KeepsCertificate(next->client_tls.get(), running.client_tls.get()));
  if (!is_forced) {
    RETURN_IF_ERROR(daemon.engine.KeepsMail(*next));
  }
  return next;
}

void Reload(Daemon& daemon, bool is_forced) {
  NotifyServiceManager("RELOADING=1");
  daemon.admin.OnReloadBegins(is_forced);
  absl::StatusOr<std::unique_ptr<const Snapshot>> next = NextSnapshot(daemon, is_forced);
  if (next.ok()) {
    daemon.engine.Reload(std::move(next).value());
    LogInfo("configuration reloaded from {}", daemon.config_path);
    for (const std::string& notice : daemon.engine.snapshot().config.notices) {
      LogWarning("{}", notice);
    }
    WarnOfCertificates(daemon.engine.snapshot());
    daemon.admin.OnReload(is_forced, "");
  } else {
    const std::string refusal =
        std::string(next.status().message()) + daemon.privileges.ExplainRefusal(next.status());
    LogError("reload refused, the old configuration stays: {}", refusal);
    daemon.admin.OnReload(is_forced, refusal);
  }
  NotifyServiceManager("READY=1");
}

// From the admin thread alone. Not SIGHUP, of which two that wait are one.
int ForcedReloadSignal() {
  return SIGRTMIN;
}

// Until it is told to stop. SIGTERM or SIGINT once: drain; twice: now. SIGHUP: reload.
void WaitForSignals(Daemon& daemon, const sigset_t& signals) {
  for (;;) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal == SIGHUP || signal == ForcedReloadSignal()) {
      Reload(daemon, signal == ForcedReloadSignal());
      continue;
    }
    LogInfo(
        "stopping: no new connections, at most 5 s for open data; a second signal ends at once");
    NotifyServiceManager("STOPPING=1");
    daemon.engine.Stop();
    return;
  }
}

void Drain(Engine& engine, const sigset_t& signals) {
  // What was acknowledged is on disk, so the second signal may simply end the process.
  std::thread second([&signals] {
    int signal = SIGHUP;
    while (signal == SIGHUP || signal == ForcedReloadSignal()) {
      sigwait(&signals, &signal);
    }
    _exit(0);
  });
  second.detach();
  engine.Join();
}

void AskReload(bool is_forced) {
  (void)kill(getpid(), is_forced ? ForcedReloadSignal() : SIGHUP);
}

// The admin thread begins when the shards take mail, and ends before they do: what it posts wakes
// them.
void ServeUntilStopped(Daemon& daemon, const sigset_t& signals) {
  std::thread thread([&daemon] { daemon.admin.Run(); });
  WaitForSignals(daemon, signals);
  daemon.admin.Stop();
  thread.join();
  Drain(daemon.engine, signals);
}

// Nothing: go on. Otherwise the exit code.
std::optional<int> CheckMachine(const Snapshot& snapshot) {
  for (const absl::Status& lack : {ProbeKernel(), CheckOneCryptoLibrary()}) {
    if (!lack.ok()) {
      return Fail(kExitKernel, lack);
    }
  }
  if (snapshot.connections_max < snapshot.config.smtp.connections_max) {
    LogWarning(
        "{} files may be open here: at most {} connections are taken, not {} as "
        "smtp.max_connections says; raise LimitNOFILE (systemd) or ulimit -n",
        FilesMax(), snapshot.connections_max, snapshot.config.smtp.connections_max);
  }
  return std::nullopt;
}

// The spool is locked and open; nobody is answered yet.
int Run(Daemon& daemon, Io& io, const sigset_t& signals) {
  Engine& engine = daemon.engine;
  absl::Status started = engine.Listen(io);
  if (started.ok()) {
    const absl::Status given_up = daemon.privileges.GiveUpPorts();
    if (!given_up.ok()) {
      return Fail(kExitKernel, given_up);
    }
    started = engine.Start(io);
  }
  if (!started.ok()) {
    return Fail(StartExitCode(engine.failed_at(), started), started);
  }
  const Config& config = engine.snapshot().config;
  LogInfo("backstayd serves {} domains with {} shards, spool {}", config.domains.size(),
          engine.post().shards(), config.spool.directory);
  NotifyServiceManager("READY=1");
  ServeUntilStopped(daemon, signals);
  return 0;
}

int FailSpool(const std::string& directory, const absl::Status& status) {
  return Fail(SpoolExitCode(status),
              absl::Status(status.code(),
                           fmt::format("spool {}: {}", directory, std::string(status.message()))));
}

int Serve(const Flags& flags, std::unique_ptr<const Snapshot> snapshot, const sigset_t& signals) {
  const Config& config = snapshot->config;
  Privileges privileges(config, flags.config);
  // Who asks early waits a little. Mail goes in and out without it.
  absl::StatusOr<std::unique_ptr<Endpoint>> endpoint =
      Endpoint::Open(config.admin.socket, privileges.socket_owner());
  const absl::Status dropped = privileges.Drop();
  if (!dropped.ok()) {
    return Fail(kExitKernel, dropped);
  }
  if (const std::optional<int> lacks = CheckMachine(*snapshot); lacks.has_value()) {
    return *lacks;
  }
  const absl::Status ours = privileges.CheckSpool();
  if (!ours.ok()) {
    return Fail(kExitSpool, ours);
  }
  absl::StatusOr<std::unique_ptr<Io>> io = MakeIo();
  if (!io.ok()) {
    return Fail(kExitKernel, io.status());
  }
  absl::StatusOr<SpoolDirectory> spool = SpoolDirectory::Open(
      **io, {.path = config.spool.directory, .shards = ShardsOf(config), .node = config.node_id});
  if (!spool.ok()) {
    return FailSpool(config.spool.directory, spool.status());
  }
  if (const auto verdict = JudgeFileSystem(config.spool.directory); !verdict.text.empty()) {
    LogWarning("spool: {}", verdict.text);
  }
  for (const std::vector<std::string>& lines : {spool->warnings(), privileges.Warnings()}) {
    for (const std::string& line : lines) {
      LogWarning("{}", line);
    }
  }
  WarnOfCertificates(*snapshot);
  Engine engine(&MakeIo, std::move(snapshot), *spool);
  AdminServer admin(engine.post(), {.ask_reload = &AskReload, .now = &MonotonicNow});
  if (endpoint.ok()) {
    admin.Use(std::move(endpoint).value());
  } else {
    LogWarning("admin: {}; the operator's command cannot ask this daemon",
               std::string(endpoint.status().message()));
  }
  Daemon daemon{engine, admin, privileges, flags.config};
  const int exit_code = Run(daemon, **io, signals);
  if (exit_code == 0) {
    spool->Close(**io);
    LogInfo("stopped");
  }
  return exit_code;
}

constexpr const char* kUsage =
    "usage: backstayd [--config FILE] [--check]\n"
    "\n"
    "A backup MX: takes mail while the primary is down and hands it on. Runs in the foreground.\n"
    "\n"
    "  --config FILE  configuration (default /etc/backstay/backstay.toml)\n"
    "  --check        validate the configuration and exit\n"
    "  --version      print the version and exit\n"
    "  --help         print this and exit\n"
    "\n"
    "SIGTERM drains and stops, twice stops at once; SIGHUP reloads the configuration.\n"
    "Exit codes: 0; 64 usage; 69 kernel; 73 spool; 75 spool in use; 76 newer spool; 78 "
    "configuration.\n";

// Nothing: go on. Otherwise the exit code.
std::optional<int> ParseFlags(int argc, char** argv, Flags& flags) {
  static const option options[] = {{"config", required_argument, nullptr, 'c'},
                                   {"check", no_argument, nullptr, 'k'},
                                   {"version", no_argument, nullptr, 'v'},
                                   {"help", no_argument, nullptr, 'h'},
                                   {nullptr, 0, nullptr, 0}};
  for (int found = 0; (found = getopt_long(argc, argv, "", options, nullptr)) != -1;) {
    switch (found) {
      case 'c':
        flags.config = optarg;
        break;
      case 'k':
        flags.check = true;
        break;
      case 'v':
        std::puts("backstayd " BACKSTAY_VERSION);
        return 0;
      case 'h':
        std::fputs(kUsage, stdout);
        return 0;
      default:
        std::fputs("try: backstayd --help\n", stderr);
        return kExitUsage;
    }
  }
  if (optind < argc) {
    std::fprintf(stderr, "backstayd: unexpected argument '%s'; try: backstayd --help\n",
                 argv[optind]);
    return kExitUsage;
  }
  return std::nullopt;
}

int Main(int argc, char** argv) {
  Flags flags;
  const std::optional<int> done = ParseFlags(argc, argv, flags);
  if (done.has_value()) {
    return *done;
  }
  std::set_new_handler(&EndForWantOfMemory);
  const absl::Status limits = RaiseLimits();
  if (!limits.ok() && !flags.check) {
    std::fprintf(stderr, "backstayd: %s\n", std::string(limits.message()).c_str());
  }
  absl::StatusOr<std::unique_ptr<const Snapshot>> snapshot =
      LoadSnapshot(flags.config, ThisMachine());
  if (!snapshot.ok()) {
    return Fail(kExitConfig, snapshot.status());
  }
  for (const std::string& notice : (*snapshot)->config.notices) {
    std::fprintf(stderr, "backstayd: %s\n", notice.c_str());
  }
  if (flags.check) {
    for (const std::string& warning : CertificateWarnings(**snapshot)) {
      std::fprintf(stderr, "backstayd: tls: %s\n", warning.c_str());
    }
    std::fprintf(stderr, "backstayd: %s is valid\n", flags.config.c_str());
    return 0;
  }
  PrepareStandardFiles();
  // Blocked before any thread exists, so that every thread inherits it and only sigwait sees them.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, ForcedReloadSignal()}) {
    sigaddset(&signals, signal);
  }
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a write beyond RLIMIT_FSIZE fails, and its mail is answered 452
  mallopt(M_MMAP_THRESHOLD, kMappedBytesMin);
  mallopt(M_TRIM_THRESHOLD, kHeapTopBytesMax);
  return Serve(flags, std::move(snapshot).value(), signals);
}

}  // namespace
}  // namespace backstay

int main(int argc, char** argv) {
  return backstay::Main(argc, argv);
}
