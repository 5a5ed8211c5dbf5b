// tests/sim/primary.cc -- listens, accepts, drives its connections.
#include "tests/sim/primary.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "tests/sim/primary_connection.h"

namespace backstay {

SimPrimary::SimPrimary(World& world, Host& host, uint16_t port, Random random, Ledger& ledger)
    : world_(world),
      host_(host),
      port_(port),
      random_(random),
      ledger_(ledger),
      io_(world.MakeIo(host)) {
  world_.Attach(*io_, *this);
}

SimPrimary::~SimPrimary() {
  world_.Crash(host_, CrashMode::kAllUnsynced);
}

void SimPrimary::Open() {
  if (open()) {
    return;
  }
  absl::StatusOr<Fd> listener = io_->Listen(address(), 128);
  ASSERT(listener.ok());
  listener_ = *listener;
  closing_ = false;
  io_->Accept(&accept_, listener_);
}

void SimPrimary::Close() {
  if (!open() || std::exchange(closing_, true)) {
    return;
  }
  io_->Cancel(&accept_);
  for (const std::unique_ptr<PrimaryConnection>& connection : connections_) {
    connection->Abort();
  }
}

void SimPrimary::OnAccepted(const IoResult& result) {
  if (result.ok()) {
    connections_.push_back(std::make_unique<PrimaryConnection>(*this));
    connections_.back()->Start(result.fd());
    ++connections_accepted_;
    connections_max_ = std::max(connections_max_, connections());
    if (closing_) {
      connections_.back()->Abort();
    }
  }
  if (accept_.in_flight) {
    return;
  }
  if (closing_) {
    io_->Close(std::exchange(listener_, Fd()));
  } else {
    io_->Accept(&accept_, listener_);
  }
}

size_t SimPrimary::connections() const {
  return static_cast<size_t>(
      std::count_if(connections_.begin(), connections_.end(),
                    [](const auto& connection) { return !connection->gone(); }));
}

void SimPrimary::ResetCounts() {
  connections_max_ = connections();
  connections_accepted_ = 0;
}

void SimPrimary::Turn() {
  Instant wake = Instant::Max();
  for (const std::unique_ptr<PrimaryConnection>& connection : connections_) {
    wake = std::min(wake, connection->due());
  }
  io_->Turn(wake);
  for (size_t index = 0; index < connections_.size(); ++index) {
    if (connections_[index]->due() <= io_->Now()) {
      connections_[index]->OnDue();
    }
  }
  std::erase_if(connections_, [](const auto& connection) { return connection->gone(); });
}

std::string PrimaryManners::ToString() const {
  std::string text;
  const auto add = [&text](std::string_view name, uint32_t rate) {
    if (rate != 0) {
      text += fmt::format(" {}={}", name, rate);
    }
  };
  add("greeting_421", greeting_421);
  add("cut_at_greeting", cut_at_greeting);
  add("mail_4xx", mail_4xx);
  add("rcpt_4xx", rcpt_4xx);
  add("data_4xx", data_4xx);
  add("content_4xx", content_4xx);
  add("lost_reply", lost_reply);
  add("cut", cut);
  add("cut_in_content", cut_in_content);
  add("slow", slow);
  text += pipelining ? "" : " no PIPELINING";
  text += eight_bit ? "" : " no 8BITMIME";
  text += dsn ? " DSN" : "";
  return text.empty() ? "healthy" : text.substr(1);
}

}  // namespace backstay
