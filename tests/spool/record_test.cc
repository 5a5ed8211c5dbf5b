// tests/spool/record_test.cc -- frames are valid in one place only, and as they were written only.
#include "spool/record.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace backstay {
namespace {

constexpr uint32_t kBlock = 64;

SegmentHeader TestSegment() {
  SegmentHeader header;
  header.node = 4711;
  header.shard = 2;
  header.segment = 9;
  header.segment_bytes = 64_KiB;
  header.salt = 0x1122334455667788;
  return header;
}

std::vector<uint8_t> TestFrame(const SegmentKey& key, size_t payload_bytes = 100) {
  std::vector<uint8_t> frame(FrameBytes(payload_bytes), 0xff);
  for (size_t i = 0; i < payload_bytes; ++i) {
    frame[sizeof(RecordHeader) + i] = static_cast<uint8_t>(i);
  }
  RecordHeader header;
  header.kind = static_cast<uint8_t>(RecordKind::kPart);
  header.payload_bytes = static_cast<uint32_t>(payload_bytes);
  header.sequence = 5;
  SealRecord(key, kBlock, header, frame);
  return frame;
}

bool IsWhole(const SegmentKey& key, uint32_t block, Bytes frame) {
  const auto header = DecodeRecordHeader(key, block, frame);
  return header.has_value() && FrameBytes(header->payload_bytes) <= frame.size() &&
         PayloadIsWhole(*header, frame.subspan(sizeof(RecordHeader), header->payload_bytes));
}

TEST(Record, WhatWasSealedIsWholeInItsPlace) {
  const SegmentKey key(TestSegment());
  const std::vector<uint8_t> frame = TestFrame(key);
  EXPECT_TRUE(IsWhole(key, kBlock, frame));
  EXPECT_EQ(frame.size() % kRecordAlignment, 0u);
  const auto header = DecodeRecordHeader(key, kBlock, frame);
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->sequence, 5u);
  EXPECT_EQ(header->segment, 9u);
  EXPECT_TRUE(IsZero(Bytes(frame).subspan(sizeof(RecordHeader) + 100)));
}

TEST(Record, EveryFlippedBitIsSeen) {
  const SegmentKey key(TestSegment());
  std::vector<uint8_t> frame = TestFrame(key);
  for (size_t bit = 0; bit < (sizeof(RecordHeader) + 100) * 8; ++bit) {
    frame[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    EXPECT_FALSE(IsWhole(key, kBlock, frame)) << bit;
    frame[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
  }
}

TEST(Record, IsRefusedAnywhereElse) {
  const SegmentKey key(TestSegment());
  const std::vector<uint8_t> frame = TestFrame(key);
  EXPECT_FALSE(IsWhole(key, kBlock + 1, frame));
  const auto refused = [&](auto change) {
    SegmentHeader other = TestSegment();
    change(other);
    return !IsWhole(SegmentKey(other), kBlock, frame);
  };
  EXPECT_TRUE(refused([](SegmentHeader& header) { header.segment = 10; }));
  EXPECT_TRUE(refused([](SegmentHeader& header) { header.generation = 2; }));
  EXPECT_TRUE(refused([](SegmentHeader& header) { header.node = 4712; }));
  EXPECT_TRUE(refused([](SegmentHeader& header) { header.shard = 3; }));
  EXPECT_TRUE(refused([](SegmentHeader& header) { header.salt ^= 1; }));
}

TEST(Record, ShortOrLongBytesAreNoHeader) {
  const SegmentKey key(TestSegment());
  std::vector<uint8_t> frame = TestFrame(key);
  EXPECT_FALSE(DecodeRecordHeader(key, kBlock, Bytes(frame).first(47)).has_value());
  EXPECT_TRUE(DecodeRecordHeader(key, kBlock, Bytes(frame).first(48)).has_value());
  EXPECT_FALSE(DecodeRecordHeader(key, kBlock, {}).has_value());
}

TEST(SegmentHeader, BothHalvesOfTheBlock) {
  std::vector<uint8_t> block(kBlockBytes, 0xff);
  SealSegmentHeader(TestSegment(), block);
  const auto header = DecodeSegmentHeader(block);
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->salt, TestSegment().salt);
  EXPECT_TRUE(IsZero(Bytes(block).subspan(sizeof(SegmentHeader))));
  for (size_t bit = 0; bit < sizeof(SegmentHeader) * 8; ++bit) {
    block[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    EXPECT_FALSE(DecodeSegmentHeader(block).has_value()) << bit;
    block[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
  }
}

TEST(IsZero, SeesTheFirstAndTheLastByte) {
  std::vector<uint8_t> bytes(100, 0);
  EXPECT_TRUE(IsZero(bytes));
  EXPECT_TRUE(IsZero({}));
  for (const size_t at : {size_t{0}, size_t{50}, size_t{99}}) {
    bytes[at] = 1;
    EXPECT_FALSE(IsZero(bytes));
    bytes[at] = 0;
  }
}

}  // namespace
}  // namespace backstay
