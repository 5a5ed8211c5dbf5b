// tools/backstay/verify.cc -- every record of every segment; one line a finding, then a summary.
#include "tools/backstay/verify.h"

#include <fmt/format.h>
#include <unistd.h>

#include <vector>

#include "core/base/check.h"
#include "tools/backstay/progress.h"
#include "tools/backstay/shard_walk.h"
#include "tools/backstay/text.h"
#include "tools/backstay/verb.h"

namespace backstay {
namespace {

struct Totals {
  WalkCounts counts;
  uint64_t messages_owed = 0;
  uint64_t recipients_live = 0;
  uint64_t recipients_pending = 0;

  uint64_t messages_settled() const { return counts.messages - messages_owed; }
  uint64_t recipients_settled() const {
    return counts.recipients - recipients_live - recipients_pending;
  }
  void Add(const ShardWalk& walk) {
    const WalkCounts& more = walk.counts();
    counts.segments += more.segments;
    counts.bytes_read += more.bytes_read;
    counts.batches += more.batches;
    counts.records += more.records;
    counts.messages += more.messages;
    counts.recipients += more.recipients;
    messages_owed += walk.index().messages_owed();
    recipients_live += walk.index().recipients_live();
    recipients_pending += walk.index().recipients_pending();
  }
};

std::string_view NameOf(FindingKind kind) {
  switch (kind) {
    case FindingKind::kDamaged:
      return "damaged";
    case FindingKind::kTorn:
      return "torn";
    case FindingKind::kUnreadable:
      return "unreadable";
    case FindingKind::kNote:
      return "note";
  }
  UNREACHABLE();
}

std::string AsJson(const Finding& finding) {
  JsonObject json;
  json.Text("kind", NameOf(finding.kind));
  if (finding.shard.has_value()) {
    json.Number("shard", *finding.shard);
  }
  if (finding.segment.has_value()) {
    json.Text("segment", fmt::format("{:08x}", *finding.segment));
  }
  if (finding.range.has_value()) {
    json.Number("from", finding.range->from).Number("to", finding.range->to);
  }
  return std::move(json.Text("what", finding.what)).Take();
}

std::string AsText(const Finding& finding) {
  const std::string shard =
      finding.shard.has_value() ? fmt::format("shard {:03}", *finding.shard) : "spool";
  const std::string segment =
      finding.segment.has_value() ? fmt::format("segment {:08x}", *finding.segment) : "";
  const std::string range =
      finding.range.has_value()
          ? fmt::format("bytes {} to {}", finding.range->from, finding.range->to)
          : "";
  return fmt::format("{:<10}  {:<9}  {:<16}  {:<26}  {}", NameOf(finding.kind), shard, segment,
                     range, Printable(finding.what));
}

class Report final : public FindingEvents {
 public:
  Report(bool is_json, Progress& progress) : is_json_(is_json), progress_(progress) {}

  void OnFinding(const Finding& finding) override {
    ++counts_[static_cast<size_t>(finding.kind)];
    progress_.Clear();
    PrintLine(is_json_ ? AsJson(finding) : AsText(finding));
  }
  uint64_t Count(FindingKind kind) const { return counts_[static_cast<size_t>(kind)]; }
  bool is_whole() const {
    return Count(FindingKind::kDamaged) + Count(FindingKind::kUnreadable) == 0;
  }
  bool is_empty() const {
    return is_whole() && Count(FindingKind::kTorn) + Count(FindingKind::kNote) == 0;
  }

 private:
  const bool is_json_;
  Progress& progress_;
  uint64_t counts_[4] = {};
};

void PrintJsonSummary(const Totals& totals, const Report& report, size_t shards, bool is_in_use) {
  JsonObject json;
  json.Text("kind", "summary")
      .Flag("whole", report.is_whole())
      .Flag("in_use", is_in_use)
      .Number("shards", shards)
      .Number("segments", totals.counts.segments)
      .Number("bytes_read", totals.counts.bytes_read)
      .Number("batches", totals.counts.batches)
      .Number("records", totals.counts.records)
      .Number("messages_owed", totals.messages_owed)
      .Number("messages_settled", totals.messages_settled())
      .Number("recipients_live", totals.recipients_live)
      .Number("recipients_dsn_pending", totals.recipients_pending)
      .Number("recipients_settled", totals.recipients_settled())
      .Number("damaged", report.Count(FindingKind::kDamaged))
      .Number("unreadable", report.Count(FindingKind::kUnreadable))
      .Number("torn", report.Count(FindingKind::kTorn));
  PrintLine(std::move(json).Take());
}

void PrintSummary(const Totals& totals, const Report& report, size_t shards,
                  const std::string& path) {
  if (!report.is_empty()) {
    PrintLine("");
  }
  PrintLine(fmt::format("{}: {}", path, report.is_whole() ? "whole" : "NOT WHOLE"));
  const auto line = [](std::string_view name, const std::string& value) {
    PrintLine(fmt::format("  {:<12}{}", name, value));
  };
  line("read",
       fmt::format("{} in {} segments of {} shards", ReadableBytes(totals.counts.bytes_read),
                   GroupedNumber(totals.counts.segments), shards));
  line("records", fmt::format("{} in {} batches", GroupedNumber(totals.counts.records),
                              GroupedNumber(totals.counts.batches)));
  line("messages", fmt::format("{} owed, {} settled", GroupedNumber(totals.messages_owed),
                               GroupedNumber(totals.messages_settled())));
  line("recipients",
       fmt::format("{} live, {} dsn pending, {} settled", GroupedNumber(totals.recipients_live),
                   GroupedNumber(totals.recipients_pending),
                   GroupedNumber(totals.recipients_settled())));
  line("damaged", GroupedNumber(report.Count(FindingKind::kDamaged)));
  if (report.Count(FindingKind::kUnreadable) > 0) {
    line("unreadable", GroupedNumber(report.Count(FindingKind::kUnreadable)));
  }
  line("torn", GroupedNumber(report.Count(FindingKind::kTorn)));
  if (report.Count(FindingKind::kDamaged) > 0) {
    PrintLine(
        "What is whole is still delivered. The daemon copies damaged ranges to quarantine/ of "
        "the shard when it starts.");
  }
  if (report.Count(FindingKind::kUnreadable) > 0) {
    PrintLine(
        "What cannot be read may be whole: run this as a user who may read every file, and "
        "look for errors of the device in the kernel's log.");
  }
}

int ExitCode(const Report& report) {
  if (report.Count(FindingKind::kUnreadable) > 0) {
    return kExitSpool;
  }
  return report.Count(FindingKind::kDamaged) > 0 ? kExitFound : kExitOk;
}

// Nothing: the shards to read are in `shards`.
std::optional<int> ChooseShards(const SpoolView& view, const VerifyOptions& options,
                                std::vector<uint16_t>& shards) {
  shards = view.Shards();
  if (!options.shard.has_value()) {
    return std::nullopt;
  }
  if (!view.HasShard(*options.shard)) {
    Complain(fmt::format("{} has no shard {}; it has {}", options.path, *options.shard,
                         fmt::join(shards, ", ")));
    return kExitUsage;
  }
  shards = {*options.shard};
  return std::nullopt;
}

}  // namespace

int Verify(Io& io, const VerifyOptions& options) {
  int exit_code = kExitOk;
  std::optional<SpoolView> view = OpenSpool(io, options.path, exit_code);
  if (!view.has_value()) {
    return exit_code;
  }
  std::vector<uint16_t> shards;
  const std::optional<int> refused = ChooseShards(*view, options, shards);
  if (refused.has_value()) {
    return *refused;
  }
  const bool has_terminal = isatty(STDERR_FILENO) == 1;
  Progress progress(io, view->SegmentBytes(io, shards), has_terminal && !options.is_json);
  Report report(options.is_json, progress);
  for (const std::string& warning : view->warnings()) {
    report.OnFinding({FindingKind::kDamaged, std::nullopt, std::nullopt, std::nullopt, warning});
  }
  Totals totals;
  for (const uint16_t shard : shards) {
    ShardFiles files(io, view->ShardDirectory(shard), {view->node(), shard});
    const absl::Status opened = files.Open();
    if (!opened.ok()) {
      return ComplainOfSpool(fmt::format("{}: shard {:03}", options.path, shard), opened);
    }
    ShardWalk walk(files, view->IsInUse(), report, &progress);
    walk.Run();
    totals.Add(walk);
  }
  progress.Clear();
  if (options.is_json) {
    PrintJsonSummary(totals, report, shards.size(), view->IsInUse());
  } else {
    PrintSummary(totals, report, shards.size(), options.path);
  }
  view->Close(io);
  return ExitCode(report);
}

}  // namespace backstay
