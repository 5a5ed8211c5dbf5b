// tests/spool/spool_test.cc -- the spool as its shard uses it, on a disk where nothing goes wrong.
#include "spool/spool.h"

#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

TEST(Spool, SmallMessageComesBackByteForByte) {
  SpoolHarness harness;
  harness.Start();
  Sent& sent = harness.SendAndWait(TestContent(1, 3000), {"a.example", "b.example", "a.example"});
  EXPECT_EQ(sent.committed, 1);
  EXPECT_EQ(sent.result, CommitResult::kStored);
  harness.ExpectWhole(sent);
  EXPECT_EQ(harness.spool->Id(sent.message), sent.id);
  EXPECT_EQ(harness.Live("a.example"), std::vector{sent.message});
  EXPECT_EQ(harness.Live("b.example"), std::vector{sent.message});
  EXPECT_EQ(harness.spool->LiveRecipients(harness.spool->Intern("a.example")), 2u);
}

}  // namespace
}  // namespace backstay
