// core/smtp/envelope.cc -- the byte encoding of an envelope, version 2.
//
//   envelope  = version flags arrival reverse_path envelope_id client_address client_helo
//               client_name client_port recipient_count *recipient
//   recipient = notify address original_recipient
//   version   = u8 2            flags = u8: bit 0 8BITMIME, bit 1 SMTPUTF8, bits 2-3 RET,
//                                           bit 4 EHLO
//   arrival   = i64, nanoseconds since the Unix epoch       recipient_count = u32
//   a string  = u16 length, bytes                           client_port = u16
//   all numbers little-endian
//
// Version 1, which is read, had neither client_name nor client_port nor bit 4.
#include "core/smtp/envelope.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/base/check.h"
#include "core/smtp/address.h"

namespace backstay {
namespace {

constexpr uint8_t kVersion = 2;
constexpr uint8_t kVersionWithoutClientName = 1;
constexpr uint8_t kFlag8BitMime = 1;
constexpr uint8_t kFlagSmtpUtf8 = 2;
constexpr unsigned kReturnShift = 2;
constexpr uint8_t kReturnMask = 3;
constexpr uint8_t kFlagExtended = 0x10;
constexpr uint8_t kFlagsMax = 0x1f;
constexpr uint8_t kNotifyMax =
    Notify::kNever | Notify::kSuccess | Notify::kFailure | Notify::kDelay;
constexpr size_t kRecipientBytesMin = 1 + 2 + 2;
// Of one message's recipients so many keep their strings for the next.
constexpr size_t kSpareRecipientsMax = 16;

template <typename Number>
void AppendNumber(Number number, std::string& output) {
  uint8_t bytes[sizeof(Number)];
  StoreLittle(bytes, number);
  output.append(AsText(bytes));
}

void AppendString(std::string_view text, std::string& output) {
  ASSERT(text.size() <= std::numeric_limits<uint16_t>::max());
  AppendNumber(static_cast<uint16_t>(text.size()), output);
  output.append(text);
}

// Takes fields off the front; after the first one that is not there, nothing more is taken.
class Fields {
 public:
  explicit Fields(Bytes bytes) : bytes_(bytes) {}

  template <typename Number>
  Number TakeNumber() {
    const Bytes taken = Take(sizeof(Number));
    return taken.empty() ? Number{} : LoadLittle<Number>(taken.data());
  }
  std::string TakeString() { return std::string(AsText(Take(TakeNumber<uint16_t>()))); }

  size_t bytes_left() const { return bytes_.size(); }
  bool intact() const { return intact_; }

 private:
  Bytes Take(size_t count) {
    if (!intact_ || count > bytes_.size()) {
      intact_ = false;
      return {};
    }
    const Bytes taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }

  Bytes bytes_;
  bool intact_ = true;
};

uint8_t FlagsOf(const Envelope& envelope) {
  unsigned flags = static_cast<unsigned>(envelope.return_content) << kReturnShift;
  if (envelope.body == BodyType::k8BitMime) {
    flags |= kFlag8BitMime;
  }
  if (envelope.smtputf8) {
    flags |= kFlagSmtpUtf8;
  }
  if (envelope.client_extended) {
    flags |= kFlagExtended;
  }
  return static_cast<uint8_t>(flags);
}

bool SetFlags(uint8_t flags, uint8_t version, Envelope& envelope) {
  const unsigned return_content = unsigned{flags} >> kReturnShift & kReturnMask;
  const uint8_t flags_max = version == kVersion ? kFlagsMax : kFlagExtended - 1;
  if (flags > flags_max || return_content > static_cast<unsigned>(ReturnContent::kHeaders)) {
    return false;
  }
  envelope.body = (flags & kFlag8BitMime) != 0 ? BodyType::k8BitMime : BodyType::k7Bit;
  envelope.smtputf8 = (flags & kFlagSmtpUtf8) != 0;
  envelope.return_content = static_cast<ReturnContent>(return_content);
  envelope.client_extended = (flags & kFlagExtended) != 0;
  return true;
}

}  // namespace

std::string Recipient::Domain() const {
  return DomainOf(address);
}

void Envelope::Clear() {
  reverse_path.clear();
  for (Recipient& recipient : recipients) {
    if (spare_recipients.size() == kSpareRecipientsMax) {
      break;
    }
    recipient.address.clear();
    recipient.original_recipient.clear();
    recipient.notify = 0;
    spare_recipients.push_back(std::move(recipient));
  }
  recipients.clear();
  body = BodyType::k7Bit;
  smtputf8 = false;
  return_content = ReturnContent::kUnspecified;
  envelope_id.clear();
  client_address.clear();
  client_helo.clear();
  client_name.clear();
  client_port = 0;
  client_extended = false;
  arrival_wall_nanoseconds = 0;
}

Recipient& Envelope::AddRecipient() {
  if (spare_recipients.empty()) {
    return recipients.emplace_back();
  }
  recipients.push_back(std::move(spare_recipients.back()));
  spare_recipients.pop_back();
  return recipients.back();
}

void EncodeEnvelope(const Envelope& envelope, std::string& output) {
  ASSERT(envelope.recipients.size() <= std::numeric_limits<uint32_t>::max());
  AppendNumber(kVersion, output);
  AppendNumber(FlagsOf(envelope), output);
  AppendNumber(envelope.arrival_wall_nanoseconds, output);
  AppendString(envelope.reverse_path, output);
  AppendString(envelope.envelope_id, output);
  AppendString(envelope.client_address, output);
  AppendString(envelope.client_helo, output);
  AppendString(envelope.client_name, output);
  AppendNumber(envelope.client_port, output);
  AppendNumber(static_cast<uint32_t>(envelope.recipients.size()), output);
  for (const Recipient& recipient : envelope.recipients) {
    ASSERT(recipient.notify <= kNotifyMax);
    AppendNumber(recipient.notify, output);
    AppendString(recipient.address, output);
    AppendString(recipient.original_recipient, output);
  }
}

std::optional<Envelope> DecodeEnvelope(Bytes bytes) {
  Fields fields(bytes);
  Envelope envelope;
  const auto version = fields.TakeNumber<uint8_t>();
  const bool is_known = version == kVersion || version == kVersionWithoutClientName;
  if (!is_known || !SetFlags(fields.TakeNumber<uint8_t>(), version, envelope)) {
    return std::nullopt;
  }
  envelope.arrival_wall_nanoseconds = fields.TakeNumber<int64_t>();
  envelope.reverse_path = fields.TakeString();
  envelope.envelope_id = fields.TakeString();
  envelope.client_address = fields.TakeString();
  envelope.client_helo = fields.TakeString();
  if (version == kVersion) {
    envelope.client_name = fields.TakeString();
    envelope.client_port = fields.TakeNumber<uint16_t>();
  }
  const size_t count = fields.TakeNumber<uint32_t>();
  // A damaged count must not reserve gigabytes.
  if (!fields.intact() || count > fields.bytes_left() / kRecipientBytesMin) {
    return std::nullopt;
  }
  envelope.recipients.reserve(count);
  for (size_t i = 0; i < count && fields.intact(); ++i) {
    Recipient& recipient = envelope.recipients.emplace_back();
    recipient.notify = fields.TakeNumber<uint8_t>();
    recipient.address = fields.TakeString();
    recipient.original_recipient = fields.TakeString();
    if (recipient.notify > kNotifyMax) {
      return std::nullopt;
    }
  }
  if (!fields.intact() || fields.bytes_left() != 0) {
    return std::nullopt;
  }
  return envelope;
}

}  // namespace backstay
