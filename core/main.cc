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
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/control/admin_server.h"
#include "core/notify.h"
#include "core/shard/engine.h"
#include "core/shard/snapshot.h"
#include "io/tls/context.h"
#include "io/tls/library_guard.h"
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
  std::array<char, 256> name{};
  Machine machine;
  if (gethostname(name.data(), name.size() - 1) == 0 && name[0] != '\0') {
    machine.hostname = name.data();
  }
  machine.files_max = FilesMax();
  return machine;
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

void Reload(Engine& engine, AdminServer& admin, const std::string& path, bool is_forced) {
  NotifyServiceManager("RELOADING=1");
  admin.OnReloadBegins(is_forced);
  absl::StatusOr<std::unique_ptr<const Snapshot>> next = LoadSnapshot(path, ThisMachine());
  if (next.ok()) {
    absl::Status fits = next.value()->CanReplace(engine.snapshot());
    fits.Update(KeepsCertificate((*next)->tls.get(), engine.snapshot().tls.get()));
    fits.Update(KeepsCertificate((*next)->client_tls.get(), engine.snapshot().client_tls.get()));
    if (fits.ok() && !is_forced) {
      fits = engine.KeepsMail(**next);
    }
    if (!fits.ok()) {
      next = fits;
    }
  }
  if (next.ok()) {
    engine.Reload(std::move(next).value());
    LogInfo("configuration reloaded from {}", path);
    WarnOfCertificates(engine.snapshot());
    admin.OnReload(is_forced, "");
  } else {
    const std::string refusal(next.status().message());
    LogError("reload refused, the old configuration stays: {}", refusal);
    admin.OnReload(is_forced, refusal);
  }
  NotifyServiceManager("READY=1");
}

// From the admin thread alone. Not SIGHUP, of which two that wait are one.
int ForcedReloadSignal() {
  return SIGRTMIN;
}

// Until it is told to stop. SIGTERM or SIGINT once: drain; twice: now. SIGHUP: reload.
void WaitForSignals(Engine& engine, AdminServer& admin, const sigset_t& signals,
                    const std::string& config_path) {
  for (;;) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal == SIGHUP || signal == ForcedReloadSignal()) {
      Reload(engine, admin, config_path, signal == ForcedReloadSignal());
      continue;
    }
    LogInfo(
        "stopping: no new connections, at most 5 s for open data; a second signal ends at once");
    NotifyServiceManager("STOPPING=1");
    engine.Stop();
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

// Mail goes in and out without it.
void OpenAdmin(AdminServer& admin, const std::string& path) {
  const absl::Status opened = admin.Open(path);
  if (!opened.ok()) {
    LogWarning("admin: {}; the operator's command cannot ask this daemon",
               std::string(opened.message()));
  }
}

// The admin thread begins when the shards take mail, and ends before they do: what it posts wakes
// them.
void ServeUntilStopped(Engine& engine, AdminServer& admin, const sigset_t& signals,
                       const std::string& config_path) {
  std::thread thread([&admin] { admin.Run(); });
  WaitForSignals(engine, admin, signals, config_path);
  admin.Stop();
  thread.join();
  Drain(engine, signals);
}

int Serve(const Flags& flags, std::unique_ptr<const Snapshot> snapshot, const sigset_t& signals) {
  const absl::Status kernel = ProbeKernel();
  if (!kernel.ok()) {
    return Fail(kExitKernel, kernel);
  }
  const absl::Status crypto = CheckOneCryptoLibrary();
  if (!crypto.ok()) {
    return Fail(kExitKernel, crypto);
  }
  if (snapshot->connections_max < snapshot->config.smtp.connections_max) {
    LogWarning(
        "{} files may be open here: at most {} connections are taken, not {} as "
        "smtp.max_connections says; raise LimitNOFILE (systemd) or ulimit -n",
        FilesMax(), snapshot->connections_max, snapshot->config.smtp.connections_max);
  }
  absl::StatusOr<std::unique_ptr<Io>> io = MakeIo();
  if (!io.ok()) {
    return Fail(kExitKernel, io.status());
  }
  const Config& config = snapshot->config;
  absl::StatusOr<SpoolDirectory> spool = SpoolDirectory::Open(
      **io, {.path = config.spool.directory, .shards = ShardsOf(config), .node = config.node_id});
  if (!spool.ok()) {
    const std::string text =
        fmt::format("spool {}: {}", config.spool.directory, std::string(spool.status().message()));
    return Fail(SpoolExitCode(spool.status()), absl::Status(spool.status().code(), text));
  }
  for (const std::string& line : spool->warnings()) {
    LogWarning("{}", line);
  }
  WarnOfCertificates(*snapshot);
  Engine engine(&MakeIo, std::move(snapshot), *spool);
  AdminServer admin(engine.post(), {.ask_reload = &AskReload, .now = &MonotonicNow});
  OpenAdmin(admin, engine.snapshot().config.admin.socket);  // who asks early waits a little
  const absl::Status started = engine.Start(**io);
  if (!started.ok()) {
    return Fail(StartExitCode(engine.failed_at(), started), started);
  }
  LogInfo("backstayd serves {} domains with {} shards, spool {}",
          engine.snapshot().config.domains.size(), spool->shard_directories().size(),
          engine.snapshot().config.spool.directory);
  NotifyServiceManager("READY=1");
  ServeUntilStopped(engine, admin, signals, flags.config);
  spool->Close(**io);
  LogInfo("stopped");
  return 0;
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
