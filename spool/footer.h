// spool/footer.h -- what a sealed segment says of its messages, so that a start need not scan it.
//
// Pure: a MessageTable, the names of its domains and the part lists, as bytes. Which recipients are
// still owed is not here: it changes, and checkpoints hold it.
//
// Errors: Decode gives nothing for bytes that Encode cannot have made.
// See:    FORMAT.md 2 "footer".
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "core/base/bytes.h"
#include "spool/moved_message.h"
#include "spool/segment_index.h"

namespace backstay {

// Empty: it would be larger than a record may be.
std::vector<uint8_t> EncodeFooter(const SegmentIndex& index, const std::vector<MovedMessage>& moved,
                                  uint32_t last_commit_crc,
                                  absl::FunctionRef<std::string_view(DomainId)> name);
struct DecodedFooter {
  SegmentIndex index;  // every recipient is live
  std::vector<MovedMessage> moved;
  uint32_t last_commit_crc = 0;
};
// `segment`: the one that it was read from.
std::optional<DecodedFooter> DecodeFooter(Bytes payload, uint32_t segment,
                                          absl::FunctionRef<DomainId(std::string_view)> intern);

}  // namespace backstay
