// core/shard/probe.h -- asks a primary whether it is back: connect, banner, EHLO, QUIT. No mail.
//
// Life:  Start() tries the addresses in order until one answers EHLO; ProbeEvents::OnProbeOver
//        once. Then it may be started again.
// Turn:  events come from Io::Turn or the timer wheel.
// See:   DESIGN 6 "Down".
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/dns/primary_host.h"
#include "core/shard/outbound.h"

namespace backstay {

class ProbeEvents {
 public:
  // `answered`: index of the address that answered EHLO, or -1. `reason` for logs when none did.
  virtual void OnProbeOver(int answered, std::string_view reason) = 0;

 protected:
  ~ProbeEvents() = default;
};

class Probe : private OutboundEvents {
 public:
  Probe(const OutboundParts& parts, ProbeEvents& events);

  void Start(const std::vector<PrimaryHost>& hosts, std::string_view hostname);
  // Ends it; OnProbeOver is not told.
  void Stop();
  bool running() const { return running_; }
  // Nothing in flight: safe to destroy.
  bool idle() const { return connection_ == nullptr || connection_closed_; }

 private:
  void OnOutboundReady(OutboundConnection& connection) override;
  void OnOutboundContentWanted(OutboundConnection& connection) override;
  void OnOutboundClosed(OutboundConnection& connection) override;
  void OnPatienceOver() { connection_->TimeOut(); }
  void TryNext();

  const OutboundParts parts_;
  ProbeEvents& events_;
  std::vector<PrimaryHost> hosts_;
  std::string hostname_;
  size_t next_ = 0;
  int answered_ = -1;
  bool running_ = false;
  bool connection_closed_ = false;
  std::string reason_;
  Alarm<&Probe::OnPatienceOver> patience_{this};
  std::unique_ptr<OutboundConnection> connection_;
  std::unique_ptr<OutboundConnection> previous_;  // destroyed later than from its own last event
};

}  // namespace backstay
