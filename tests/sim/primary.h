// tests/sim/primary.h -- a simulated primary: takes mail, defers, refuses, is slow, cuts, goes
// down.
//
// An SMTP server of its own, independent of the daemon's. What it does to a recipient for good is
// decided by name (Fate), everything else is drawn from its manners.
//
// Life:     Open() listens; Close() stops and cuts what is open; any number of times.
// Owns:     its Io and connections. Outlives: world, host and ledger outlive it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/random.h"
#include "io/sim/world.h"
#include "tests/sim/ledger.h"

namespace backstay {

// Rates are events per million chances.
struct PrimaryManners {
  uint32_t greeting_421 = 0;     // per connection
  uint32_t cut_at_greeting = 0;  // per connection: closes before the banner
  absl::Duration greeting_after = absl::ZeroDuration();
  uint32_t mail_4xx = 0;
  uint32_t rcpt_4xx = 0;  // per recipient
  uint32_t data_4xx = 0;
  uint32_t content_4xx = 0;     // after the data
  uint32_t lost_reply = 0;      // taken, then the connection is cut before the 250
  uint32_t cut = 0;             // per command: closes instead of a reply, or within it
  uint32_t cut_in_content = 0;  // per message
  uint32_t slow = 0;            // per reply
  absl::Duration slow_max = absl::Seconds(2);
  bool pipelining = true;
  bool eight_bit = true;  // 8BITMIME
  bool dsn = false;       // then it tells senders of successes itself

  std::string ToString() const;
};

class PrimaryConnection;

class SimPrimary : public Actor {
 public:
  SimPrimary(World& world, Host& host, uint16_t port, Random random, Ledger& ledger);
  ~SimPrimary() override;

  void Open();
  void Close();
  bool open() const { return listener_.valid(); }
  void set_manners(const PrimaryManners& manners) { manners_ = manners; }
  void set_name(std::string name) { name_ = std::move(name); }  // in its greeting
  SocketAddress address() const { return host_.address().WithPort(port_); }
  Host& host() { return host_; }

  void Turn() override;

  // Answers 450 to this recipient, always; see ClearSoft.
  void SetSoft(std::string recipient) { soft_.insert(std::move(recipient)); }
  void ClearSoft() { soft_.clear(); }
  // Closes with 421 at this recipient, always.
  void SetPoison(std::string recipient) { poison_.insert(std::move(recipient)); }
  void ClearPoison() { poison_.clear(); }
  size_t gave_up() const { return gave_up_; }  // so often
  // 452 to more recipients of a message; it offers no LIMITS.
  void SetRecipientsMax(size_t recipients) { recipients_max_ = recipients; }
  // As restored without its users: 550 to every recipient. That is no verdict on them.
  void SetEmptied(bool is_emptied) { is_emptied_ = is_emptied; }
  // Loses what stands behind an end of data, though it offers PIPELINING.
  void SetForgetful(bool is_forgetful) { is_forgetful_ = is_forgetful; }

  // Takes no leave: QUIT has no reply, and the connection stays open.
  void SetSilentAtQuit(bool is_silent) { is_silent_at_quit_ = is_silent; }
  // Each byte of a reply so long after the one before it; zero: in one piece.
  void SetDripping(absl::Duration drip) { drip_ = drip; }

  struct Attempt {  // a RCPT that came in
    Instant at;
    std::string recipient;
    int code;
  };
  const std::vector<Attempt>& attempts() const { return attempts_; }
  size_t connections() const;  // open now
  size_t connections_max() const { return connections_max_; }
  size_t connections_accepted() const { return connections_accepted_; }
  uint64_t messages() const { return messages_; }
  // Ends of data that came with the commands of the next message.
  uint64_t chained() const { return chained_; }
  // As it came, with every field that was put before it.
  const std::string& last_content() const { return last_content_; }
  void ResetCounts();  // of connections

 private:
  friend class PrimaryConnection;
  void OnAccepted(const IoResult& result);

  World& world_;
  Host& host_;
  const uint16_t port_;
  Random random_;
  Ledger& ledger_;
  PrimaryManners manners_;
  std::string name_ = "primary.example";
  std::unique_ptr<Io> io_;
  Fd listener_;
  bool closing_ = false;
  std::set<std::string, std::less<>> soft_;
  std::set<std::string, std::less<>> poison_;
  size_t gave_up_ = 0;
  size_t recipients_max_ = SIZE_MAX;
  bool is_emptied_ = false;
  bool is_forgetful_ = false;
  bool is_silent_at_quit_ = false;
  absl::Duration drip_;
  std::vector<std::unique_ptr<PrimaryConnection>> connections_;
  std::vector<Attempt> attempts_;
  size_t connections_max_ = 0;
  size_t connections_accepted_ = 0;
  uint64_t messages_ = 0;
  uint64_t chained_ = 0;
  std::string last_content_;
  Completion<&SimPrimary::OnAccepted> accept_{this};
};

}  // namespace backstay
