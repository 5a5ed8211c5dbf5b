// core/dns/answer.cc -- header, question, records; then the way from the name to what it has.
#include "core/dns/answer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/base/check.h"

namespace backstay {
namespace {

// More than any name that takes mail has; what comes behind is not looked at.
constexpr size_t kRecordsMax = 256;
constexpr size_t kChainMax = 8;
constexpr size_t kNameBytesMax = 253;  // as text
constexpr size_t kLabelBytesMax = 63;
constexpr uint16_t kInternet = 1;
constexpr uint32_t kTtlMax = 0x7fffffff;  // beyond it the sign bit is set, and it counts as 0

constexpr uint16_t kIsReply = 0x8000;
constexpr uint16_t kOpcode = 0x7800;
constexpr uint16_t kTruncated = 0x0200;
constexpr uint16_t kResponseCode = 0x000f;
constexpr uint16_t kNoError = 0;
constexpr uint16_t kNameError = 3;

struct Name {
  std::string text;      // lower case, no dot at the end; empty: the root
  bool is_plain = true;  // letters, digits, '-' and '_' only: what a host's name is made of
  bool is_zone = true;   // these and '/': RFC 2317 names the zones of parts of a network so
};

struct Record {
  std::string owner;
  uint16_t type = 0;
  absl::Duration ttl;
  size_t at = 0;  // of its data, of `bytes` bytes
  size_t bytes = 0;
};

char ToLower(uint8_t byte) {
  return static_cast<char>(byte >= 'A' && byte <= 'Z' ? byte - 'A' + 'a' : byte);
}

bool IsPlain(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9') || letter == '-' ||
         letter == '_';
}

class Message {
 public:
  explicit Message(Bytes bytes) : bytes_(bytes) {}

  std::optional<uint16_t> Number(size_t at) const {
    if (at + 2 > bytes_.size()) {
      return std::nullopt;
    }
    return static_cast<uint16_t>(bytes_[at] << 8 | bytes_[at + 1]);
  }
  Bytes Part(size_t at, size_t bytes) const { return bytes_.subspan(at, bytes); }
  size_t bytes() const { return bytes_.size(); }

  // `at` moves behind it. A pointer leads back to what lies before everything read so far, so
  // there is an end.
  std::optional<Name> ReadName(size_t& at) const {
    Name name;
    size_t from = at;
    size_t before = at;
    bool is_elsewhere = false;
    while (from < bytes_.size()) {
      const uint8_t count = bytes_[from];
      if (count > kLabelBytesMax) {
        const std::optional<uint16_t> pointer = Number(from);
        const size_t target = pointer.value_or(0) & 0x3fff;
        if (count < 0xc0 || !pointer.has_value() || target >= before) {
          return std::nullopt;
        }
        at = is_elsewhere ? at : from + 2;
        is_elsewhere = true;
        from = before = target;
        continue;
      }
      if (count == 0) {
        at = is_elsewhere ? at : from + 1;
        return name;
      }
      if (from + 1 + count > bytes_.size() || !AddLabel(Part(from + 1, count), name)) {
        return std::nullopt;
      }
      from += 1 + count;
    }
    return std::nullopt;
  }

 private:
  static bool AddLabel(Bytes label, Name& name) {
    if (!name.text.empty()) {
      name.text += '.';
    }
    for (const uint8_t byte : label) {
      name.text += ToLower(byte);
      const bool is_plain = IsPlain(name.text.back());
      name.is_plain = name.is_plain && is_plain;
      name.is_zone = name.is_zone && (is_plain || name.text.back() == '/');
    }
    return name.text.size() <= kNameBytesMax;
  }

  Bytes bytes_;
};

DnsAnswer Failed(std::string_view reason) {
  DnsAnswer answer;
  answer.reason = reason;
  return answer;
}

// On the way from the name that was asked for to what it has.
bool IsOnTheWay(const Name& name, DnsType asked) {
  return asked == DnsType::kPtr ? name.is_zone : name.is_plain;
}

// `at` moves behind the record. One whose owner cannot be on the way has an empty one.
std::optional<Record> ReadRecord(const Message& message, DnsType asked, size_t& at) {
  const std::optional<Name> owner = message.ReadName(at);
  constexpr size_t kFixedBytes = 10;  // type, class, TTL, length
  if (!owner.has_value() || at + kFixedBytes > message.bytes()) {
    return std::nullopt;
  }
  Record record;
  const bool is_ours = IsOnTheWay(*owner, asked) && message.Number(at + 2) == kInternet;
  record.owner = is_ours ? owner->text : std::string();
  record.type = *message.Number(at);
  const uint32_t seconds =
      static_cast<uint32_t>(*message.Number(at + 4)) << 16 | *message.Number(at + 6);
  record.ttl = absl::Seconds(seconds > kTtlMax ? 0 : seconds);
  record.bytes = *message.Number(at + 8);
  record.at = at + kFixedBytes;
  at = record.at + record.bytes;
  return at <= message.bytes() ? std::optional(std::move(record)) : std::nullopt;
}

void AddAddress(const Message& message, const Record& record, DnsAnswer& answer) {
  const Bytes data = message.Part(record.at, record.bytes);
  if (record.type == static_cast<uint16_t>(DnsType::kA) && data.size() == 4) {
    answer.addresses.push_back(SocketAddress::V4({data[0], data[1], data[2], data[3]}, 0));
  } else if (record.type == static_cast<uint16_t>(DnsType::kAaaa) && data.size() == 16) {
    std::array<uint8_t, 16> bytes{};
    std::copy(data.begin(), data.end(), bytes.begin());
    answer.addresses.push_back(SocketAddress::V6(bytes, 0));
  }
}

// The name that fills the data of a record from `skipped` on.
std::optional<Name> WholeName(const Message& message, const Record& record, size_t skipped) {
  size_t at = record.at + skipped;
  std::optional<Name> name = message.ReadName(at);
  return at == record.at + record.bytes ? std::move(name) : std::nullopt;
}

// A host's.
std::optional<std::string> NameIn(const Message& message, const Record& record, size_t skipped) {
  const std::optional<Name> name = WholeName(message, record, skipped);
  return name.has_value() && name->is_plain ? std::optional(name->text) : std::nullopt;
}

void AddExchange(const Message& message, const Record& record, DnsAnswer& answer) {
  constexpr size_t kPreferenceBytes = 2;
  std::optional<std::string> name =
      record.bytes > kPreferenceBytes ? NameIn(message, record, kPreferenceBytes) : std::nullopt;
  if (name.has_value()) {
    answer.exchanges.push_back({*message.Number(record.at), *std::move(name)});
  }
}

void AddText(const Message& message, const Record& record, DnsAnswer& answer) {
  std::string text;
  Bytes left = message.Part(record.at, record.bytes);
  while (!left.empty()) {
    const size_t count = std::min<size_t>(left[0], left.size() - 1);
    for (const uint8_t byte : left.subspan(1, count)) {
      const bool is_printable = byte >= ' ' && byte <= '~';
      text += is_printable ? static_cast<char>(byte) : '?';
    }
    left = left.subspan(1 + count);
  }
  answer.texts.push_back(std::move(text));
}

void AddName(const Message& message, const Record& record, DnsAnswer& answer) {
  std::optional<std::string> name = NameIn(message, record, 0);
  if (name.has_value() && !name->empty()) {
    answer.names.push_back(*std::move(name));
  }
}

void Add(const Message& message, const Record& record, DnsType type, DnsAnswer& answer) {
  switch (type) {
    case DnsType::kA:
    case DnsType::kAaaa:
      return AddAddress(message, record, answer);
    case DnsType::kMx:
      return AddExchange(message, record, answer);
    case DnsType::kPtr:
      return AddName(message, record, answer);
    case DnsType::kTxt:
      return AddText(message, record, answer);
    case DnsType::kCname:
      break;
  }
  UNREACHABLE();  // nobody asks for it
}

// What `owner` has of this kind; false: nothing.
bool Collect(const Message& message, const std::vector<Record>& records, std::string_view owner,
             DnsType type, DnsAnswer& answer) {
  bool found = false;
  for (const Record& record : records) {
    if (record.type != static_cast<uint16_t>(type) || record.owner != owner) {
      continue;
    }
    Add(message, record, type, answer);
    answer.ttl = std::min(answer.ttl, record.ttl);
    found = true;
  }
  return found;
}

const Record* AliasOf(const std::vector<Record>& records, std::string_view owner) {
  const auto found = std::find_if(records.begin(), records.end(), [owner](const Record& record) {
    return record.type == static_cast<uint16_t>(DnsType::kCname) && record.owner == owner;
  });
  return found == records.end() ? nullptr : &*found;
}

DnsAnswer FollowAliases(const Message& message, const std::vector<Record>& records,
                        std::string_view name, DnsType type) {
  DnsAnswer answer;
  std::string owner(name);
  for (size_t steps = 0; steps < kChainMax; ++steps) {
    if (Collect(message, records, owner, type, answer)) {
      const bool is_of_use = !answer.addresses.empty() || !answer.exchanges.empty() ||
                             !answer.names.empty() || !answer.texts.empty();
      answer.kind = is_of_use ? DnsAnswer::Kind::kFound : DnsAnswer::Kind::kFailed;
      answer.reason = is_of_use ? "" : "its records are damaged";
      return answer;
    }
    const Record* const alias = AliasOf(records, owner);
    if (alias == nullptr) {
      answer.kind = steps == 0 ? DnsAnswer::Kind::kNoData : DnsAnswer::Kind::kAlias;
      answer.alias = steps == 0 ? "" : owner;
      return answer;
    }
    std::optional<Name> target = WholeName(message, *alias, 0);
    if (!target.has_value() || target->text.empty() || !IsOnTheWay(*target, type)) {
      return Failed("its alias is no name of a host");
    }
    answer.ttl = std::min(answer.ttl, alias->ttl);
    owner = std::move(target->text);
  }
  return Failed("its aliases go on too long");
}

}  // namespace

DnsAnswer ParseDnsAnswer(Bytes reply, std::string_view name, DnsType type) {
  constexpr std::string_view kMalformed = "the reply is malformed";
  constexpr size_t kHeaderBytes = 12;
  const Message message(reply);
  if (reply.size() < kHeaderBytes) {
    return Failed(kMalformed);
  }
  const uint16_t flags = *message.Number(2);
  const bool is_one_question = message.Number(4) == 1;
  if ((flags & kIsReply) == 0 || (flags & kOpcode) != 0 || !is_one_question) {
    return Failed(kMalformed);
  }
  size_t at = kHeaderBytes;
  const std::optional<Name> asked = message.ReadName(at);
  if (!asked.has_value() || asked->text != name ||
      message.Number(at) != static_cast<uint16_t>(type) || message.Number(at + 2) != kInternet) {
    return Failed("the reply is to another question");
  }
  at += 4;
  const uint16_t code = flags & kResponseCode;
  if (code == kNameError) {
    DnsAnswer answer;
    answer.kind = DnsAnswer::Kind::kNoName;
    return answer;
  }
  if (code != kNoError || (flags & kTruncated) != 0) {
    return Failed("the resolver fails at it");
  }
  std::vector<Record> records;
  for (size_t left = std::min<size_t>(*message.Number(6), kRecordsMax); left > 0; --left) {
    std::optional<Record> record = ReadRecord(message, type, at);
    if (!record.has_value()) {
      return Failed(kMalformed);
    }
    if (!record->owner.empty()) {
      records.push_back(*std::move(record));
    }
  }
  return FollowAliases(message, records, name, type);
}

}  // namespace backstay
