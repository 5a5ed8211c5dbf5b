// core/shard/conversation.h -- what a client says now: its session, its mail, what both wait for.
//
// Life:     lent to an InboundConnection from the first byte of a command until nothing is begun,
//           awaited or unsent; then cleared for the next.
// Owns:     the session with its buffers. The transaction is its shard's.
#pragma once

#include <cstdint>
#include <memory>

#include "core/queue/timer_wheel.h"
#include "core/shard/recipient_clerk.h"
#include "core/shard/transaction.h"
#include "core/smtp/proxy_header.h"
#include "core/smtp/server_session.h"
#include "spool/spool.h"

namespace backstay {

class InboundConnection;

struct Conversation {
  class Uncongested final : public CongestionWaiter {
   public:
    void OnUncongested() override;
    InboundConnection* owner = nullptr;
  };
  class Judged final : public RecipientWaiter {
   public:
    void OnRecipientJudged(const Reply& reply) override;
    InboundConnection* owner = nullptr;
  };
  class Pause final : public Timer {
   public:
    void OnTimer() override;
    InboundConnection* owner = nullptr;
  };

  Conversation(const ServerParams& params, Intake& intake) : session(params, intake) {}
  void Begin(InboundConnection& owner);
  // Nothing is begun, awaited or unsent.
  bool at_rest() const;
  // Waits for nothing more. The transaction is gone.
  void Clear();

  ServerSession session;
  std::unique_ptr<ProxyHeader> proxy_header;  // not whole yet
  Uncongested uncongested;
  Judged judged;
  Pause pause;  // of clients who make many mistakes
  Transaction* transaction = nullptr;
  uint32_t content_bytes = 0;  // since the last progress
  bool in_message = false;     // 354 was said, and the end of data is not here
  bool awaits_client = false;  // what is judged is the client, and then the recipient
};

}  // namespace backstay
