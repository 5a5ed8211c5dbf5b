// core/policy/recipient_file.h -- what is known of recipients as bytes of a file: a head, then one
// record after another, the last one of a key counts.
//
// A record is 16 bytes at a multiple of 16: key, value, checksum; all little-endian. One that does
// not check says nothing, so a torn end and a flipped bit cost what was known of one address. Keys
// mean nothing under another secret: a head of another secret is no head.
#pragma once

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "core/base/bytes.h"
#include "core/base/siphash.h"

namespace backstay {

constexpr size_t kRecipientRecordBytes = 16;
// The value of a key that was forgotten.
constexpr uint32_t kForgotten = UINT32_MAX;

void AppendRecipientHead(const SipKey& secret, std::string& out);
bool IsRecipientHead(const SipKey& secret, Bytes bytes);  // the first kRecipientRecordBytes
void AppendRecipientRecord(uint64_t key, uint32_t value, std::string& out);
// Of whole records; what is left over at the end is ignored. Returns how many did not check.
size_t ReadRecipientRecords(Bytes bytes,
                            absl::FunctionRef<void(uint64_t key, uint32_t value)> visit);

}  // namespace backstay
