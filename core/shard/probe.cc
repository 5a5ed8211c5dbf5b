// core/shard/probe.cc -- one short session without mail.
#include "core/shard/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/mark.h"
#include "core/shard/failure_text.h"

namespace backstay {
namespace {

// A host is asked again, or the next one, when it has been silent for so long.
constexpr absl::Duration kPatience = absl::Seconds(15);

}  // namespace

Probe::Probe(const OutboundParts& parts, ProbeEvents& events) : parts_(parts), events_(events) {}

void Probe::Start(const std::vector<PrimaryHost>& hosts, std::string_view hostname) {
  ASSERT(!running_);
  ASSERT(!hosts.empty());
  hosts_ = hosts;
  hostname_.assign(hostname);
  running_ = true;
  std::erase_if(tries_, [](const auto& one) { return one->closed; });
  Ask(0);
}

void Probe::Stop() {
  EndRound();
  for (const std::unique_ptr<Try>& one : tries_) {
    if (!one->closed) {
      one->connection.Close();
    }
  }
}

bool Probe::idle() const {
  return std::all_of(tries_.begin(), tries_.end(), [](const auto& one) { return one->closed; });
}

Probe::Try& Probe::Of(const OutboundConnection& connection) {
  return **std::find_if(tries_.begin(), tries_.end(),
                        [&](const auto& one) { return &one->connection == &connection; });
}

void Probe::Ask(size_t host) {
  const auto open = static_cast<size_t>(
      std::count_if(tries_.begin(), tries_.end(), [](const auto& one) { return !one->closed; }));
  if (open >= kTriesMax) {
    MARK("probe_left_the_longest_silent");
    const auto longest =
        std::find_if(tries_.begin(), tries_.end(), [](const auto& one) { return !one->closed; });
    (*longest)->connection.Close();
  }
  OutboundEvents& events = *this;
  tries_.push_back(std::make_unique<Try>(parts_, hostname_, events, host));
  parts_.wheel.Insert(&patience_, parts_.io.Now() + kPatience);
  tries_.back()->connection.Connect(hosts_[host]);
}

void Probe::EndRound() {
  running_ = false;
  parts_.wheel.Cancel(&patience_);
}

void Probe::NextHost(bool is_soft) {
  const size_t next = tries_.back()->host + 1;
  if (next < hosts_.size()) {
    return Ask(next);
  }
  EndRound();
  events_.OnProbeFailed(is_soft, reason_);
}

void Probe::OnPatienceOver() {
  MARK("probe_goes_on_beside_a_silent_host");
  reason_ =
      fmt::format("{}: no answer for {} seconds", tries_.back()->connection.address().ToString(),
                  absl::ToInt64Seconds(kPatience));
  NextHost(/*is_soft=*/true);
}

void Probe::OnOutboundReady(OutboundConnection& connection) {
  Try& asked = Of(connection);
  asked.answered = true;
  connection.Quit();
  EndRound();
  events_.OnProbeAnswered(asked.host);
}

void Probe::OnOutboundContentWanted(OutboundConnection&) {
  UNREACHABLE();  // a probe starts no transaction
}

void Probe::OnOutboundClosed(OutboundConnection& connection) {
  Try& ended = Of(connection);
  ended.closed = true;
  if (ended.answered || !running_ || &ended != tries_.back().get()) {
    return;  // that was told, or it was silent for too long before
  }
  if (connection.tls_fallback()) {
    return Ask(ended.host);
  }
  if (connection.session().failure() == ClientSession::Failure::kSelf) {
    EndRound();
    return events_.OnProbeMetOurselves(connection);
  }
  reason_ = FailureThere(connection);
  NextHost(IsSoftFailure(connection));
}

}  // namespace backstay
