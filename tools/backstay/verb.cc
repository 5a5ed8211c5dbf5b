// tools/backstay/verb.cc -- see the header.
#include "tools/backstay/verb.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/status/status.h"

namespace backstay {
namespace {

// A status has no errno; its sentence ends in the words for it, the system's or the seam's.
std::string_view AdviceOn(const absl::Status& status) {
  const std::string why(status.message());
  const auto ends_in = [&why](std::string_view words) { return why.ends_with(words); };
  if (absl::IsNotFound(status) || ends_in(strerrordesc_np(ENOTDIR))) {
    return "name the directory that the configuration calls spool.directory";
  }
  if (ends_in(strerrordesc_np(EACCES)) || ends_in(strerrordesc_np(EPERM)) ||
      ends_in(Describe(IoError::kDenied))) {
    return "run it as a user who may read the spool, such as the daemon's own";
  }
  return {};
}

}  // namespace

// Whether it arrived is asked once, at the end of the program.
void Print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void PrintLine(std::string_view line) {
  Print(line);
  Print("\n");
}

void Complain(std::string_view line) {
  std::fflush(stdout);  // in the order in which it was said, when both are one terminal
  const std::string text = fmt::format("backstay: {}\n", line);
  std::fputs(text.c_str(), stderr);
}

int ComplainOfSpool(const std::string& path, const absl::Status& status) {
  const std::string why(status.message());
  if (absl::IsUnimplemented(status)) {
    Complain(fmt::format("{}: {}; use the backstay that belongs to the daemon", path, why));
    return kExitNewerFormat;
  }
  Complain(fmt::format("{}: {}", path, why));
  if (const std::string_view advice = AdviceOn(status); !advice.empty()) {
    Complain(advice);
  }
  return kExitSpool;
}

std::optional<SpoolView> OpenSpool(Io& io, const std::string& path, int& exit_code) {
  absl::StatusOr<SpoolView> view = SpoolView::Open(io, path);
  if (!view.ok()) {
    exit_code = ComplainOfSpool(path, view.status());
    return std::nullopt;
  }
  const std::string use = view->DescribeUse();
  if (!use.empty()) {
    Complain(use);
  }
  return std::move(view).value();
}

void FindingCount::OnFinding(const Finding& finding) {
  damaged_ += finding.kind == FindingKind::kDamaged ? 1 : 0;
  unreadable_ += finding.kind == FindingKind::kUnreadable ? 1 : 0;
}

void FindingCount::Complain(const std::string& path) const {
  if (damaged_ + unreadable_ > 0) {
    backstay::Complain(fmt::format(
        "damaged places: {}, unreadable: {}; what lies there is left out", damaged_, unreadable_));
    backstay::Complain(fmt::format("`backstay spool verify {}` names them", path));
  }
}

}  // namespace backstay
