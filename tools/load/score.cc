// tools/load/score.cc -- counting is cheap; text is made at the end.
#include "tools/load/score.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace backstay {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::pair<const char*, double>, 6> kPercentiles = {
    {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999}, {"max", 1}}};

// Of this process, the kernel's workers for its ring included.
std::array<int64_t, 2> CpuNow() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto microseconds = [](const timeval& time) {
    return int64_t{time.tv_sec} * 1'000'000 + time.tv_usec;
  };
  return {microseconds(usage.ru_utime), microseconds(usage.ru_stime)};
}

double Microseconds(absl::Duration duration) {
  return absl::ToDoubleMicroseconds(duration);
}

Json JsonOf(const Histogram& histogram) {
  Json json;
  json["count"] = histogram.count();
  json["mean"] = Microseconds(histogram.Mean());
  for (const auto& [name, share] : kPercentiles) {
    json[name] = Microseconds(histogram.Percentile(share));
  }
  Json parts = Json::array();
  for (const auto& [upper, count] : histogram.Parts()) {
    parts.push_back(Json::array({Microseconds(upper), count}));
  }
  json["parts"] = std::move(parts);
  return json;
}

std::string Milliseconds(absl::Duration duration) {
  return fmt::format("{:.3f} ms", absl::ToDoubleMilliseconds(duration));
}

std::string LineOf(const char* name, const Histogram& histogram) {
  std::string line = fmt::format("{:<12}", name);
  for (const auto& [label, share] : kPercentiles) {
    line += fmt::format(" {} {}", label, Milliseconds(histogram.Percentile(share)));
  }
  return line + "\n";
}

}  // namespace

void Score::Begin(Instant now, uint64_t under_way) {
  *this = Score();
  offered_ = under_way;
  begin_ = now;
  end_ = now;
  cpu_begin_ = CpuNow();
}

Score::Second& Score::SecondAt(Instant now) {
  const auto second = static_cast<size_t>(std::max<int64_t>(0, (now - begin_) / absl::Seconds(1)));
  if (second >= seconds_.size()) {
    seconds_.resize(second + 1);
  }
  return seconds_[second];
}

void Score::OnDraftBegun(const Draft& draft) {
  ++offered_;
  begun_.Record(draft.started - draft.intended);
  ++SecondAt(draft.started).offered;
}

void Score::OnDraftEnded(const Draft& draft, const Ending& ending, Instant now) {
  end_ = now;
  switch (ending.kind) {
    case Ending::Kind::kAcknowledged:
      ++acknowledged_;
      recipients_ += draft.accepted;
      latency_.Record(now - draft.intended);
      commit_.Record(now - draft.ended);
      ++SecondAt(now).acknowledged;
      return;
    case Ending::Kind::kRefused:
      ++refused_;
      refusal_.Record(now - draft.intended);
      ++refusals_[Describe(ending)];
      ++SecondAt(now).refused;
      return;
    case Ending::Kind::kLost:
      ++lost_;
      timed_out_ += ending.error == IoError::kTimedOut ? 1 : 0;
      unanswered_ += ending.error == IoError::kCanceled ? 1 : 0;
      ++refusals_[Describe(ending)];
      ++SecondAt(now).lost;
      return;
    case Ending::Kind::kCut:
      ++cut_;
      return;
  }
}

void Score::OnSessionEnded(const Ending& ending) {
  if (ending.kind == Ending::Kind::kRefused || ending.kind == Ending::Kind::kLost) {
    ++session_errors_[Describe(ending)];
  }
}

uint64_t Score::errors() const {
  uint64_t sum = refused_ + lost_;
  for (const auto& [name, count] : session_errors_) {
    sum += count;
  }
  return sum;
}

double Score::Seconds() const {
  return absl::ToDoubleSeconds(end_ - begin_);
}

double Score::Rate() const {
  return Seconds() > 0 ? static_cast<double>(acknowledged_) / Seconds() : 0;
}

std::string Score::Json(const std::string& extra) const {
  const std::array<int64_t, 2> cpu = CpuNow();
  nlohmann::ordered_json json;
  json["tool"] = "backstay-load";
  json["seconds"] = Seconds();
  json["rate"] = Rate();
  json["messages"] = {{"offered", offered_},
                      {"answered", acknowledged_ + refused_},
                      {"acknowledged", acknowledged_},
                      {"refused", refused_},
                      {"lost", lost_},
                      {"timed_out", timed_out_},
                      {"unanswered", unanswered_},
                      {"cut", cut_}};
  json["unsent"] = unsent_;
  json["recipients"] = recipients_;
  json["sessions"] = sessions_;
  json["session_rate"] = Seconds() > 0 ? static_cast<double>(sessions_) / Seconds() : 0;
  json["errors"] = refusals_;
  json["session_errors"] = session_errors_;
  json["latency_us"] = JsonOf(latency_);
  json["commit_us"] = JsonOf(commit_);
  json["refusal_us"] = JsonOf(refusal_);
  json["begun_us"] = JsonOf(begun_);
  json["cpu_s"] = {{"user", static_cast<double>(cpu[0] - cpu_begin_[0]) / 1e6},
                   {"system", static_cast<double>(cpu[1] - cpu_begin_[1]) / 1e6}};
  nlohmann::ordered_json series = nlohmann::ordered_json::array();
  for (const Second& second : seconds_) {
    series.push_back({second.acknowledged, second.refused, second.lost, second.offered});
  }
  json["series"] = std::move(series);
  std::string text = json.dump();
  text.insert(text.size() - 1, extra);
  return text;
}

std::string Score::Text() const {
  std::string text = fmt::format(
      "{} acknowledged in {:.2f} s: {:.0f}/s; {} refused, {} lost, {} cut; {} sessions\n",
      acknowledged_, Seconds(), Rate(), refused_, lost_, cut_, sessions_);
  if (unsent_ > 0 || lost_ > 0) {
    text += fmt::format("{} of {} due were never sent, {} lost: no percentile knows of them\n",
                        unsent_, offered_ + unsent_, lost_);
  }
  if (latency_.count() > 0) {
    text += LineOf("latency", latency_) + LineOf("commit", commit_);
  }
  if (refusal_.count() > 0) {
    text += LineOf("refusals", refusal_);
  }
  for (const auto& [name, count] : refusals_) {
    text += fmt::format("{:>10}  {}\n", count, name);
  }
  for (const auto& [name, count] : session_errors_) {
    text += fmt::format("{:>10}  {} (session)\n", count, name);
  }
  return text;
}

std::string Score::ProgressLine(Instant now, uint64_t behind) const {
  const auto second = static_cast<size_t>(std::max<int64_t>(0, (now - begin_) / absl::Seconds(1)));
  const bool known = second > 0 && second - 1 < seconds_.size();
  return fmt::format("{:5} s  {:7} /s  p50 {}  p99 {}  {} errors{}", second,
                     known ? seconds_[second - 1].acknowledged : 0,
                     Milliseconds(latency_.Percentile(0.5)),
                     Milliseconds(latency_.Percentile(0.99)), errors(),
                     behind > 0 ? fmt::format("  {} wait to be sent", behind) : "");
}

}  // namespace backstay
