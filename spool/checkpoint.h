// spool/checkpoint.h -- what is owed in a shard's segments at one moment, as bytes for a file.
//
// An accelerator: the log holds all of it too. A start takes the newest whole checkpoint and reads
// only what came behind it.
//
// Pure. Errors: Decode gives nothing for bytes that Encode cannot have made for this shard.
// See:   FORMAT.md 9.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/bytes.h"
#include "spool/account_book.h"
#include "spool/bits.h"
#include "spool/format.h"
#include "spool/spool.h"

namespace backstay {

// The last deferral note of each live recipient that has one; of one that is dsn pending why it
// failed.
using NoteKey = std::pair<MessageRef, uint32_t>;
using NoteMap = std::map<NoteKey, std::string>;

// Of a shard: each is in memory and in every checkpoint, with up to a kilobyte. Twice as many as
// the deferrals that a shard has room for. A deferral is only noted while there are fewer; why a
// recipient failed is always noted.
inline constexpr size_t kNotesMax = 200'000;
// There may be a new deferral note of this one.
bool HasRoomForNote(const NoteMap& notes, const NoteKey& key);

struct Checkpoint {
  struct Identity {
    uint16_t node = 0;
    uint16_t shard = 0;
  };
  struct SegmentState {
    uint32_t number = 0;
    uint32_t generation = 0;
    uint32_t bits = 0;  // recipients
    Bits live;
    Bits pending;
  };

  struct MovedState {
    MessageRef home;
    std::vector<RecipientState> states;
  };

  // Every outcome in segments up to this one is in here, and perhaps later ones.
  uint32_t covers = 0;
  std::vector<SegmentState> segments;  // by number; of those that have a file
  // Messages that are owed and do not lie at home, by home; a segment's bits know them too while
  // its file is there.
  std::vector<MovedState> moved;
  NoteMap notes;
  std::vector<uint8_t> rules;  // of RuleBook::Encode
  // Of messages whose home is in a segment up to `covers`. Nothing: of a version without them.
  std::optional<AccountState> accounts;

  const SegmentState* Find(uint32_t number) const;
  const MovedState* FindMoved(MessageRef home) const;
  // The first that has its home there, or further on.
  std::vector<MovedState>::const_iterator FirstMovedFrom(MessageRef home) const;
  std::vector<uint8_t> Encode(const Identity& identity) const;
  static std::optional<Checkpoint> Decode(Bytes bytes, const Identity& identity);
  // The same of its first bytes alone, whatever the rest is.
  static std::optional<uint32_t> CoversOf(Bytes bytes, const Identity& identity);
};

}  // namespace backstay
