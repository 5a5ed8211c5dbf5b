// tests/core/control/admin_client_test.cc -- clients that leave, say too much, or may not ask.
#include "core/control/admin_client.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/log.h"

namespace backstay {
namespace {

constexpr size_t kShards = 2;
constexpr size_t kPiece = 8 * 1024;

class NoReload final : public ReloadHome {
  uint64_t Begin(bool) override { return 0; }
};

// One end of a socket is the operator's, the shards only say what a test wants.
class AdminClientTest : public testing::Test {
 protected:
  AdminClientTest() {
    SetLogSink([](LogLevel, std::string_view) {});
    desk_.Start();
    Answer();
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends_), 0);
  }
  ~AdminClientTest() override {
    Leave();
    SetLogSink(nullptr);
  }

  void Open(bool may) {
    client_ = std::make_unique<AdminClient>(shared_, ends_[0], AdminPeer{7, 8, may});
  }
  void Leave() {
    if (ends_[1] >= 0) {
      close(ends_[1]);
      ends_[1] = -1;
    }
  }
  // As much as the client takes.
  void Say(std::string_view text) {
    while (!text.empty() && (client_->events() & POLLIN) != 0) {
      const ssize_t bytes = send(ends_[1], text.data(), std::min(text.size(), kPiece), 0);
      ASSERT_GT(bytes, 0);
      text.remove_prefix(static_cast<size_t>(bytes));
      client_->OnReadable();
    }
  }
  // What the operator has read.
  std::string Heard() {
    while ((client_->events() & POLLOUT) != 0) {
      client_->OnWritable();
    }
    std::string text(65536, '\0');
    const ssize_t bytes = recv(ends_[1], text.data(), text.size(), 0);
    text.resize(bytes > 0 ? static_cast<size_t>(bytes) : 0);
    return text;
  }
  // Every shard does what it was asked; how many were asked something.
  size_t Answer() {
    size_t asked = 0;
    for (size_t shard = 0; shard < kShards; ++shard) {
      post_.Drain(shard, [&](const ShardMessage& message) {
        ++asked;
        ShardMessage reply{.kind = ShardMessage::Kind::kAnswered, .question = message.question};
        if (message.kind == ShardMessage::Kind::kRule) {
          reply = {.kind = ShardMessage::Kind::kRuleAnswer};
          reply.answer = {message.order->number, shard, RuleResult::kDone, 1};
          epochs_ = message.order->rule.epoch;
        }
        post_.Post(shard, post_.desk(), reply);
      });
    }
    desk_.Poll();
    return asked;
  }

  int ends_[2] = {-1, -1};
  PostOffice post_{kShards};
  RuleDesk desk_{post_};
  NoReload reload_;
  AdminShared shared_{desk_, reload_, nullptr, std::nullopt};
  uint64_t epochs_ = 0;
  std::unique_ptr<AdminClient> client_;
};

TEST_F(AdminClientTest, RequestsOfOneConnectionAreAnsweredInOrder) {
  Open(/*may=*/true);
  Say("{\"verb\":\"hold\",\"all\":true}\n{\"verb\":\"release\",\"all\":true}\n{\"verb\":\"x\"}\n");
  EXPECT_TRUE(client_->is_working());
  EXPECT_EQ(client_->events(), 0);  // what comes meanwhile stays in the socket
  std::string heard;
  for (int turn = 0; turn < 3; ++turn) {
    Answer();
    client_->Step();
    heard += Heard();
  }
  EXPECT_EQ(heard,
            "{\"result\":\"ok\",\"recipients\":2}\n{\"result\":\"ok\",\"recipients\":2}\n"
            "{\"result\":\"usage\",\"message\":\"there is no verb 'x'\"}\n");
  EXPECT_TRUE(client_->is_over());
}

TEST_F(AdminClientTest, WhoeverMayNotAskIsToldAndNothingIsRead) {
  Open(/*may=*/false);
  EXPECT_EQ(client_->events(), POLLOUT);
  EXPECT_FALSE(client_->is_over());
  EXPECT_NE(Heard().find("\"result\":\"denied\""), std::string::npos);
  EXPECT_TRUE(client_->is_over());
}

TEST_F(AdminClientTest, ALineIsBounded) {
  Open(/*may=*/true);
  Say(std::string(kRequestBytesMax, ' '));
  EXPECT_EQ(client_->events(), POLLIN);
  Say(std::string(32 * 1024, ' '));
  EXPECT_NE(Heard().find("too long"), std::string::npos);
  EXPECT_TRUE(client_->is_over());
}

TEST_F(AdminClientTest, AHalfClosedConnectionStillGetsItsAnswer) {
  Open(/*may=*/true);
  Say("{\"verb\":\"hold\",\"all\":true}\n{\"verb\":\"hold\",\"all\":true");
  shutdown(ends_[1], SHUT_WR);
  Answer();
  client_->Step();
  EXPECT_EQ(client_->events(), POLLIN | POLLOUT);
  client_->OnReadable();
  EXPECT_FALSE(client_->is_over());
  EXPECT_EQ(Heard(), "{\"result\":\"ok\",\"recipients\":2}\n");
  EXPECT_TRUE(client_->is_over());
}

TEST_F(AdminClientTest, NothingMoreIsAskedForOneWhoIsGone) {
  Open(/*may=*/true);
  Say("{\"verb\":\"list\"}\n");
  Leave();
  client_->OnHangUp();
  EXPECT_EQ(client_->socket(), -1);
  client_->Step();
  EXPECT_FALSE(client_->is_over());  // a shard has the question
  EXPECT_EQ(Answer(), 1u);
  client_->Step();
  EXPECT_TRUE(client_->is_over());
  EXPECT_EQ(Answer(), 0u);  // not the other shard
}

TEST_F(AdminClientTest, AnOrderThatHasBegunEndsWithoutItsClient) {
  Open(/*may=*/true);
  Say("{\"verb\":\"hold\",\"all\":true}\n");
  client_->OnHangUp();
  client_->Step();
  EXPECT_FALSE(client_->is_over());
  EXPECT_EQ(Answer(), kShards);
  client_->Step();
  EXPECT_TRUE(client_->is_over());
  EXPECT_EQ(shared_.rule_turn, nullptr);
  EXPECT_EQ(epochs_, 1u);
}

// It hangs up between two pieces, when no shard has a part of the order.
TEST_F(AdminClientTest, AnOrderForMessagesThatHasBegunGoesOnWithoutItsClient) {
  for (const bool is_dry_run : {false, true}) {
    Open(/*may=*/true);
    Say(std::string("{\"verb\":\"delete\",\"ids\":[\"0000000000000000\"]") +
        (is_dry_run ? ",\"dry_run\":true}\n" : "}\n"));
    EXPECT_EQ(Answer(), 1u);  // a piece; these shards never come to the end of a list
    client_->OnHangUp();
    client_->Step();
    EXPECT_EQ(client_->is_over(), is_dry_run);
    EXPECT_EQ(Answer(), is_dry_run ? 0u : 1u);
    client_.reset();
    Leave();
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends_), 0);
  }
}

TEST_F(AdminClientTest, AnOrderThatWaitsGoesWithItsClient) {
  const auto other = MakeJob(shared_, *ParseRequest(R"({"verb":"reset","all":true})"), "another");
  std::string out;
  other->Step(out);  // its turn
  Open(/*may=*/true);
  Say("{\"verb\":\"delete\",\"all\":true}\n");
  client_->OnHangUp();
  client_->Step();
  EXPECT_TRUE(client_->is_over());
  Answer();
  EXPECT_TRUE(other->Step(out));
  EXPECT_EQ(Answer(), 0u);
}

}  // namespace
}  // namespace backstay
