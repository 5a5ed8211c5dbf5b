// tests/sim/primary_connection.h -- one session of a simulated primary.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/peer_socket.h"
#include "tests/sim/primary.h"

namespace backstay {

class PrimaryConnection : private PeerEvents {
 public:
  explicit PrimaryConnection(SimPrimary& primary);

  void Start(Fd socket);
  void Abort() { socket_.Abort(); }
  bool gone() const { return !socket_.started(); }
  // When a slow reply is due, or patience with a silent daemon is over.
  Instant due() const { return std::min(due_, impatient_at_); }
  void OnDue();

 private:
  void OnPeerBytes(std::string_view bytes) override;
  void OnPeerEnd(IoError error) override;
  void OnPeerGone() override;

  void Process();
  void Confirm();
  bool TakeContent();
  void OnCommand(std::string_view line);
  void OnEhlo(bool extended);
  void OnMail(std::string_view line);
  void OnRcpt(std::string_view line);
  void OnData();
  void OnContent(std::string content);
  int CodeFor(std::string_view recipient);
  void Reply(std::string text);
  void Drip();
  bool Draw(uint32_t per_million) { return primary_.random_.Chance(per_million, 1'000'000); }
  void ResetTransaction();

  SimPrimary& primary_;
  PeerSocket socket_;
  std::string input_;
  bool in_content_ = false;
  bool quit_ = false;
  bool told_pipelining_ = false;
  bool told_dsn_ = false;
  std::optional<size_t> content_cut_at_;  // cut when so much has arrived
  bool has_sender_ = false;
  std::string reverse_path_;
  std::vector<std::string> recipients_;
  std::optional<size_t> unconfirmed_;  // a delivery whose 250 may be lost
  Instant due_ = Instant::Max();
  Instant impatient_at_ = Instant::Max();
  Instant connected_at_;
  std::string late_reply_;
};

}  // namespace backstay
