// tests/core/smtp/client_endings_test.cc -- connections that close, and answers to mail data.
#include <gtest/gtest.h>

#include "core/smtp/client_session.h"
#include "tests/core/smtp/client_fixture.h"

namespace backstay {
namespace {

using Kind = Outcome::Kind;
using Phase = ClientSession::Phase;
using Failure = ClientSession::Failure;

TEST(ClientClosing, A421AnywhereIsServiceClosing) {
  for (int depth = 0; depth < 7; ++depth) {
    ClientFixture f;
    if (depth > 0) {
      f.Say("220 mx1.example.com");
    }
    if (depth > 1) {
      f.Say("250 mx1.example.com");
    }
    if (depth > 2) {
      f.Start(1);
    }
    for (int step = 3; step < depth && step < 6; ++step) {
      f.Say(step == 5 ? "354 go" : "250 ok");
    }
    if (depth == 6) {
      EXPECT_NE(f.session.phase(), Phase::kFailed);
    }
    EXPECT_EQ(f.Say("421 4.3.2 shutting down"), "");
    EXPECT_EQ(f.session.phase(), Phase::kFailed) << depth;
    EXPECT_EQ(f.session.failure(), Failure::kServiceClosing) << depth;
    EXPECT_EQ(f.session.last_code(), 421);
    EXPECT_EQ(f.session.last_text(), "shutting down");
    if (depth > 2) {
      EXPECT_EQ(f.outcome(0).kind, Kind::kDeferred);
      EXPECT_EQ(f.outcome(0).code, 421);
      EXPECT_FALSE(f.outcome(0).own);
    }
  }
}

TEST(ClientClosing, A421AtTheEndOfDataDefers) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.Start(2);
  f.Say("250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go");
  f.session.EndContent();
  f.Say("421 4.3.2 shutting down");
  EXPECT_EQ(f.session.failure(), Failure::kServiceClosing);
  EXPECT_EQ(f.outcome(0).kind, Kind::kDeferred);
  EXPECT_EQ(f.outcome(0).phase, Outcome::Phase::kEndOfData);
  EXPECT_EQ(f.outcome(1).kind, Kind::kFailed);  // its verdict stands
}

TEST(ClientClosing, UnsolicitedClosingLeavesTheLastOutcomes) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.Start(1);
  f.Say("250 ok\r\n250 ok\r\n354 go");
  f.session.EndContent();
  f.Say("250 ok\r\n421 idle too long");
  EXPECT_EQ(f.session.failure(), Failure::kServiceClosing);
  EXPECT_EQ(f.outcome(0).kind, Kind::kDelivered);
}

TEST(ClientClosing, ALostConnectionDefersWhatHasNoVerdict) {
  struct Case {
    std::string_view says;
    Outcome::Phase phase;
  };
  const Case cases[] = {
      {"", Outcome::Phase::kMail},
      {"250 ok\r\n", Outcome::Phase::kRcpt},
      {"250 ok\r\n550 no\r\n250 ok\r\n", Outcome::Phase::kData},
      {"250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n", Outcome::Phase::kData},
  };
  for (const Case& c : cases) {
    ClientFixture f;
    f.Greet({"PIPELINING"});
    f.Start(2);
    f.SayRaw(c.says);
    f.session.ConnectionLost();
    EXPECT_EQ(f.session.phase(), Phase::kFailed);
    EXPECT_EQ(f.session.failure(), Failure::kConnectionLost);
    EXPECT_EQ(f.outcome(1).kind, Kind::kDeferred);
    EXPECT_EQ(f.outcome(1).phase, c.phase) << c.says;
    EXPECT_EQ(f.outcome(1).code, 0);
    EXPECT_FALSE(f.outcome(1).own);
    if (c.says.find("550") != std::string_view::npos) {
      EXPECT_EQ(f.outcome(0).kind, Kind::kFailed);
    }
  }
}

TEST(ClientClosing, LostAfterTheEndOfDataIsDeferredInThatPhase) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.Start(1);
  f.Say("250 ok\r\n250 ok\r\n354 go");
  f.session.EndContent();
  f.SayRaw("250 o");
  f.session.ConnectionLost();
  EXPECT_EQ(f.outcome(0).kind, Kind::kDeferred);
  EXPECT_EQ(f.outcome(0).phase, Outcome::Phase::kEndOfData);
}

// Row 145: a server that says 250 to everything. Its own wait, not an endless repetition.
TEST(ClientData, A250InsteadOf354Defers) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.Start(1);
  EXPECT_EQ(f.Say("250 ok\r\n250 ok\r\n250 ok"), "");
  EXPECT_EQ(f.session.failure(), Failure::kProtocol);
  EXPECT_EQ(f.outcome(0).kind, Kind::kDeferred);
  EXPECT_EQ(f.outcome(0).code, 250);
  EXPECT_TRUE(f.outcome(0).own);
}

// Row 136.
TEST(ClientData, ARefusalInMidContentCountsAndNothingMoreIsSent) {
  struct Case {
    std::string_view says;
    Kind kind;
    int code;
  };
  const Case cases[] = {
      {"552 5.3.4 too big", Kind::kFailed, 552},
      {"451 4.3.0 disk", Kind::kDeferred, 451},
      {"250 ok", Kind::kDeferred, 250},
      {"354 go on", Kind::kDeferred, 354},
  };
  for (const Case& c : cases) {
    ClientFixture f;
    f.Greet({"PIPELINING"});
    f.Start(1);
    f.Say("250 ok\r\n250 ok\r\n354 go");
    f.session.WriteContent(AsBytes("half\r\n"));
    EXPECT_EQ(f.Say(c.says), "");
    EXPECT_EQ(f.session.phase(), Phase::kFailed) << c.says;
    EXPECT_EQ(f.outcome(0).kind, c.kind) << c.says;
    EXPECT_EQ(f.outcome(0).code, c.code) << c.says;
    EXPECT_TRUE(f.outcome(0).own) << c.says;
    f.session.WriteContent(AsBytes("the rest\r\n"));
    f.session.EndContent();
    EXPECT_EQ(f.Hear(), "") << c.says;
    EXPECT_TRUE(f.wire.ends_with("half\r\n")) << c.says;
  }
}

TEST(ClientData, AnAnswerBeforeTheEndLeftIsOneInMidContent) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.Start(1);
  f.Say("250 ok\r\n250 ok\r\n354 go");
  f.session.WriteContent(AsBytes("text\r\n"));
  f.Hear();
  f.session.EndContent();
  f.session.Consume(AsBytes("250 ok\r\n"));  // the end of data is still in output()
  EXPECT_EQ(f.session.failure(), Failure::kProtocol);
  EXPECT_EQ(f.outcome(0).kind, Kind::kDeferred);
  EXPECT_EQ(f.Hear(), "");
}

// Half of it may have come with the 354: it was written before there was an end to answer.
TEST(ClientData, AnAnswerBegunBeforeTheEndIsOneInMidContent) {
  for (const std::string_view says : {"50 ok\r\n", "50-ok\r\n250 ok\r\n"}) {
    ClientFixture f;
    f.Greet({"PIPELINING"});
    f.Start(1);
    f.SayRaw("250 ok\r\n250 ok\r\n354 go\r\n2");
    f.session.WriteContent(AsBytes("text\r\n"));
    f.Hear();
    f.session.EndContent();
    EXPECT_EQ(f.Hear(), ".\r\n");
    f.SayRaw(says);
    EXPECT_EQ(f.session.failure(), Failure::kProtocol) << says;
    EXPECT_EQ(f.outcome(0).kind, Kind::kDeferred) << says;
    EXPECT_TRUE(f.outcome(0).own) << says;
  }
}

TEST(ClientData, ARefusalBegunBeforeTheEndCounts) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.Start(1);
  f.SayRaw("250 ok\r\n250 ok\r\n354 go\r\n55");
  f.session.WriteContent(AsBytes("text\r\n"));
  f.Hear();
  f.session.EndContent();
  f.SayRaw("2 5.3.4 too big\r\n");
  EXPECT_EQ(f.session.phase(), Phase::kFailed);
  EXPECT_EQ(f.outcome(0).kind, Kind::kFailed);
  EXPECT_EQ(f.outcome(0).code, 552);
}

TEST(ClientData, NonsenseAtTheEndOfDataIsTheMessagesOwn) {
  for (const std::string_view says : {"354 more\r\n", "221 bye\r\n", "nonsense\r\n", "250 ok\n"}) {
    ClientFixture f;
    f.Greet({"PIPELINING"});
    f.Start(1);
    f.Say("250 ok\r\n250 ok\r\n354 go");
    f.session.EndContent();
    f.SayRaw(says);
    EXPECT_EQ(f.session.failure(), Failure::kProtocol) << says;
    EXPECT_EQ(f.outcome(0).kind, Kind::kDeferred) << says;
    EXPECT_TRUE(f.outcome(0).own) << says;
  }
}

TEST(ClientData, UnreadableContentNeverEndsTheData) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.Start(2);
  f.Say("250 ok\r\n250 ok\r\n550 no\r\n354 go");
  f.session.WriteContent(AsBytes("half"));
  f.session.AbortContent();
  EXPECT_EQ(f.Hear(), "");
  EXPECT_EQ(f.session.phase(), Phase::kFailed);
  EXPECT_EQ(f.session.failure(), Failure::kNone);
  EXPECT_EQ(f.outcome(0).kind, Kind::kDeferred);
  EXPECT_FALSE(f.outcome(0).own);
  EXPECT_EQ(f.outcome(1).kind, Kind::kFailed);
}

TEST(ClientData, OutcomeTextIsCleanAndShort) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.Start(1);
  f.Say("250 ok\r\n550-5.1.1 \x1b[31mred\x07\r\n550 5.1.1 " + std::string(1000, 'x') +
        "\r\n554 no");
  EXPECT_TRUE(f.outcome(0).text.starts_with("?[31mred? xxx"));
  EXPECT_EQ(f.outcome(0).text.size(), 400u);
}

}  // namespace
}  // namespace backstay
