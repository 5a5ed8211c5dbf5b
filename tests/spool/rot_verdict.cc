// tests/spool/rot_verdict.cc -- what each kind of harm may cost, and whether it cost more.
#include <algorithm>

#include "core/base/log.h"
#include "fmt/format.h"
#include "spool/record.h"
#include "tests/spool/rot_image.h"

namespace backstay {
namespace {

constexpr uint64_t kLooksEvery = 16;  // starts

// A log sink is a plain function.
std::vector<std::string>& LinesLogged() {
  static std::vector<std::string> lines;
  return lines;
}

void KeepLine(LogLevel level, std::string_view line) {
  if (level != LogLevel::kInfo) {
    LinesLogged().emplace_back(line);
  }
}

}  // namespace

// ---- harm ----

void RotImage::FlipBit(const std::string& name, uint64_t bit) {
  ASSERT_TRUE(harness_.disk().FlipBit(SpoolHarness::PathOf(name), bit));
  Hit(name, bit / 8, bit / 8 + 1);
  flipped_ = bit;
}

void RotImage::Overwrite(const std::string& name, uint64_t at, const std::string& bytes) {
  const std::string& original = originals_.at(name);
  ASSERT_LE(at + bytes.size(), original.size());
  ASSERT_TRUE(harness_.disk().Overwrite(SpoolHarness::PathOf(name), at, AsBytes(bytes)));
  touched_.push_back({name, at, at + bytes.size()});
  for (const Region& region : regions_.at(name)) {
    const uint64_t from = std::max(region.from, at);
    const uint64_t to = std::min(region.to, at + bytes.size());
    if (from < to && original.compare(from, to - from, bytes, from - at, to - from) != 0) {
      HitRegion(name, region);
    }
  }
  if (must_report_) {  // a whole batch that is gone is missed by the one behind it
    const uint32_t segment = regions_.at(name).front().place.segment;
    must_be_named_.insert(fmt::format("segment={:08x}", segment + 1));
  }
  const bool is_segment = name.starts_with("segment");
  if (is_segment &&
      IsTailOrPlaceAllZero(name, *harness_.disk().Contents(SpoolHarness::PathOf(name)))) {
    ForgiveSilence();
  }
}

// A last batch that is not there was never written, as far as anybody can tell; so with the place
// of a footer. The last batch has no mail in it: rule 7 of FORMAT.md 4.
bool RotImage::IsTailOrPlaceAllZero(const std::string& name, const std::string& contents) const {
  const auto [from, to] = last_batch_;
  if (name == tail_ && IsZero(From(contents, from).first(to - from))) {
    return true;
  }
  const uint64_t place_at = contents.size() - 2 * kBlockBytes;
  return by_footer_.contains(name) && IsZero(From(contents, place_at).first(kBlockBytes));
}

void RotImage::Truncate(const std::string& name, uint64_t bytes) {
  ASSERT_TRUE(harness_.disk().TruncateFile(SpoolHarness::PathOf(name), bytes));
  Hit(name, bytes, originals_.at(name).size());
  may_report_ = true;
  if (checkpoints_.end() != std::find(checkpoints_.begin(), checkpoints_.end(), name)) {
    return;
  }
  // Without a record it looks like a file that was being prepared; the next one tells.
  must_report_ = bytes > kDataStart || (bytes > 0 && name != tail_);
  must_be_named_.insert(name);
  must_be_named_.insert(fmt::format("segment={}", name.substr(name.find('-') + 1)));
  if (bytes > 0 && !must_report_) {
    ForgiveSilence();
  }
}

// The log does not say how far it went. Where it begins only a checkpoint tells: old segments go
// back.
void RotImage::Delete(const std::string& name) {
  ASSERT_TRUE(harness_.disk().Delete(SpoolHarness::PathOf(name)));
  Hit(name, 0, originals_.at(name).size());
  may_report_ = true;
  const bool may_have_gone_back = name == segments_.front() && checkpoints_.empty();
  if (name.starts_with("checkpoint") || may_have_gone_back || name >= tail_) {
    ForgiveSilence();
  }
}

// Left alone, whatever it is; but for checkpoints, which are ours to replace.
void RotImage::Put(const std::string& name, const std::string& contents) {
  harness_.disk().Put(SpoolHarness::PathOf(name), AsBytes(contents));
  if (originals_.contains(name)) {
    Hit(name, 0, originals_.at(name).size());
  }
  must_be_named_.insert(name);
  must_be_named_.insert(fmt::format("segment={}", name.substr(name.find('-') + 1)));
  must_report_ = false;
  may_report_ = true;
  const bool is_checkpoint = name.starts_with("checkpoint");
  if (is_checkpoint && !checkpoints_.empty() && name < checkpoints_.back()) {
    ForgiveSilence();  // nobody looks at it
  }
  if (!is_checkpoint) {
    foreign_ = {name, contents};
  }
}

void RotImage::Hit(const std::string& name, uint64_t from, uint64_t to) {
  touched_.push_back({name, from, to});
  for (const Region& region : regions_.at(name)) {
    if (region.from < to && from < region.to) {
      HitRegion(name, region);
    }
  }
}

// What the harm may cost, and whether somebody must notice.
void RotImage::HitRegion(const std::string& name, const Region& region) {
  const bool scanned = !by_footer_.contains(name);
  bool must = scanned;
  bool copied = true;
  switch (region.holds) {
    case Holds::kHeader:
      must = true;
      copied = false;
      break;
    case Holds::kHeaderCopy:
      must = false;  // nobody needs it
      break;
    case Holds::kStart:
      must = true;
      break;
    case Holds::kCommit:
      break;
    case Holds::kMessage:
      must = scanned || IsOwed(region.place);
      hit_messages_.insert(region.place);
      break;
    case Holds::kPart:
      must = scanned || IsOwed(part_owner_.at(region.place));
      hit_messages_.insert(part_owner_.at(region.place));
      break;
    case Holds::kOutcomes:
      // A segment that must be scanned after all may have lost these as well.
      if (scanned || touched_.size() > 1 || touched_.front().to - touched_.front().from > 1) {
        const std::vector<Recipient>& settled = outcomes_.at(region.place);
        hit_recipients_.insert(settled.begin(), settled.end());
      }
      break;
    case Holds::kFooter:
    case Holds::kPlace:
      must = !scanned;
      copied = false;
      break;
    case Holds::kFree:
      must = false;
      may_report_ |= scanned && name >= tail_;
      break;
    case Holds::kCheckpoint:
      must = false;
      if (name == checkpoints_.back()) {
        must_be_named_.insert(name);
      }
      return;
  }
  must_report_ |= must;
  must_copy_ |= must && copied;
  may_report_ |= must;
  if (must) {
    must_be_named_.insert(fmt::format("segment={:08x}", region.place.segment));
  }
}

bool RotImage::IsOwed(MessageRef message) const {
  const Account& account = accounts_.at(message);
  return std::count(account.states.begin(), account.states.end(), State::kLive) > 0;
}

// ---- the verdict ----

void RotImage::StartAndJudge() {
  ++starts_;
  LinesLogged().clear();
  SetLogSink(KeepLine);
  harness_.Start();
  ASSERT_TRUE(harness_.is_ready);
  ASSERT_TRUE(harness_.ready_status.ok()) << harness_.ready_status;
  JudgeMessages();
  JudgeRecipients();
  JudgeReport();
  harness_.Crash(CrashMode::kNothingUnsynced);
  SetLogSink(nullptr);
  Restore();
}

// What is read is what came in, and only what was harmed cannot be read.
void RotImage::JudgeMessages() {
  std::set<MessageRef> live;
  for (const char* domain : {"a.example", "b.example"}) {
    for (const MessageRef message : harness_.Live(domain)) {
      live.insert(message);
    }
  }
  for (const MessageRef message : live) {
    const auto found = accounts_.find(message);
    ASSERT_TRUE(found != accounts_.end());
    const Account& account = found->second;
    const ReadBack back = harness_.Read(message);
    if (back.outcome != ReadOutcome::kOk) {
      EXPECT_EQ(back.outcome, ReadOutcome::kDamaged);
      EXPECT_TRUE(hit_messages_.contains(message)) << message.segment << "/" << message.block;
      continue;
    }
    EXPECT_TRUE(back.envelope == account.envelope);
    EXPECT_TRUE(back.content == account.content);
    EXPECT_EQ(back.head_content_bytes, account.content.size());
    EXPECT_TRUE(back.recipient_domains == account.domains);
    EXPECT_EQ(back.flags, 5);
  }
}

// Who is owed is as it was, but for messages that are lost and outcomes that are.
void RotImage::JudgeRecipients() {
  for (const auto& [message, account] : accounts_) {
    for (uint32_t i = 0; i < account.states.size(); ++i) {
      const bool was_live = account.states[i] == State::kLive;
      const bool is_live = harness_.spool->IsLive(message, i);
      if (is_live != was_live) {
        EXPECT_TRUE(is_live ? hit_recipients_.contains({message, i})
                            : hit_messages_.contains(message))
            << message.segment << "/" << message.block << " recipient " << i
            << (is_live ? " came back" : " is lost");
      }
      const auto note = account.notes.find(i);
      const auto kept = harness_.deferrals.find({message, i});
      const bool is_same = note == account.notes.end()
                               ? kept == harness_.deferrals.end()
                               : kept != harness_.deferrals.end() && kept->second == note->second;
      EXPECT_TRUE(is_same || hit_recipients_.contains({message, i}) ||
                  hit_messages_.contains(message));
    }
  }
  if (hit_messages_.empty() && hit_recipients_.empty()) {
    EXPECT_EQ(harness_.spool->Stats().recipients_dsn_pending, pending_);
  }
}

void RotImage::JudgeReport() {
  const SpoolStats stats = harness_.spool->Stats();
  const uint64_t reported = stats.damaged_records + stats.torn_tails;
  if (must_report_) {
    EXPECT_GT(reported, 0u) << "nobody noticed";
  }
  if (!may_report_) {
    EXPECT_EQ(reported, 0u) << "harm where none was done";
  }
  if (!must_be_named_.empty()) {
    EXPECT_TRUE(IsNamed()) << *must_be_named_.begin();
  }
  if (must_copy_ && flipped_.has_value()) {
    harness_.TurnUntil([&] { return IsCopied(); }, absl::Seconds(1));
    EXPECT_TRUE(IsCopied());
  }
  if (!foreign_.first.empty()) {
    const std::string path = SpoolHarness::PathOf(foreign_.first);
    EXPECT_TRUE(harness_.disk().Contents(path) == foreign_.second);
  }
  if (starts_ % kLooksEvery == 0) {
    EXPECT_EQ(harness_.SendAndWait(TestContent(starts_, 100)).result, CommitResult::kStored);
  }
}

// A copy in quarantine of the range that the flipped bit is in, as it lies in the file.
bool RotImage::IsCopied() {
  const std::string& name = touched_.front().name;
  const uint64_t at = *flipped_ / 8;
  for (const std::string& file : harness_.QuarantineFiles()) {
    const uint64_t from = std::stoull(file.substr(file.rfind('-') + 1), nullptr, 16);
    std::string copy = *harness_.disk().Contents(SpoolHarness::PathOf("quarantine/" + file));
    if (file.starts_with(name) && at >= from && at < from + copy.size()) {
      copy[at - from] = static_cast<char>(copy[at - from] ^ (1 << (*flipped_ % 8)));
      return originals_.at(name).compare(from, copy.size(), copy) == 0;
    }
  }
  return false;
}

bool RotImage::IsNamed() const {
  const std::vector<std::string>& lines = LinesLogged();
  return std::any_of(lines.begin(), lines.end(), [this](const std::string& line) {
    return std::any_of(must_be_named_.begin(), must_be_named_.end(), [&](const std::string& word) {
      return line.find(word) != std::string::npos;
    });
  });
}

// Only what was harmed may have changed; now and then it is looked at.
void RotImage::Restore() {
  Disk& disk = harness_.disk();
  for (const std::string& name : disk.List(SpoolHarness::PathOf(""))) {
    if (!originals_.contains(name)) {
      disk.Delete(SpoolHarness::PathOf(name));
    }
  }
  for (const Touched& touched : touched_) {
    const std::string path = SpoolHarness::PathOf(touched.name);
    const std::string& original = originals_.at(touched.name);
    if (touched.to - touched.from > kBlockBytes || !disk.Exists(path)) {
      disk.Delete(path);  // it may be a directory by now
      disk.Put(path, AsBytes(original));
    } else {
      const auto bytes = static_cast<size_t>(touched.to - touched.from);
      disk.Overwrite(path, touched.from, From(original, touched.from).first(bytes));
    }
  }
  for (const auto& [name, original] : originals_) {
    const std::string path = SpoolHarness::PathOf(name);
    if (name.starts_with("checkpoint")) {
      disk.Put(path, AsBytes(original));  // a start makes a new one and drops the oldest
    } else if (!disk.Exists(path)) {
      EXPECT_FALSE(hit_messages_.empty()) << name << " went back";
      disk.Put(path, AsBytes(original));
    } else if (starts_ % kLooksEvery == 0) {
      EXPECT_TRUE(disk.Contents(path) == original) << name << " was changed by a start";
    }
  }
  touched_.clear();
  hit_messages_.clear();
  hit_recipients_.clear();
  must_be_named_.clear();
  must_report_ = may_report_ = must_copy_ = false;
  flipped_.reset();
  foreign_ = {};
}

}  // namespace backstay
