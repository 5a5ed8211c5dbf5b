// core/shard/probe.cc -- one short session without mail.
#include "core/shard/probe.h"

#include <fmt/format.h>

#include <utility>

#include "core/base/check.h"
#include "core/shard/failure_text.h"

namespace backstay {
namespace {

// DESIGN 6: a connected but silent primary gets this long before another probe is due beside it;
// one after the other serves the same end and keeps to one connection.
constexpr absl::Duration kPatience = absl::Seconds(15);

}  // namespace

Probe::Probe(const OutboundParts& parts, ProbeEvents& events) : parts_(parts), events_(events) {}

void Probe::Start(const std::vector<PrimaryHost>& hosts, std::string_view hostname) {
  ASSERT(!running_);
  ASSERT(!hosts.empty());
  hosts_ = hosts;
  hostname_.assign(hostname);
  next_ = 0;
  answered_ = -1;
  running_ = true;
  TryNext();
}

void Probe::Stop() {
  running_ = false;
  parts_.wheel.Cancel(&patience_);
  if (connection_ != nullptr && !connection_closed_) {
    connection_->Close();
  }
}

void Probe::TryNext() {
  previous_ = std::move(connection_);
  OutboundEvents& events = *this;
  connection_ = std::make_unique<OutboundConnection>(parts_, hostname_, events);
  connection_closed_ = false;
  parts_.wheel.Insert(&patience_, parts_.io.Now() + kPatience);
  connection_->Connect(hosts_[next_]);
}

void Probe::OnOutboundReady(OutboundConnection& connection) {
  answered_ = static_cast<int>(next_);
  connection.Quit();
}

void Probe::OnOutboundContentWanted(OutboundConnection&) {
  UNREACHABLE();  // a probe starts no transaction
}

void Probe::OnOutboundClosed(OutboundConnection& connection) {
  connection_closed_ = true;
  parts_.wheel.Cancel(&patience_);
  if (!running_) {
    return;
  }
  if (answered_ < 0) {
    if (connection.tls_fallback()) {
      TryNext();  // the same address
      return;
    }
    reason_ = fmt::format("{}: {}", connection.address().ToString(), FailureText(connection));
    if (++next_ < hosts_.size()) {
      TryNext();
      return;
    }
  }
  running_ = false;
  events_.OnProbeOver(answered_, reason_);
}

}  // namespace backstay
