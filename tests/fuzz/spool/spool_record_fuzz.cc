// tests/fuzz/spool/spool_record_fuzz.cc -- payloads and texts of the spool decode or are refused.
#include <string>
#include <vector>

#include "core/base/check.h"
#include "spool/message_record.h"
#include "spool/outcome_queue.h"
#include "spool/queue_id.h"
#include "spool/record.h"
#include "spool/segment_set.h"
#include "spool/version_file.h"

namespace backstay {
namespace {

void DecodePayloads(Bytes bytes) {
  DecodedMessage message;
  if (DecodeMessage(bytes, message)) {
    MessageMeta meta;
    meta.domains = message.domains;
    meta.recipient_domains = message.recipient_domains;
    meta.parts = message.parts;
    meta.envelope_bytes = message.envelope.size();
    meta.prefix_bytes = message.prefix.size();
    meta.content_bytes = message.content.size();
    if (message.is_moved()) {
      meta.home = message.home();
      meta.states = message.states;
    }
    if (message.is_report()) {
      meta.report_of = message.report_of();
    }
    ASSERT(MessagePayloadBytes(meta) == bytes.size());
    ASSERT(MetaBytes(meta) == message.fixed.meta_bytes);
  }
  uint64_t seen = 0;
  const bool is_whole = ForEachOutcome(bytes, [&](const OutcomeEntry&, Bytes detail) {
    seen += sizeof(OutcomeEntry) + detail.size();
  });
  ASSERT(is_whole == (seen == bytes.size()));
}

void DecodeFrames(Bytes bytes) {
  SegmentHeader header;
  header.segment = 1;
  const SegmentKey key(header);
  const auto record = DecodeRecordHeader(key, 64, bytes);
  if (record.has_value()) {
    ASSERT(record->payload_bytes <= kPayloadBytesMax);
    const size_t left = bytes.size() - sizeof(RecordHeader);
    PayloadIsWhole(*record, bytes.subspan(sizeof(RecordHeader),
                                          std::min<size_t>(left, record->payload_bytes)));
  }
  DecodeSegmentHeader(bytes);
}

void ParseTexts(std::string_view text) {
  const auto id = QueueId::Parse(text);
  if (id.has_value()) {
    const auto again = id->ToText();
    ASSERT(std::string_view(again.data(), again.size()) == text);
  }
  const auto number = ParseSegmentName(text);
  if (number.has_value()) {
    ASSERT(std::string_view(NameOfSegment(*number).data()) == text);
  }
  VersionFile::Parse(text);
}

}  // namespace
}  // namespace backstay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::vector<uint8_t> alone(data, data + size);  // so that reads beyond it are seen
  backstay::DecodePayloads(alone);
  backstay::DecodeFrames(alone);
  backstay::ParseTexts(backstay::AsText(alone));
  return 0;
}
