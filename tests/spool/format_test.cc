// tests/spool/format_test.cc -- the example in FORMAT.md is what the code writes.
#include "spool/format.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "fmt/format.h"
#include "spool/batch.h"
#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

// One batch with one message, as GroupCommit would lay it out.
std::vector<uint8_t> ExampleSegment(uint32_t version = kFormatVersion) {
  SegmentHeader header;
  header.version = version;
  header.node = 4711;
  header.shard = 2;
  header.segment = 1;
  header.segment_bytes = 64_KiB;
  header.salt = 0x0123456789abcdef;
  header.created_wall = 1'700'000'000'000'000'000;
  std::vector<uint8_t> file(64_KiB, 0);
  SealSegmentHeader(header, MutableBytes(file).first(kBlockBytes));
  SealSegmentHeader(header, MutableBytes(file).last(kBlockBytes));

  Segment segment(header, Fd());
  Batch batch;
  batch.Begin(segment, kDataStart);
  batch.ReserveStart();
  const std::vector<std::string_view> domains = {"example.com"};
  const std::vector<uint16_t> recipients = {0};
  const std::string_view text = "<envelope>Received: ...\r\nSubject: hi\r\n\r\nHello\r\n";
  MessageMeta meta;
  meta.arrival = SpoolTime::FromNanoseconds(5'000'000'000);
  meta.arrival_wall = WallTime::FromNanoseconds(1'700'000'001'000'000'000);
  meta.domains = domains;
  meta.recipient_domains = recipients;
  meta.envelope_bytes = 10;
  meta.prefix_bytes = 15;
  meta.content_bytes = text.size() - 25;
  const size_t payload_bytes = MessagePayloadBytes(meta);
  const MutableBytes payload = batch.BeginRecord(payload_bytes);
  EncodeMessageMeta(meta, payload);
  std::memcpy(payload.data() + MetaBytes(meta), text.data(), text.size());
  RecordHeader record;
  record.kind = static_cast<uint8_t>(RecordKind::kMessage);
  record.payload_bytes = static_cast<uint32_t>(payload_bytes);
  record.sequence = 2;
  batch.EndRecord(record);
  batch.SealStart(StartPayload{}, 1);
  batch.Close({0, SpoolTime::FromNanoseconds(6'000'000'000),
               WallTime::FromNanoseconds(1'700'000'002'000'000'000)},
              3);
  std::copy(batch.bytes().begin(), batch.bytes().end(), file.begin() + kDataStart);
  batch.Reset();
  return file;
}

// As `hexdump -C` does it: a run of equal lines is one "*".
std::string Dump(Bytes bytes) {
  std::string text;
  std::string previous;
  bool is_starred = false;
  for (size_t at = 0; at < bytes.size(); at += 16) {
    std::string hex;
    std::string plain;
    for (size_t i = 0; i < 16; ++i) {
      const uint8_t byte = bytes[at + i];
      hex += fmt::format("{:02x}{}", byte, i == 7 ? "  " : " ");
      plain += byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '.';
    }
    if (hex == previous) {
      text += is_starred ? "" : "*\n";
      is_starred = true;
      continue;
    }
    previous = hex;
    is_starred = false;
    text += fmt::format("{:05x}  {} {}\n", at, hex, plain);
  }
  return text + fmt::format("{:05x}\n", bytes.size());
}

TEST(Format, ExampleInFormatMdIsWhatTheCodeWrites) {
  std::ifstream file(BACKSTAY_FORMAT_MD);
  std::stringstream text;
  text << file.rdbuf();
  const std::string document = text.str();
  const std::string dump = Dump(ExampleSegment());
  EXPECT_NE(document.find("```example\n" + dump + "```"), std::string::npos)
      << "FORMAT.md section 3 must hold:\n"
      << dump;
}

TEST(Format, ASegmentOfVersionOneIsRead) {
  SpoolHarness harness;
  harness.disk().Put(SpoolHarness::SegmentPath(1), ExampleSegment(1));
  harness.Start();
  const std::vector<MessageRef> live = harness.Live("example.com");
  ASSERT_EQ(live.size(), 1u);
  EXPECT_EQ(harness.Read(live[0]).content, "Received: ...\r\nSubject: hi\r\n\r\nHello\r\n");
  EXPECT_EQ(harness.spool->Stats().damaged_records, 0u);
}

}  // namespace
}  // namespace backstay
