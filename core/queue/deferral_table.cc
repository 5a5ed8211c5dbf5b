// core/queue/deferral_table.cc -- two ordered indexes over the same entries.
#include "core/queue/deferral_table.h"

#include <algorithm>

#include "core/base/check.h"

namespace backstay {
namespace {

constexpr uint8_t kNoteOfRelayed = 5;  // otherwise as the next
constexpr uint8_t kNoteVersion = 4;
constexpr uint8_t kNoteWithoutRemote = 3;
constexpr uint8_t kNoteOldest = 2;  // without refused_since as well
constexpr size_t kNoteHeaderBytes = 1 + 8 + 8 + 8 + 4 + 2 + 2;
constexpr size_t kNoteTextBytesMax = 512;
constexpr size_t kNoteRemoteBytesMax = 255;  // a name of the DNS

template <typename Number>
void Append(std::string& bytes, Number value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

}  // namespace

std::string EncodeDeferralNote(const Deferral& deferral) {
  const std::string_view text = std::string_view(deferral.text).substr(0, kNoteTextBytesMax);
  std::string note;
  note.reserve(kNoteHeaderBytes + text.size());
  Append(note, deferral.is_relayed ? kNoteOfRelayed : kNoteVersion);
  Append(note, deferral.next_try.nanoseconds());
  Append(note, deferral.last_try.nanoseconds());
  Append(note, deferral.first_own.nanoseconds());
  Append(note, deferral.attempts);
  Append(note, deferral.code);
  Append(note, static_cast<uint16_t>(text.size()));
  note.append(text);
  Append(note, deferral.refused_since.nanoseconds());
  const std::string_view remote = std::string_view(deferral.remote).substr(0, kNoteRemoteBytesMax);
  Append(note, static_cast<uint8_t>(remote.size()));
  note.append(remote);
  return note;
}

std::optional<Deferral> DecodeDeferralNote(Bytes note) {
  if (note.size() < kNoteHeaderBytes || note[0] < kNoteOldest || note[0] > kNoteOfRelayed) {
    return std::nullopt;
  }
  const auto text_bytes = LoadLittle<uint16_t>(note.data() + 31);
  size_t wanted = kNoteHeaderBytes + text_bytes;
  const size_t refused_at = wanted;
  wanted += note[0] > kNoteOldest ? sizeof(int64_t) : 0;
  const size_t remote_at = wanted;
  if (note[0] > kNoteWithoutRemote) {
    wanted += 1 + (note.size() > remote_at ? note[remote_at] : 0);
  }
  if (text_bytes > kNoteTextBytesMax || note.size() != wanted) {
    return std::nullopt;
  }
  Deferral deferral;
  deferral.next_try = SpoolTime::FromNanoseconds(LoadLittle<int64_t>(note.data() + 1));
  deferral.last_try = SpoolTime::FromNanoseconds(LoadLittle<int64_t>(note.data() + 9));
  deferral.first_own = SpoolTime::FromNanoseconds(LoadLittle<int64_t>(note.data() + 17));
  deferral.attempts = LoadLittle<uint32_t>(note.data() + 25);
  deferral.code = LoadLittle<uint16_t>(note.data() + 29);
  deferral.text = std::string(AsText(note.subspan(kNoteHeaderBytes, text_bytes)));
  if (note[0] > kNoteOldest) {
    deferral.refused_since =
        SpoolTime::FromNanoseconds(LoadLittle<int64_t>(note.data() + refused_at));
  }
  if (note[0] > kNoteWithoutRemote) {
    deferral.remote = std::string(AsText(note.subspan(remote_at + 1)));
  }
  deferral.is_relayed = note[0] == kNoteOfRelayed;
  return deferral;
}

bool DeferralTable::Insert(const Key& key, Deferral deferral) {
  const auto found = entries_.find(key);
  if (found == entries_.end() && room_.is_full()) {
    return false;
  }
  if (found == entries_.end()) {
    room_.Take();
  } else {
    waiting_.erase({found->second.next_try.nanoseconds(), key});
  }
  waiting_.insert({deferral.next_try.nanoseconds(), key});
  entries_[key] = std::move(deferral);
  return true;
}

const Deferral* DeferralTable::Find(const Key& key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second;
}

void DeferralTable::Erase(const Key& key) {
  const auto found = entries_.find(key);
  if (found != entries_.end()) {
    waiting_.erase({found->second.next_try.nanoseconds(), key});
    entries_.erase(found);
    room_.GiveBack(1);
  }
}

void DeferralTable::EraseIf(absl::FunctionRef<bool(const Key&)> is_over) {
  for (auto at = entries_.begin(); at != entries_.end();) {
    if (!is_over(at->first)) {
      ++at;
      continue;
    }
    waiting_.erase({at->second.next_try.nanoseconds(), at->first});
    at = entries_.erase(at);
    room_.GiveBack(1);
  }
}

std::optional<DeferralTable::Key> DeferralTable::PopDue(SpoolTime now) {
  if (waiting_.empty() || waiting_.begin()->first > now.nanoseconds()) {
    return std::nullopt;
  }
  const Key key = waiting_.begin()->second;
  waiting_.erase(waiting_.begin());
  return key;
}

SpoolTime DeferralTable::NextDue() const {
  return waiting_.empty() ? SpoolTime::Max() : SpoolTime::FromNanoseconds(waiting_.begin()->first);
}

}  // namespace backstay
