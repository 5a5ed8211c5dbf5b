// tests/core/smtp/allocation_test.cc -- no heap allocation per message in steady state.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <string>

#include "core/smtp/envelope.h"
#include "core/smtp/server_session.h"
#include "core/smtp/trace_fields.h"

namespace {

size_t allocations = 0;

void* Counted(size_t bytes) {
  ++allocations;
  void* memory = std::malloc(bytes);
  if (memory == nullptr) {
    std::abort();
  }
  return memory;
}

}  // namespace

void* operator new(size_t bytes) {
  return Counted(bytes);
}
void* operator new[](size_t bytes) {
  return Counted(bytes);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, size_t) noexcept {
  std::free(memory);
}

namespace backstay {
namespace {

// Does with a transaction what a shard does: envelope, Received field, encoding.
class CollectingIntake : public Intake {
 public:
  Reply OnMail(std::string_view reverse_path, const MailParams& params) override {
    envelope_.Clear();
    envelope_.reverse_path.assign(reverse_path);
    envelope_.body = params.body;
    envelope_.envelope_id.assign(params.envelope_id);
    return replies::kMailOk;
  }
  std::optional<Reply> OnRcpt(std::string_view address, const RcptParams& params) override {
    Recipient& added = envelope_.AddRecipient();
    added.address.assign(address);
    added.original_recipient.assign(params.original_recipient);
    added.notify = params.notify;
    return replies::kRcptOk;
  }
  Reply OnData() override { return replies::kOk; }
  void OnContent(Bytes) override {}
  void OnEndOfData(bool) override {
    record_.clear();
    EncodeEnvelope(envelope_, record_);
    Trace trace;
    trace.helo = "a.rather.long.name.of.a.client.example";
    trace.client_address_literal = "192.0.2.1";
    trace.hostname = "mx2.example.net";
    trace.queue_id = "0123456789BCDFGH";
    trace.recipient = envelope_.recipients[0].address;
    AppendReceived(trace, record_);
  }
  void OnReset() override {}

 private:
  Envelope envelope_;
  std::string record_;
};

void Take(ServerSession& session, std::string_view text) {
  EXPECT_EQ(session.Consume(AsBytes(text)), text.size());
  if (session.awaiting_finish()) {
    session.FinishData(replies::kOk);
  }
  session.DropOutput(session.output().size());
}

void SendMessage(ServerSession& session, SessionMemory& memory, Intake& intake) {
  Take(session,
       "MAIL FROM:<a.sender.with.a.long.address@example.org> SIZE=100 BODY=8BITMIME "
       "ENVID=an.envelope.id.that.is.long\r\n"
       "RCPT TO:<a.recipient.with.a.long.address@our.example> NOTIFY=NEVER "
       "ORCPT=rfc822;a.recipient.with.a.long.address@our.example\r\n"
       "RCPT TO:<another.recipient.with.a.long.address@our.example>\r\nDA");
  Take(session, "TA\r\n");
  Take(session, "Received: from a by b; c\r\nSubject: x\r\n\r\n..text\r\n.");
  Take(session, "\r\n");
  session.Rest(memory);
  session.Clear();
  session.Wake(memory, intake);
}

TEST(ServerSession, SteadyStateAllocatesNothing) {
  ServerParams params;
  params.hostname = "mx2.example.net";
  params.message_bytes_max = 1 << 20;
  params.recipients_max = 10;
  CollectingIntake intake;
  ServerSession session(params, intake);
  SessionMemory memory;
  session.Greet();
  Take(session, "EHLO a.rather.long.name.of.a.client.example\r\n");
  for (int warm_up = 0; warm_up < 3; ++warm_up) {
    SendMessage(session, memory, intake);
  }
  const size_t before = allocations;
  EXPECT_GT(before, 0u);
  for (int i = 0; i < 100; ++i) {
    SendMessage(session, memory, intake);
  }
  EXPECT_EQ(allocations, before);
}

}  // namespace
}  // namespace backstay
