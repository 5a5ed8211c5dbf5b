// core/shard/recipient_store.cc -- read all files of a slice, write one.
#include "core/shard/recipient_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"
#include "core/base/status_macros.h"
#include "core/policy/recipient_file.h"
#include "io/wait.h"

namespace backstay {
namespace {

constexpr absl::Duration kWriteEvery = absl::Seconds(1);
constexpr absl::Duration kWriteAgain = absl::Seconds(10);
constexpr absl::Duration kStopMax = absl::Seconds(2);
constexpr size_t kPieceBytes = 64_KiB;
static_assert(kPieceBytes % kRecipientRecordBytes == 0);
// What a disk that takes nothing may make us keep: then everything is written anew one day.
constexpr size_t kPendingBytesMax = 1_MiB;
// A file is written anew when so many of its records are of the past.
constexpr uint64_t kDeadRecordsMin = 4096;

constexpr const char* kSecretName = "secret";

struct FileName {
  size_t slice;
  uint32_t generation;
};

// "3f-0000002a"
std::optional<FileName> ParseName(std::string_view name) {
  constexpr size_t kDash = 2;
  constexpr size_t kBytes = 11;
  FileName parsed{};
  const auto number = [name](size_t from, size_t to, auto& value) {
    const auto [end, error] =
        std::from_chars(name.data() + from, name.data() + to, value, /*base=*/16);
    return error == std::errc() && end == name.data() + to;
  };
  const bool good = name.size() == kBytes && name[kDash] == '-' && number(0, kDash, parsed.slice) &&
                    number(kDash + 1, kBytes, parsed.generation);
  return good && parsed.slice < RecipientStore::kSlices && parsed.generation > 0
             ? std::optional(parsed)
             : std::nullopt;
}

absl::StatusOr<SipKey> ReadSecret(Io& io, Fd directory, const SipKey& fresh) {
  Wait open(io);
  io.Open(open.op(), directory, kSecretName, OpenMode::kCreateOrOpen);
  const IoResult opened = open.Result();
  if (!opened.ok()) {
    return absl::UnavailableError(
        fmt::format("recipients/secret cannot be opened: {}", Describe(opened.error())));
  }
  std::array<uint8_t, sizeof(SipKey)> bytes{};
  SipKey secret;
  Wait transfer(io);
  io.Read(transfer.op(), opened.fd(), bytes, Offset{0});
  IoResult done = transfer.Result();
  if (done.ok() && done.count() == bytes.size()) {
    std::memcpy(&secret, bytes.data(), bytes.size());
  } else {
    secret = fresh;
    std::memcpy(bytes.data(), &secret, bytes.size());
    io.Write(transfer.op(), opened.fd(), bytes, Offset{0});
    done = transfer.Result();
  }
  io.Close(opened.fd());
  if (!done.ok() || done.count() != bytes.size()) {
    return absl::UnavailableError(fmt::format("recipients/secret: {}", Describe(done.error())));
  }
  return secret;
}

}  // namespace

absl::StatusOr<RecipientFiles> OpenRecipientFiles(Io& io, Fd spool_root, const SipKey& fresh) {
  RecipientFiles files;
  ASSIGN_OR_RETURN(files.directory, io.OpenSubdirectory(spool_root, "recipients", true));
  ASSIGN_OR_RETURN(files.secret, ReadSecret(io, files.directory, fresh));
  return files;
}

RecipientStore::RecipientStore(Io& io, TimerWheel& wheel, const RecipientFiles& files, size_t shard,
                               size_t shards)
    : io_(io),
      wheel_(wheel),
      directory_(files.directory),
      secret_(files.secret),
      shard_(shard),
      shards_(shards) {
  for (size_t slice = shard_; slice < kSlices; slice += shards_) {
    slices_[slice] = std::make_unique<Slice>(kEntriesMax / kSlices);
  }
}

RecipientStore::~RecipientStore() {
  wheel_.Cancel(&clock_);
}

// ---- what is known ----

const RecipientStore::Slice& RecipientStore::Of(AddressKey key) const {
  ASSERT(slices_[SliceOf(key)] != nullptr);
  return *slices_[SliceOf(key)];
}

RecipientStore::Slice& RecipientStore::Of(AddressKey key) {
  ASSERT(slices_[SliceOf(key)] != nullptr);
  return *slices_[SliceOf(key)];
}

std::optional<Knowledge> RecipientStore::Find(AddressKey key) const {
  const std::optional<uint32_t> bits = Of(key).table.Find(static_cast<uint64_t>(key));
  return bits.has_value() ? Knowledge::FromBits(*bits) : std::nullopt;
}

void RecipientStore::Set(AddressKey key, Knowledge known) {
  Slice& slice = Of(key);
  const auto number = static_cast<uint64_t>(key);
  if (!slice.table.Set(number, known.bits())) {
    const WallTime now = io_.WallNow();
    slice.table.EraseIf([now](uint64_t, uint32_t bits) {
      const std::optional<Knowledge> old = Knowledge::FromBits(bits);
      return !old.has_value() || old->IsOver(now);
    });
    slice.wants_whole = true;
    if (!slice.table.Set(number, known.bits())) {
      MARK("recipients_full");
      return;
    }
  }
  Append(slice, number, known.bits());
}

void RecipientStore::Forget(AddressKey key) {
  Slice& slice = Of(key);
  slice.table.Erase(static_cast<uint64_t>(key));
  Append(slice, static_cast<uint64_t>(key), kForgotten);
}

size_t RecipientStore::ForgetDomain(uint16_t tag) {
  size_t forgotten = 0;
  for (const std::unique_ptr<Slice>& slice : slices_) {
    const size_t count = slice == nullptr ? 0 : slice->table.EraseIf([tag](uint64_t key, uint32_t) {
      return TagOf(AddressKey{key}) == tag;
    });
    if (count > 0) {
      slice->wants_whole = true;
      forgotten += count;
    }
  }
  return forgotten;
}

size_t RecipientStore::Visit(size_t slice,
                             absl::FunctionRef<void(AddressKey, Knowledge)> visit) const {
  if (slices_[slice] == nullptr) {
    return 0;
  }
  const RecipientTable& table = slices_[slice]->table;
  table.ForEach([&](uint64_t key, uint32_t bits) {
    const std::optional<Knowledge> known = Knowledge::FromBits(bits);
    if (known.has_value()) {
      visit(AddressKey{key}, *known);
    }
  });
  return table.bytes();
}

RecipientCounts RecipientStore::Count(std::optional<uint16_t> tag, WallTime now) const {
  RecipientCounts counts;
  for (size_t slice = 0; slice < kSlices; ++slice) {
    counts.bytes += Visit(slice, [&](AddressKey key, Knowledge known) {
      if ((!tag.has_value() || TagOf(key) == *tag) && !known.IsOver(now)) {
        (known.is_positive() ? counts.positive : counts.negative) += 1;
      }
    });
  }
  return counts;
}

void RecipientStore::Append(Slice& slice, uint64_t key, uint32_t value) {
  if (slice.pending.size() >= kPendingBytesMax) {
    slice.wants_whole = true;
    slice.pending.clear();
  }
  AppendRecipientRecord(key, value, slice.pending);
}

// ---- reading ----

void RecipientStore::Start() {
  if (!directory_.valid()) {
    is_loaded_ = true;
    return;
  }
  ListFiles();
  buffer_.resize(kPieceBytes);
  ReadNext();
}

void RecipientStore::ListFiles() {
  const absl::StatusOr<std::vector<DirectoryEntry>> entries = io_.List(directory_);
  if (!entries.ok()) {
    LogWarning("recipients: {}; what was known of them is asked again",
               std::string(entries.status().message()));
    return;
  }
  for (const DirectoryEntry& entry : *entries) {  // sorted: older files of a slice come first
    const std::optional<FileName> name = ParseName(entry.name);
    if (name.has_value() && slices_[name->slice] != nullptr) {
      to_read_.push_back({name->slice, name->generation});
    }
  }
}

void RecipientStore::NameFile(const File& file) {
  name_ = fmt::format("{:02x}-{:08x}", file.slice, file.generation);
}

void RecipientStore::ReadNext() {
  if (read_at_ == to_read_.size() || stopping_) {
    EndLoading();
    return;
  }
  NameFile(to_read_[read_at_]);
  at_ = 0;
  step_ = Step::kOpenToRead;
  io_.Open(&op_, directory_, name_.c_str(), OpenMode::kRead);
}

void RecipientStore::OnPiece(const IoResult& result) {
  if (!result.ok()) {
    LogWarning("recipients/{}: {}; the rest of it is asked again", name_, Describe(result.error()));
    EndOfFile(/*is_ours=*/false);
    return;
  }
  Bytes bytes = Bytes(buffer_).first(result.count() - result.count() % kRecipientRecordBytes);
  if (bytes.empty()) {
    EndOfFile(at_ > 0);
    return;
  }
  const size_t whole = bytes.size();
  if (at_ == 0) {
    if (!IsRecipientHead(secret_, bytes.first(kRecipientRecordBytes))) {
      EndOfFile(/*is_ours=*/false);
      return;
    }
    bytes = bytes.subspan(kRecipientRecordBytes);
  }
  RecipientTable& table = slices_[to_read_[read_at_].slice]->table;
  ReadRecipientRecords(bytes, [&](uint64_t key, uint32_t value) {
    if (SliceOf(AddressKey{key}) != to_read_[read_at_].slice) {
      return;
    }
    if (value == kForgotten) {
      table.Erase(key);
    } else {
      table.Set(key, value);
    }
  });
  at_ += whole;
  io_.Read(&op_, file_, buffer_, Offset{at_});
}

// `is_ours`: more may be written behind what was read of it.
void RecipientStore::EndOfFile(bool is_ours) {
  CloseFile();
  const File& file = to_read_[read_at_++];
  Slice& slice = *slices_[file.slice];
  if (slice.generation != 0) {
    slice.older.push_back(slice.generation);
  }
  slice.generation = file.generation;
  slice.file_bytes = at_;
  // What was read is good in any case; what is left of a broken or foreign file goes.
  slice.wants_whole = slice.wants_whole || !is_ours || !slice.older.empty();
  ReadNext();
}

void RecipientStore::EndLoading() {
  step_ = Step::kIdle;
  is_loaded_ = true;
  buffer_ = std::vector<uint8_t>();
  to_read_ = std::vector<File>();
  if (!stopping_) {
    wheel_.Insert(&clock_, io_.Now() + kWriteEvery);
  }
}

// ---- writing ----

void RecipientStore::OnClock() {
  if (stopping_) {
    MARK("recipients_not_written_at_the_end");
    io_.Cancel(&op_);
    return;
  }
  slice_ = 0;
  WriteNext();
}

void RecipientStore::WriteNext() {
  const auto is_dirty = [](const std::unique_ptr<Slice>& slice) {
    return slice != nullptr && (slice->wants_whole || !slice->pending.empty());
  };
  while (slice_ < kSlices && !is_dirty(slices_[slice_])) {
    ++slice_;
  }
  if (slice_ == kSlices) {
    EndWriting();
    return;
  }
  Slice& slice = *slices_[slice_];
  const uint64_t records = slice.file_bytes / kRecipientRecordBytes;
  is_whole_ = slice.wants_whole || slice.generation == 0 ||
              records > 2 * slice.table.size() + kDeadRecordsMin;
  if (is_whole_) {
    slice.pending.clear();
    slice.wants_whole = false;
    if (slice.generation != 0) {
      slice.older.push_back(slice.generation);
    }
    ++slice.generation;
    bytes_.clear();
    AppendRecipientHead(secret_, bytes_);
    const WallTime now = io_.WallNow();
    slice.table.ForEach([&](uint64_t key, uint32_t bits) {
      const std::optional<Knowledge> known = Knowledge::FromBits(bits);
      if (known.has_value() && !known->IsOver(now)) {
        AppendRecipientRecord(key, bits, bytes_);
      }
    });
    slice.file_bytes = 0;
  } else {
    bytes_ = std::exchange(slice.pending, std::string());
  }
  written_ = 0;
  at_ = slice.file_bytes;
  NameFile({slice_, slice.generation});
  step_ = Step::kOpenToWrite;
  io_.Open(&op_, directory_, name_.c_str(),
           is_whole_ ? OpenMode::kCreateOrOpen : OpenMode::kReadWrite);
}

void RecipientStore::OnWritten(size_t bytes) {
  written_ += bytes;
  at_ += bytes;
  if (written_ < bytes_.size()) {
    io_.Write(&op_, file_, AsBytes(bytes_).subspan(written_), Offset{at_});
    return;
  }
  slices_[slice_]->file_bytes = at_;
  if (is_whole_) {
    step_ = Step::kSync;  // before the files that it replaces go
    io_.SyncData(&op_, file_);
    return;
  }
  CloseFile();
  ++slice_;
  WriteNext();
}

void RecipientStore::UnlinkOlder() {
  CloseFile();
  Slice& slice = *slices_[slice_];
  if (slice.older.empty()) {
    ++slice_;
    WriteNext();
    return;
  }
  NameFile({slice_, slice.older.back()});
  slice.older.pop_back();
  step_ = Step::kUnlink;
  io_.Unlink(&op_, directory_, name_.c_str());
}

void RecipientStore::EndWriting() {
  step_ = Step::kIdle;
  bytes_ = std::string();
  if (std::exchange(is_failing_, false)) {
    LogInfo("recipients: written again");
  }
  if (!stopping_) {
    wheel_.Insert(&clock_, io_.Now() + kWriteEvery);
  }
}

void RecipientStore::Failed(IoError error) {
  CloseFile();
  step_ = Step::kIdle;
  slices_[slice_]->wants_whole = true;
  if (!std::exchange(is_failing_, true)) {
    LogWarning("recipients/{}: {}; what is learned stays in memory", name_, Describe(error));
  }
  if (!stopping_) {
    wheel_.Insert(&clock_, io_.Now() + kWriteAgain);
  }
}

void RecipientStore::CloseFile() {
  if (file_.valid()) {
    io_.Close(file_);
    file_ = Fd();
  }
}

// ---- both ----

void RecipientStore::OnDone(const IoResult& result) {
  switch (step_) {
    case Step::kOpenToRead:
      if (!result.ok()) {
        EndOfFile(/*is_ours=*/false);
        return;
      }
      file_ = result.fd();
      step_ = Step::kRead;
      io_.Read(&op_, file_, buffer_, Offset{at_});
      return;
    case Step::kRead:
      OnPiece(result);
      return;
    case Step::kOpenToWrite:
      if (!result.ok()) {
        Failed(result.error());
        return;
      }
      file_ = result.fd();
      step_ = Step::kWrite;
      OnWritten(0);
      return;
    case Step::kWrite:
      if (!result.ok() || result.count() == 0) {
        Failed(result.ok() ? IoError::kNoSpace : result.error());
        return;
      }
      OnWritten(result.count());
      return;
    case Step::kSync:
      if (!result.ok()) {
        Failed(result.error());
        return;
      }
      step_ = Step::kSyncName;
      io_.SyncDirectory(&op_, directory_);
      return;
    case Step::kSyncName:
      if (!result.ok()) {
        Failed(result.error());
        return;
      }
      UnlinkOlder();
      return;
    case Step::kUnlink:
      UnlinkOlder();  // one that stays is read once more than it need be
      return;
    case Step::kIdle:
      break;
  }
  UNREACHABLE();
}

void RecipientStore::Stop() {
  if (std::exchange(stopping_, true)) {
    return;
  }
  wheel_.Cancel(&clock_);
  if (is_loaded_ && directory_.valid() && step_ == Step::kIdle) {
    slice_ = 0;
    WriteNext();
  }
  if (op_.in_flight) {
    wheel_.Insert(&clock_, io_.Now() + kStopMax);
  }
}

}  // namespace backstay
