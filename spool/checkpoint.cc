// spool/checkpoint.cc -- states and notes to bytes and back.
#include "spool/checkpoint.h"

#include <algorithm>

#include "core/base/crc32c.h"
#include "spool/format.h"
#include "spool/items.h"
#include "spool/record.h"

namespace backstay {
namespace {

constexpr size_t kCrcAt = offsetof(CheckpointHeader, crc);

std::optional<Bits> TakeBits(Bytes& left, uint32_t words) {
  auto row = TakeItems<uint64_t>(left, words);
  return row.has_value() ? std::optional(Bits::FromWords(*std::move(row))) : std::nullopt;
}

std::optional<Checkpoint::SegmentState> TakeSegment(Bytes& left) {
  const auto fixed = TakeItem<CheckpointSegment>(left);
  if (!fixed.has_value()) {
    return std::nullopt;
  }
  auto live = TakeBits(left, fixed->live_words);
  auto pending = TakeBits(left, fixed->pending_words);
  const uint64_t room = (uint64_t{fixed->bits} + 63) / 64;
  if (!live.has_value() || !pending.has_value() || fixed->live_words > room ||
      fixed->pending_words > room) {
    return std::nullopt;
  }
  return Checkpoint::SegmentState{fixed->segment, fixed->generation, fixed->bits, *std::move(live),
                                  *std::move(pending)};
}

std::optional<Checkpoint::MovedState> TakeMoved(Bytes& left) {
  const auto fixed = TakeItem<CheckpointMoved>(left);
  auto states = fixed.has_value() ? TakeItems<RecipientState>(left, fixed->recipients)
                                  : std::optional<std::vector<RecipientState>>();
  const bool is_whole =
      states.has_value() && std::all_of(states->begin(), states->end(), [](RecipientState state) {
        return state <= RecipientState::kSettled;
      });
  if (!is_whole) {
    return std::nullopt;
  }
  return Checkpoint::MovedState{{fixed->segment, fixed->block}, *std::move(states)};
}

bool TakeNote(Bytes& left, NoteMap& notes) {
  const auto fixed = TakeItem<CheckpointNote>(left);
  if (!fixed.has_value() || fixed->bytes > left.size()) {
    return false;
  }
  notes[{MessageRef{fixed->segment, fixed->block}, fixed->recipient}] =
      std::string(AsText(left.first(fixed->bytes)));
  left = left.subspan(fixed->bytes);
  return true;
}

void PutAccounts(std::vector<uint8_t>& out, const AccountState& state) {
  PutItem(out, CheckpointAccounts{state.since.nanoseconds(), state.domains.size()});
  for (const auto& [name, account] : state.domains) {
    PutItem(out, CheckpointAccount{account.accepted, account.generated, account.delivered,
                                   account.bounced, account.discarded, account.quarantined});
    PutText(out, name);
  }
}

std::optional<AccountState> TakeAccounts(Bytes left) {
  const auto fixed = TakeItem<CheckpointAccounts>(left);
  if (!fixed.has_value()) {
    return std::nullopt;
  }
  AccountState state;
  state.since = WallTime::FromNanoseconds(fixed->since);
  for (uint64_t i = 0; i < fixed->domains; ++i) {
    const auto counts = TakeItem<CheckpointAccount>(left);
    const auto name = counts.has_value() ? TakeText(left) : std::nullopt;
    if (!name.has_value()) {
      return std::nullopt;
    }
    state.domains.push_back({std::string(*name),
                             {counts->accepted, counts->generated, counts->delivered,
                              counts->bounced, counts->discarded, counts->quarantined}});
  }
  return left.empty() ? std::optional(std::move(state)) : std::nullopt;
}

// Words behind the last that is not zero are not written.
uint32_t UsedWords(const Bits& bits) {
  size_t used = bits.words().size();
  while (used > 0 && bits.words()[used - 1] == 0) {
    --used;
  }
  return static_cast<uint32_t>(used);
}

std::optional<CheckpointHeader> DecodeHeader(Bytes bytes, const Checkpoint::Identity& identity) {
  if (bytes.size() < sizeof(CheckpointHeader)) {
    return std::nullopt;
  }
  const auto header = LoadStruct<CheckpointHeader>(bytes);
  const bool is_ours = header.magic == kCheckpointMagic && header.version >= kCheckpointOldest &&
                       header.version <= kFormatVersion && header.node == identity.node &&
                       header.shard == identity.shard;
  return is_ours && header.crc == Crc32c(0, bytes.first(kCrcAt)) ? std::optional(header)
                                                                 : std::nullopt;
}

}  // namespace

bool HasRoomForNote(const NoteMap& notes, const NoteKey& key) {
  return notes.size() < kNotesMax || notes.contains(key);
}

const Checkpoint::SegmentState* Checkpoint::Find(uint32_t number) const {
  const auto at = std::lower_bound(
      segments.begin(), segments.end(), number,
      [](const SegmentState& state, uint32_t wanted) { return state.number < wanted; });
  return at != segments.end() && at->number == number ? &*at : nullptr;
}

std::vector<Checkpoint::MovedState>::const_iterator Checkpoint::FirstMovedFrom(
    MessageRef home) const {
  return std::lower_bound(
      moved.begin(), moved.end(), home,
      [](const MovedState& state, MessageRef wanted) { return state.home < wanted; });
}

const Checkpoint::MovedState* Checkpoint::FindMoved(MessageRef home) const {
  const auto at = FirstMovedFrom(home);
  return at != moved.end() && at->home == home ? &*at : nullptr;
}

std::vector<uint8_t> Checkpoint::Encode(const Identity& identity) const {
  std::vector<uint8_t> out(sizeof(CheckpointHeader));
  for (const SegmentState& state : segments) {
    CheckpointSegment fixed;
    fixed.segment = state.number;
    fixed.generation = state.generation;
    fixed.bits = state.bits;
    fixed.live_words = UsedWords(state.live);
    fixed.pending_words = UsedWords(state.pending);
    PutItem(out, fixed);
    PutItems(out, std::span(state.live.words()).first(fixed.live_words));
    PutItems(out, std::span(state.pending.words()).first(fixed.pending_words));
  }
  for (const MovedState& state : moved) {
    const CheckpointMoved fixed{state.home.segment, state.home.block,
                                static_cast<uint32_t>(state.states.size())};
    PutItem(out, fixed);
    PutItems(out, std::span<const RecipientState>(state.states));
  }
  for (const auto& [key, note] : notes) {
    const CheckpointNote fixed{key.first.segment, key.first.block, key.second,
                               static_cast<uint32_t>(note.size())};
    PutItem(out, fixed);
    PutItems(out, std::span<const char>(note));
  }
  PutItems(out, std::span(rules));
  const size_t accounts_at = out.size();
  if (accounts.has_value()) {
    PutAccounts(out, *accounts);
  }
  CheckpointHeader header;
  header.account_bytes = static_cast<uint32_t>(out.size() - accounts_at);
  header.rule_bytes = static_cast<uint32_t>(rules.size());
  header.node = identity.node;
  header.shard = identity.shard;
  header.covers = covers;
  header.segments = static_cast<uint32_t>(segments.size());
  header.moved = static_cast<uint32_t>(moved.size());
  header.notes = static_cast<uint32_t>(notes.size());
  header.bytes = out.size() - sizeof(header);
  const Bytes body = Bytes(out).subspan(sizeof(header));
  header.body_crc = Crc32c(0, body);
  StoreStruct(MutableBytes(out).first(sizeof(header)), header);
  StoreLittle(out.data() + kCrcAt, Crc32c(0, Bytes(out).first(kCrcAt)));
  return out;
}

std::optional<uint32_t> Checkpoint::CoversOf(Bytes bytes, const Identity& identity) {
  const std::optional<CheckpointHeader> header = DecodeHeader(bytes, identity);
  return header.has_value() ? std::optional(header->covers) : std::nullopt;
}

std::optional<Checkpoint> Checkpoint::Decode(Bytes bytes, const Identity& identity) {
  const std::optional<CheckpointHeader> found = DecodeHeader(bytes, identity);
  if (!found.has_value() || found->bytes > bytes.size() - sizeof(CheckpointHeader)) {
    return std::nullopt;
  }
  const CheckpointHeader& header = *found;
  Bytes left = bytes.subspan(sizeof(header));
  left = left.first(static_cast<size_t>(header.bytes));
  if (header.body_crc != Crc32c(0, left)) {
    return std::nullopt;
  }
  Checkpoint checkpoint;
  checkpoint.covers = header.covers;
  for (uint32_t i = 0; i < header.segments; ++i) {
    auto state = TakeSegment(left);
    const bool ascends = checkpoint.segments.empty() ||
                         (state.has_value() && state->number > checkpoint.segments.back().number);
    if (!state.has_value() || !ascends) {
      return std::nullopt;
    }
    checkpoint.segments.push_back(*std::move(state));
  }
  for (uint32_t i = 0; i < header.moved; ++i) {
    auto state = TakeMoved(left);
    const bool ascends = checkpoint.moved.empty() ||
                         (state.has_value() && state->home > checkpoint.moved.back().home);
    if (!state.has_value() || !ascends) {
      return std::nullopt;
    }
    checkpoint.moved.push_back(*std::move(state));
  }
  for (uint32_t i = 0; i < header.notes; ++i) {
    if (!TakeNote(left, checkpoint.notes)) {
      return std::nullopt;
    }
  }
  if (left.size() != uint64_t{header.rule_bytes} + header.account_bytes) {
    return std::nullopt;
  }
  const Bytes rules = left.first(header.rule_bytes);
  checkpoint.rules.assign(rules.begin(), rules.end());
  if (header.account_bytes > 0) {
    checkpoint.accounts = TakeAccounts(left.subspan(header.rule_bytes));
    if (!checkpoint.accounts.has_value()) {
      return std::nullopt;
    }
  }
  return checkpoint;
}

}  // namespace backstay
