// tools/backstay/doctor.cc -- configuration, kernel, limits, certificates, listeners; the rest is
// looked at by place_checks.
#include "tools/backstay/doctor.h"

#include <fmt/format.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "core/base/check.h"
#include "core/shard/snapshot.h"
#include "io/uring/probe.h"
#include "tools/backstay/place_checks.h"
#include "tools/backstay/text.h"
#include "tools/backstay/verb.h"

namespace backstay {
namespace {

using Verdict = Check::Verdict;

std::string_view NameOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kGood:
      return "ok";
    case Verdict::kOdd:
      return "warning";
    case Verdict::kWrong:
      return "wrong";
    case Verdict::kSkipped:
      return "skipped";
  }
  UNREACHABLE();
}

class Report {
 public:
  explicit Report(bool is_json) : is_json_(is_json) {}

  void Add(const Check& check) {
    is_wrong_ = is_wrong_ || check.verdict == Verdict::kWrong;
    if (is_json_) {
      JsonObject json;
      json.Text("subject", check.subject)
          .Text("verdict", NameOf(check.verdict))
          .Text("text", check.text);
      PrintLine(std::move(json).Take());
    } else {
      PrintLine(fmt::format("{:<8} {:<14} {}", NameOf(check.verdict), check.subject,
                            Printable(check.text)));
    }
  }
  void Add(const std::vector<Check>& checks) {
    for (const Check& check : checks) {
      Add(check);
    }
  }
  int exit_code() const { return is_wrong_ ? kExitFound : kExitOk; }

 private:
  const bool is_json_;
  bool is_wrong_ = false;
};

Check CheckKernel() {
  const absl::Status status = ProbeKernel();
  return status.ok() ? Check{"kernel", Verdict::kGood, "has what is needed"}
                     : Check{"kernel", Verdict::kWrong, std::string(status.message())};
}

Check CheckOpenFiles(const Snapshot& snapshot, const absl::Status& raised) {
  if (snapshot.connections_max < snapshot.config.smtp.connections_max) {
    return {
        "open files", Verdict::kOdd,
        fmt::format("{} may be open here, so at most {} connections are taken, not {} as "
                    "smtp.max_connections says: raise LimitNOFILE (systemd) or ulimit -n, or "
                    "lower it",
                    FilesMax(), snapshot.connections_max, snapshot.config.smtp.connections_max)};
  }
  return raised.ok() ? Check{"open files", Verdict::kGood, fmt::format("{}", FilesMax())}
                     : Check{"limits", Verdict::kOdd, std::string(raised.message())};
}

// What one side shows, us to clients or to primaries.
std::vector<Check> CheckCertificates(const TlsContext& context, const char* subject) {
  const WallTime now = WallTime::FromNanoseconds(absl::GetCurrentTimeNanos());
  std::vector<Check> checks;
  for (const std::string& warning : context.Warnings(now)) {
    checks.push_back({subject, context.Expired(now) ? Verdict::kWrong : Verdict::kOdd, warning});
  }
  if (checks.empty()) {
    checks.push_back({subject, Verdict::kGood, "certificates are valid"});
  }
  return checks;
}

std::vector<Check> CheckTls(const Snapshot& snapshot) {
  std::vector<Check> checks = {
      {"tls", Verdict::kOdd, "STARTTLS is not offered: tls.certificate is not set"}};
  if (snapshot.tls != nullptr) {
    checks = CheckCertificates(*snapshot.tls, "tls");
  }
  if (snapshot.client_tls != nullptr && !snapshot.config.delivery.client_certificate.empty()) {
    for (Check& check : CheckCertificates(*snapshot.client_tls, "client certificate")) {
      checks.push_back(std::move(check));
    }
  }
  return checks;
}

}  // namespace

int Doctor(const DoctorOptions& options) {
  Report report(options.is_json);
  const absl::Status raised = RaiseLimits();
  const auto loaded = LoadSnapshot(options.config_path, {.files_max = FilesMax()});
  if (!loaded.ok()) {
    report.Add(Check{"configuration", Verdict::kWrong, std::string(loaded.status().message())});
    report.Add(CheckKernel());
    return report.exit_code();
  }
  const Snapshot& snapshot = **loaded;
  report.Add(Check{"configuration", Verdict::kGood, options.config_path});
  for (const std::string& notice : snapshot.config.notices) {
    report.Add(Check{"configuration", Verdict::kOdd, notice});
  }
  report.Add(CheckKernel());
  report.Add(CheckOpenFiles(snapshot, raised));
  report.Add(
      CheckSpoolPlace(snapshot.config.spool, snapshot.config.smtp.shards, snapshot.config.user));
  report.Add(CheckTls(snapshot));
  const std::string& socket = snapshot.config.admin.socket;
  if (Answers(socket)) {
    report.Add(Check{"daemon", Verdict::kGood, "answers at " + socket});
  } else {
    report.Add(Check{"daemon", Verdict::kOdd, "none answers at " + socket});
    report.Add(CheckListeners(snapshot.config.smtp.listen));
  }
  report.Add(CheckPrimaries(snapshot.config.domains));
  return report.exit_code();
}

}  // namespace backstay
