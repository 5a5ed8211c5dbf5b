// tests/sim/client.h -- a simulated client: offers messages to the daemon, well-behaved or not.
//
// It never offers a message twice: what was not stored is offered as another one. It tells the
// ledger what it sent and what it was answered.
//
// Life:     connects, sends, closes, again, until its messages are used up or Finish(); done() at
//           the end.
// Owns:     its Io and its one connection. Outlives: world, host and ledger outlive it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/random.h"
#include "io/sim/world.h"
#include "tests/sim/ledger.h"
#include "tests/sim/message.h"
#include "tests/sim/peer_socket.h"

namespace backstay {

// Rates are events per million chances.
struct ClientManners {
  uint32_t pipelined = 500'000;  // per connection
  uint32_t pipeline_next =
      200'000;          // per message of such a one: the next MAIL right behind the dot
  uint32_t cut = 0;     // per connection: closes after a drawn number of bytes
  uint32_t abrupt = 0;  // per connection: no QUIT
  uint32_t silent = 0;  // per message: says nothing more until it is thrown out
  uint32_t reset = 0;   // per message: RSET instead of DATA
  uint32_t helo = 0;    // per connection: HELO instead of EHLO
  size_t messages_per_connection_max = 4;
  absl::Duration pause_max = absl::Seconds(1);  // between connections

  std::string ToString() const;
};

class SimClient : public Actor, private PeerEvents {
 public:
  struct Setup {
    SocketAddress server;
    size_t messages = 10;  // drawn ones
    MessageShape shape;
    ClientManners manners;
    // RFC 5321 s4.5.3.2.6: the longest wait of a client is that for the reply to the end of data.
    absl::Duration patience = absl::Minutes(10);
    uint64_t* numbers = nullptr;  // the next message's number, shared by all clients of a world
  };
  SimClient(World& world, Host& host, const Setup& setup, Random random, Ledger& ledger);
  ~SimClient() override;

  // Before or among the drawn ones; returns nothing: the ledger names it when it is offered.
  void Enqueue(Message message);
  void Finish() { messages_left_ = 0; }  // the connection that is open goes on to its end
  bool done() const;
  size_t stored() const { return stored_; }
  size_t refused() const { return refused_; }  // by a reply: at MAIL, at DATA or behind it
  int last_final_code() const { return last_final_code_; }

  void Turn() override;

 private:
  enum class Kind : uint8_t { kGreeting, kEhlo, kMail, kRcpt, kReset, kData, kContent, kQuit };
  struct Expected {
    Kind kind;
    size_t message = 0;    // number in the ledger
    size_t recipient = 0;  // index in the message
  };

  void OnPeerBytes(std::string_view bytes) override;
  void OnPeerEnd(IoError error) override;
  void OnPeerGone() override;
  void OnConnected(const IoResult& result);

  void OnTimer();
  void Connect();
  void Pause();
  void OnReply(int code, std::string_view text);
  void OnUnexpected(int code);
  void NextMessage();
  void StartMessage(size_t number);
  void NextCommand(size_t number, size_t recipient);
  void OnDataReply(size_t number, int code);
  void OnFinal(size_t number, int code, std::string_view text);
  void SendContent(size_t number);
  bool Write(std::string_view text);
  bool Command(Expected expected, std::string_view text);
  bool Draw(uint32_t per_million) { return random_.Chance(per_million, 1'000'000); }
  bool HasMessage() const { return messages_left_ > 0 || !queued_.empty(); }

  World& world_;
  Host& host_;
  const Setup setup_;
  Random random_;
  Ledger& ledger_;
  std::unique_ptr<Io> io_;
  PeerSocket socket_;
  Completion<&SimClient::OnConnected> connect_{this};
  std::deque<Message> queued_;
  size_t messages_left_;
  Instant began_at_;  // to connect
  Instant due_;       // when OnTimer runs: the next connection, or patience with this one
  std::string input_;
  std::deque<Expected> expected_;
  bool pipelined_ = false;
  bool quitting_ = false;
  bool next_started_ = false;  // pipelined behind the content that is being answered
  size_t messages_on_connection_ = 0;
  size_t accepted_recipients_ = 0;  // of the message whose recipients are being answered
  uint64_t bytes_until_cut_ = 0;
  size_t stored_ = 0;
  size_t refused_ = 0;
  int last_final_code_ = 0;
};

}  // namespace backstay
