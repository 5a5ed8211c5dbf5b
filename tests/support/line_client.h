// tests/support/line_client.h -- a raw SMTP client on a simulated host: bytes out, reply lines in.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "io/sim/world.h"
#include "io/stream.h"
#include "io/tls/context.h"

namespace backstay {

class LineClient : public Actor, private StreamEvents {
 public:
  LineClient(World& world, Host& host, const SocketAddress& server);
  ~LineClient() override;

  void Send(const std::string& bytes);
  // The next reply line without CRLF, waiting at most `at_most` of virtual time.
  std::optional<std::string> NextLine(absl::Duration at_most);
  // True when the server has closed and no line is left.
  bool WaitClosed(absl::Duration at_most);
  void Disconnect();
  // The client's half of a handshake, any certificate will do. False: it failed, or took longer.
  bool StartTls(const TlsContext& context, absl::Duration at_most);
  // What was sent, then close_notify and the end.
  void CloseAfterSend();
  // Of what was sent: what the network has not taken yet.
  size_t unsent_bytes() const { return waiting_.size() + stream_.queued_bytes(); }
  void Turn() override;

 private:
  void OnConnected(const IoResult& result);
  size_t OnStreamBytes(Bytes bytes) override;
  void OnStreamEnd(IoError error) override;
  void OnStreamDrained() override {}
  void OnStreamSecure() override { secure_ = true; }
  void OnStreamClosed() override { ended_ = closed_ = true; }

  World& world_;
  std::unique_ptr<Io> io_;
  Outbox outbox_;
  Stream stream_;
  std::string input_;
  std::string waiting_;  // to be sent once connected
  List<PendingHandshake> turns_;
  bool connected_ = false;
  bool secure_ = false;
  bool ended_ = false;
  bool closed_ = false;
  Completion<&LineClient::OnConnected> connect_{this};
};

}  // namespace backstay
