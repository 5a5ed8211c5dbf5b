// tests/core/control/reply_test.cc -- members and their order, which programs rely on.
#include "core/control/reply.h"

#include <gtest/gtest.h>

#include "core/control/domain_report.h"

namespace backstay {
namespace {

TEST(Reply, Results) {
  EXPECT_EQ(CountLine({7}), "{\"result\":\"ok\",\"recipients\":7}\n");
  EXPECT_EQ(CountLine({0, 2}, "no"),
            "{\"result\":\"ok\",\"recipients\":0,\"reports\":2,\"message\":\"no\"}\n");
  EXPECT_EQ(InWords({7}), "7 recipients");
  EXPECT_EQ(InWords({0, 2}), "0 recipients and 2 reports that were owed");
  EXPECT_EQ(ResultLine(AdminResult::kNotStored, "a \"b\"\n\xff"),
            "{\"result\":\"not-stored\",\"message\":\"a \\\"b\\\"\\n\\ufffd\"}\n");
}

TEST(Reply, AReportSaysWhatIsMissing) {
  EXPECT_EQ(ReportLine(true), "{\"result\":\"ok\",\"message\":\"\"}\n");
  EXPECT_NE(ReportLine(false).find("older mail is missing"), std::string::npos);
}

TEST(Reply, ADomainWithoutMailHasNoOldest) {
  DomainRow row;
  row.destination = "10.0.0.1:25";
  EXPECT_EQ(DomainLine("a.example", row),
            "{\"domain\":\"a.example\",\"state\":\"up\",\"reason\":\"\",\"queued\":0,\"oldest\":"
            "null,\"held\":0,\"primary\":\"10.0.0.1:25\",\"outages\":[],"
            "\"expires\":null,\"ledger\":{\"accepted\":0,\"generated\":0,\"delivered\":0,"
            "\"bounced\":0,\"discarded\":0,\"quarantined\":0,\"queued\":0},"
            "\"addresses\":[]}\n");
  row.addresses = {"10.0.0.1:25", "[2001:db8::1]:25"};
  EXPECT_NE(DomainLine("a.example", row).find(R"("addresses":["10.0.0.1:25","[2001:db8::1]:25"]})"),
            std::string::npos);
  row.queued = 2;
  row.oldest = absl::Milliseconds(2900);
  EXPECT_NE(DomainLine("a.example", row).find("\"oldest\":2,"), std::string::npos);
  EXPECT_EQ(PrimaryLine("10.0.0.1:25", row, 3),
            "{\"kind\":\"primary\",\"primary\":\"10.0.0.1:25\",\"state\":\"up\",\"reason\":\"\","
            "\"domains\":3,\"queued\":2,\"oldest\":2,\"held\":0,\"expires\":null,"
            "\"next\":\"\",\"next_in\":null}\n");
}

TEST(Reply, APrimaryTellsWhatIsNextInSecondsNoneOfThemOver) {
  const auto told = [](NextEvent::Kind kind, absl::Duration in) {
    DomainRow row;
    row.asked = Instant() + absl::Hours(1);
    row.next = {kind, row.asked + in};
    const std::string line = PrimaryLine("10.0.0.1:25", row, 1);
    return line.substr(line.find("\"next\""));
  };
  EXPECT_EQ(told(NextEvent::Kind::kProbe, absl::Milliseconds(14'001)),
            "\"next\":\"probe\",\"next_in\":15}\n");
  EXPECT_EQ(told(NextEvent::Kind::kPause, absl::Seconds(10)),
            "\"next\":\"pause\",\"next_in\":10}\n");
  EXPECT_EQ(told(NextEvent::Kind::kQuestion, absl::Minutes(5)),
            "\"next\":\"dns\",\"next_in\":300}\n");
  EXPECT_EQ(told(NextEvent::Kind::kExpiry, -absl::Minutes(1)),
            "\"next\":\"expiry\",\"next_in\":0}\n");
}

TEST(Reply, TheFirstThatExpiresIsThatOfAnyShard) {
  DomainRow early;
  early.expires = WallTime::FromNanoseconds(1'000'000'000'000'000'000);
  DomainRow late;
  late.expires = *early.expires + absl::Hours(1);
  DomainRows all;
  Merge({{"a", DomainRow()}}, all);
  Merge({{"a", late}}, all);
  Merge({{"a", early}}, all);
  Merge({{"a", late}}, all);
  EXPECT_NE(DomainLine("a", all["a"]).find("\"expires\":\"2001-09-09T01:46:40Z\""),
            std::string::npos);
}

TEST(DomainRows, TheSoonestOfAllShardsIsNext) {
  DomainRow silent;
  silent.asked = Instant() + absl::Seconds(7);
  DomainRow retry;
  retry.next = {NextEvent::Kind::kRetry, Instant() + absl::Minutes(9)};
  DomainRow probe;
  probe.next = {NextEvent::Kind::kProbe, Instant() + absl::Seconds(8)};
  DomainRows all;
  for (const DomainRow& row : {retry, silent, probe, retry}) {
    Merge({{"a", row}}, all);
  }
  EXPECT_EQ(all["a"].next.kind, NextEvent::Kind::kProbe);
  EXPECT_EQ(all["a"].next.at, probe.next.at);
  EXPECT_EQ(all["a"].asked, silent.asked);
}

TEST(Reply, AMessageHasTheStateOfItsNearestRecipient) {
  MessageRow row;
  row.queue_id = "0123456789BCDFGH";
  row.bytes = 5;
  EXPECT_NE(MessageLine(row).find("\"state\":\"unreadable\""), std::string::npos);
  RecipientRow held;
  held.state = RecipientRow::State::kHeld;
  held.address = "a@a.example";
  held.reason = "because";
  row.recipients = {held};
  EXPECT_EQ(MessageLine(row),
            "{\"queue_id\":\"0123456789BCDFGH\",\"arrival\":\"1970-01-01T00:00:00Z\",\"bytes\":5,"
            "\"state\":\"held\",\"sender\":\"\",\"recipients\":[{\"address\":\"a@a.example\","
            "\"state\":\"held\",\"reason\":\"because\",\"attempts\":0,\"retries\":0,"
            "\"max_retries\":null,\"next_try\":null,\"expires\":null}]}\n");
  RecipientRow deferred;
  deferred.state = RecipientRow::State::kDeferred;
  deferred.next_try = WallTime::FromNanoseconds(1'000'000'000);
  row.recipients.push_back(deferred);
  EXPECT_NE(MessageLine(row).find("\"bytes\":5,\"state\":\"deferred\""), std::string::npos);
  EXPECT_NE(MessageLine(row).find("\"next_try\":\"1970-01-01T00:00:01Z\""), std::string::npos);
}

TEST(Reply, AMessageThatOnlyOwesAReportSaysSo) {
  MessageRow row;
  row.recipients.resize(1);
  row.recipients[0].state = RecipientRow::State::kPending;
  EXPECT_NE(MessageLine(row).find("\"bytes\":0,\"state\":\"dsn pending\""), std::string::npos);
  row.recipients.resize(2);
  row.recipients[1].state = RecipientRow::State::kExpiring;
  EXPECT_NE(MessageLine(row).find("\"bytes\":0,\"state\":\"expiring\""), std::string::npos);
}

TEST(Reply, ChargedRetriesAreToldBesideTheirLimit) {
  MessageRow row;
  row.recipients.resize(1);
  row.recipients[0].retries = 3;
  row.recipients[0].max_retries = 4;
  EXPECT_NE(MessageLine(row).find("\"attempts\":0,\"retries\":3,\"max_retries\":4,\"next_try\""),
            std::string::npos);
  EXPECT_EQ(MessageLine(row).find("elsewhere"), std::string::npos);
  row.recipients[0].is_elsewhere = true;
  EXPECT_NE(MessageLine(row).find("\"expires\":null,\"elsewhere\":true}"), std::string::npos);
}

TEST(Reply, RatesAreToATenth) {
  DaemonRow row;
  row.sampled = absl::Milliseconds(3000);
  row.taken = 10;
  EXPECT_NE(DaemonLine(row).find("\"accepted_per_second\":3.3,\"delivered_per_second\":0.0,"),
            std::string::npos)
      << DaemonLine(row);
  row.sampled = absl::ZeroDuration();
  EXPECT_NE(DaemonLine(row).find("\"accepted_per_second\":0.0"), std::string::npos);
}

// Their mail is not lost, and not in any other number.
TEST(Reply, TheDaemonTellsWhatItCouldNotRead) {
  DaemonRow row;
  row.totals.spool.segments_unreadable = 3;
  row.totals.spool.damaged_records = 4;
  row.totals.shards_under_stress = 2;
  EXPECT_NE(DaemonLine(row).find(
                ",\"segments_unreadable\":3,\"damaged_places\":4,\"shards_under_stress\":2}"),
            std::string::npos);
}

TEST(DomainRows, TheWorstStateOfAllShardsCounts) {
  DomainRows up;
  up["a"].queued = 1;
  up["a"].oldest = absl::Seconds(5);
  DomainRows down;
  down["a"].state = DomainRow::State::kDown;
  down["a"].reason = "refused";
  down["a"].queued = 2;
  down["b"].held = 1;
  for (const bool is_up_first : {true, false}) {
    DomainRows all;
    Merge(is_up_first ? up : down, all);
    Merge(is_up_first ? down : up, all);
    EXPECT_EQ(all["a"].state, DomainRow::State::kDown);
    EXPECT_EQ(all["a"].reason, "refused");
    EXPECT_EQ(all["a"].queued, 3u);
    EXPECT_EQ(all["a"].oldest, absl::Seconds(5));
    EXPECT_EQ(all["b"].held, 1u);
  }
}

}  // namespace
}  // namespace backstay
