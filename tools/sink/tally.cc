// tools/sink/tally.cc -- counting, and one JSON object.
#include "tools/sink/tally.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

namespace backstay {
namespace {

// 64 bits tell a billion deliveries apart but for one chance in forty.
uint64_t KeyOf(uint64_t id, std::string_view recipient) {
  return (id * 0x9e3779b97f4a7c15) ^ std::hash<std::string_view>()(recipient);
}

}  // namespace

void Tally::Begin(Instant now, WallTime wall) {
  begin_ = now;
  wall_begin_ = wall;
}

void Tally::OnTaken(const StampReader& stamp, uint64_t bytes,
                    const std::vector<std::string>& recipients, Instant now) {
  first_ = taken_ == 0 ? now : first_;
  last_ = now;
  ++taken_;
  bytes_ += bytes;
  recipients_ += recipients.size();
  const auto second = static_cast<size_t>((now - begin_) / absl::Seconds(1));
  seconds_.resize(std::max(seconds_.size(), second + 1));
  ++seconds_[second];
  switch (stamp.Finish()) {
    case StampReader::Verdict::kNoStamp:
      ++unstamped_;
      return;
    case StampReader::Verdict::kIntact:
      ++intact_;
      break;
    case StampReader::Verdict::kDamaged:
      ++damaged_;
      break;
  }
  for (const std::string& recipient : recipients) {
    duplicates_ += seen_.insert(KeyOf(stamp.stamp().id, recipient)).second ? 0 : 1;
    ledger_.Add(stamp.stamp().id, recipient);
  }
}

void Tally::OnVerdict(SinkPhase phase, const SinkVerdict& verdict) {
  switch (verdict.action) {
    case SinkVerdict::Action::kGoOn:
      return;
    case SinkVerdict::Action::kReply:
      OnRefusal(phase, verdict.code);
      return;
    case SinkVerdict::Action::kStall:
      ++refusals_[fmt::format("{} stall", Describe(phase))];
      return;
    case SinkVerdict::Action::kCut:
      ++refusals_[fmt::format("{} cut", Describe(phase))];
      return;
  }
}

void Tally::OnRefusal(SinkPhase phase, int code) {
  ++refusals_[fmt::format("{} {}", Describe(phase), code)];
}

void Tally::OnConnection(size_t open) {
  ++connections_;
  connections_most_ = std::max(connections_most_, open);
}

std::string Tally::Json(Instant now, const std::string& extra) const {
  const auto since_epoch = [this](Instant at) {
    const absl::Duration wall = absl::Nanoseconds(wall_begin_.nanoseconds()) + (at - begin_);
    return absl::ToDoubleSeconds(wall);
  };
  const double taking = absl::ToDoubleSeconds(last_ - first_);
  nlohmann::ordered_json json;
  json["tool"] = "backstay-sink";
  json["seconds"] = absl::ToDoubleSeconds(now - begin_);
  json["taken"] = taken_;
  json["recipients"] = recipients_;
  json["bytes"] = bytes_;
  json["rate"] = taking > 0 ? static_cast<double>(taken_ - 1) / taking : 0;
  json["intact"] = intact_;
  json["damaged"] = damaged_;
  json["unstamped"] = unstamped_;
  json["duplicates"] = duplicates_;
  json["violations"] = violations_;
  json["connections"] = connections_;
  json["connections_most"] = connections_most_;
  json["secure"] = secure_;
  json["refusals"] = refusals_;
  json["first_at"] = taken_ == 0 ? 0 : since_epoch(first_);
  json["last_at"] = taken_ == 0 ? 0 : since_epoch(last_);
  json["series"] = seconds_;
  std::string text = json.dump();
  text.insert(text.size() - 1, extra);
  return text;
}

}  // namespace backstay
