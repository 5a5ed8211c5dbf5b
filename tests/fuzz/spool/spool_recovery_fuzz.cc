// tests/fuzz/spool/spool_recovery_fuzz.cc -- recovery, reading, a second recovery over any segment.
//
// The input is a program: records with any payload and valid checksums, commit records, bytes
// written over the file at any place, a length to cut it to. So it gets behind the checksums.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/base/log.h"
#include "io/sim/world.h"
#include "spool/batch.h"
#include "spool/message_reader.h"
#include "spool/spool.h"

namespace backstay {
namespace {

constexpr uint64_t kFileBytes = 64_KiB;

class Input {
 public:
  explicit Input(Bytes bytes) : left_(bytes) {}
  bool empty() const { return left_.empty(); }
  uint8_t Byte() { return empty() ? uint8_t{0} : Take(1)[0]; }
  uint32_t Number(uint32_t limit) { return (Byte() | uint32_t{Byte()} << 8) % limit; }
  Bytes Take(size_t bytes) {
    const Bytes taken = left_.first(std::min(bytes, left_.size()));
    left_ = left_.subspan(taken.size());
    return taken;
  }

 private:
  Bytes left_;
};

class SegmentMaker {
 public:
  explicit SegmentMaker(uint32_t number) : file_(kFileBytes, 0), segment_(Header(number), Fd()) {
    SealSegmentHeader(segment_.header, MutableBytes(file_).first(kBlockBytes));
    SealSegmentHeader(segment_.header, MutableBytes(file_).last(kBlockBytes));
    batch_.Begin(segment_, kDataStart);
  }

  void Run(Input& input) {
    while (!input.empty()) {
      switch (input.Byte() % 8) {
        case 0:
          Commit();
          break;
        case 1:
          Overwrite(input.Number(kFileBytes), input.Take(input.Byte()));
          break;
        case 2:
          cut_ = std::min<size_t>(cut_, input.Number(kFileBytes));
          break;
        default:
          Record(input.Byte() % 8, input.Take(input.Number(600)));
          break;
      }
    }
    Commit();
  }
  Bytes file() const { return Bytes(file_).first(cut_); }

 private:
  static SegmentHeader Header(uint32_t number) {
    SegmentHeader header;
    header.node = 1;
    header.segment = number;
    header.segment_bytes = kFileBytes;
    header.salt = 7;
    return header;
  }
  void Record(uint8_t kind, Bytes bytes) {
    if (!batch_.HasRoom(bytes.size())) {
      return;
    }
    const MutableBytes payload = batch_.BeginRecord(bytes.size());
    std::copy(bytes.begin(), bytes.end(), payload.begin());
    RecordHeader header;
    header.kind = kind;
    header.payload_bytes = static_cast<uint32_t>(bytes.size());
    batch_.EndRecord(header);
  }
  void Commit() {
    if (!batch_.HasRoomForCommit()) {
      return;
    }
    batch_.Close({crc_, SpoolTime(), WallTime()}, 1);
    crc_ = batch_.commit_crc();
    std::copy(batch_.bytes().begin(), batch_.bytes().end(),
              file_.begin() + static_cast<ptrdiff_t>(batch_.start()));
    const uint64_t next = batch_.start() + batch_.bytes().size();
    batch_.Reset();
    batch_.Begin(segment_, next);
  }
  void Overwrite(size_t at, Bytes bytes) {
    const size_t count = std::min(bytes.size(), file_.size() - at);
    std::copy_n(bytes.begin(), count, file_.begin() + static_cast<ptrdiff_t>(at));
  }

  std::vector<uint8_t> file_;
  size_t cut_ = kFileBytes;
  Segment segment_;
  Batch batch_;
  uint32_t crc_ = 0;
};

// A shard that reads everything it is told of, then settles one recipient of each message.
class Shard final : public SpoolEvents, public MessageReaderEvents {
 public:
  Shard(World& world, Host& host) : io_(world.MakeIo(host)) {
    SpoolOptions options;
    options.node = 1;
    options.segment_bytes = kFileBytes;
    spool_ = std::make_unique<Spool>(*io_, *io_->OpenDirectory("/s", true), options, *this);
    reader_ = std::make_unique<MessageReader>(*spool_, *this);
    spool_->Recover();
    TurnUntil([this] { return is_ready_; });
    for (const auto& [domain, message] : live_) {
      ASSERT(spool_->NextLive(domain, std::nullopt).has_value());
      Read(message);
    }
    for (const auto& [domain, message] : live_) {
      if (spool_->IsLive(message, 0)) {
        const RecipientSettle settle{0, SettleKind::kDelivered, {}};
        spool_->Settle(message, {&settle, 1});
      }
    }
    for (int i = 0; i < 30; ++i) {
      Turn();
    }
  }

  void OnSpoolReady(const absl::Status& status) override { ASSERT(status.ok()); }
  void OnQueueReady() override { is_ready_ = true; }
  void OnSettlesDecided() override {}
  void OnLiveMessage(DomainId domain, MessageRef message) override {
    if (live_.size() < 20) {
      live_.emplace_back(domain, message);
    }
  }
  void OnRecoveredDeferral(MessageRef message, uint32_t recipient, DomainId, Bytes) override {
    ASSERT(spool_->IsLive(message, recipient));
  }
  void OnRecoveredFailure(MessageRef) override {}
  void OnHead(ReadOutcome outcome) override {
    is_read_ = outcome != ReadOutcome::kOk;
    wants_more_ = !is_read_;
  }
  void OnContent(ReadOutcome outcome, Bytes content) override {
    is_read_ = outcome != ReadOutcome::kOk || content.empty();
    wants_more_ = !is_read_;
  }

 private:
  void Turn() {
    spool_->CommitTurn();
    spool_->ReclaimStep();
    io_->Turn(std::min(spool_->NextDue(), io_->Now() + absl::Milliseconds(20)));
  }
  void TurnUntil(absl::FunctionRef<bool()> done) {
    for (int turns = 0; !done(); ++turns) {
      ASSERT(turns < 100'000);
      Turn();
    }
  }
  void Read(MessageRef message) {
    is_read_ = false;
    reader_->Open(message);
    TurnUntil([this] {
      if (wants_more_) {
        wants_more_ = false;
        reader_->NextContent();
      }
      return is_read_;
    });
    reader_->Close();
  }

  std::unique_ptr<Io> io_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<MessageReader> reader_;
  std::vector<std::pair<DomainId, MessageRef>> live_;
  bool is_ready_ = false;
  bool is_read_ = false;
  bool wants_more_ = false;
};

void Run(Bytes bytes) {
  SetLogSink([](LogLevel, std::string_view) {});
  World world(1);
  Host& host = world.AddHost("mx", SocketAddress::V4({10, 0, 0, 1}, 0));
  Input input(bytes);
  Input first(input.Take(input.Number(4096)));
  for (uint32_t number = 1; number <= 2; ++number) {
    SegmentMaker maker(number);
    maker.Run(number == 1 ? first : input);
    host.disk().Put(std::string("/s/") + NameOfSegment(number).data(), maker.file());
  }
  for (int life = 0; life < 2; ++life) {
    auto shard = std::make_unique<Shard>(world, host);
    world.Crash(host, CrashMode::kAllUnsynced);
  }
}

}  // namespace
}  // namespace backstay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  backstay::Run({data, size});
  return 0;
}
