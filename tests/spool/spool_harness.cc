// tests/spool/spool_harness.cc -- driving a spool without a daemon.
#include "tests/spool/spool_harness.h"

#include <algorithm>

#include "fmt/format.h"
#include "spool/segment.h"

namespace backstay {
namespace {

constexpr const char* kDirectory = "/spool/shard-000";

class Reading : public MessageReaderEvents {
 public:
  explicit Reading(Spool& spool) : reader(spool, *this) {}
  void OnHead(ReadOutcome outcome) override {
    back.outcome = outcome;
    if (outcome != ReadOutcome::kOk) {
      done = true;
      return;
    }
    const MessageHead& head = reader.head();
    back.envelope = AsText(head.envelope);
    back.flags = head.flags;
    back.head_content_bytes = head.content_bytes;
    back.content.reserve(head.content_bytes);
    for (const uint16_t domain : head.recipient_domains) {
      back.recipient_domains.push_back(std::string(head.domains[domain]));
    }
    wants_more = true;
  }
  void OnContent(ReadOutcome outcome, Bytes content) override {
    back.outcome = outcome;
    done = outcome != ReadOutcome::kOk || content.empty();
    back.content += AsText(content);
    wants_more = !done;
  }

  MessageReader reader;
  ReadBack back;
  bool wants_more = false;
  bool done = false;
};

}  // namespace

std::string TestContent(uint64_t number, size_t bytes) {
  std::string content = fmt::format("Subject: {}\r\n\r\n", number);
  Random random(number);
  while (content.size() < bytes) {
    content += static_cast<char>(random.Below(256));
  }
  content.resize(bytes);
  return content;
}

Sent::Sent(Spool& spool, std::string text, std::vector<std::string> recipients)
    : writer(spool),
      content(std::move(text)),
      envelope(fmt::format("envelope of {} bytes for {}", content.size(), recipients.size())) {
  for (const std::string& domain : recipients) {
    const auto at = std::find(domains.begin(), domains.end(), domain);
    recipient_domains.push_back(static_cast<uint16_t>(at - domains.begin()));
    if (at == domains.end()) {
      domains.push_back(domain);
    }
  }
  domain_views.assign(domains.begin(), domains.end());
}

MessageDescription Sent::Describe(const QueueId& queue_id) {
  ++described;
  id = queue_id;
  const auto text = id.ToText();
  prefix = fmt::format("Received: id {}\r\n", std::string_view(text.data(), text.size()));
  MessageDescription description{AsBytes(envelope),
                                 AsBytes(prefix),
                                 domain_views,
                                 recipient_domains,
                                 WallTime::FromNanoseconds(77),
                                 5};
  if (reported.has_value()) {
    description.report_of = ReportOf{*reported, debts};
    description.is_ours = true;
  }
  return description;
}

void Sent::OnCommitted(CommitResult outcome, MessageRef place) {
  ++committed;
  result = outcome;
  message = place;
}

SpoolOptions SpoolHarness::SmallOptions() {
  SpoolOptions options;
  options.node = 4711;
  options.shard = 2;
  options.segment_bytes = 256_KiB;
  options.reserve_bytes = 1_MiB;
  options.part_bytes = 16_KiB;
  options.staging_bytes_max = 128_KiB;
  options.pending_bytes_max = 128_KiB;
  return options;
}

SpoolHarness::SpoolHarness(uint64_t seed, const SpoolOptions& spool_options, const FaultPlan& plan)
    : world(seed, plan),
      options(spool_options),
      host_(&world.AddHost("mx2", SocketAddress::V4({10, 0, 0, 1}, 0))) {}

SpoolHarness::~SpoolHarness() {
  Crash(CrashMode::kAllUnsynced);
}

void SpoolHarness::Start() {
  io = world.MakeIo(*host_);
  const Fd directory = *io->OpenDirectory(kDirectory, true);
  is_ready = false;
  spool = std::make_unique<Spool>(*io, directory, options, *this);
  spool->Recover();
  // A disk may take a minute for each step.
  TurnUntil([this] { return is_ready; }, absl::Minutes(10));
}

void SpoolHarness::Crash(CrashMode mode) {
  if (spool != nullptr) {
    world.Crash(*host_, mode);
  }
  sent.clear();
  spool.reset();
  io.reset();
  live_events.clear();
  deferrals.clear();
  failures.clear();
}

bool SpoolHarness::CloseAndWait() {
  spool->Close();
  return TurnUntil([this] { return spool->idle(); });
}

void SpoolHarness::Turn(absl::Duration at_most) {
  spool->CommitTurn();
  spool->ReclaimStep();
  io->Turn(std::min(spool->NextDue(), io->Now() + at_most));
}

bool SpoolHarness::TurnUntil(absl::FunctionRef<bool()> done, absl::Duration at_most) {
  const Instant end = io->Now() + at_most;
  while (!done()) {
    if (world.crash_due() || io->Now() >= end) {
      return false;
    }
    Turn();
  }
  return true;
}

void SpoolHarness::Idle(absl::Duration time) {
  TurnUntil([] { return false; }, time);
}

Sent& SpoolHarness::Begin(std::string content, std::vector<std::string> recipients) {
  sent.push_back(std::make_unique<Sent>(*spool, std::move(content), std::move(recipients)));
  return *sent.back();
}

Sent& SpoolHarness::Send(std::string content, std::vector<std::string> recipients) {
  Sent& message = Begin(std::move(content), std::move(recipients));
  message.writer.Append(AsBytes(message.content));
  message.writer.Finish(message);
  return message;
}

Sent& SpoolHarness::SendAndWait(std::string content, std::vector<std::string> recipients) {
  Sent& message = Send(std::move(content), std::move(recipients));
  TurnUntil([&] { return message.committed > 0; });
  return message;
}

ReadBack SpoolHarness::Read(MessageRef message) {
  Reading reading(*spool);
  reading.reader.Open(message);
  TurnUntil([&] {
    if (std::exchange(reading.wants_more, false)) {
      reading.reader.NextContent();
    }
    return reading.done;
  });
  EXPECT_TRUE(reading.done || world.crash_due());
  return std::move(reading.back);
}

void SpoolHarness::Settle(MessageRef message, uint32_t recipient, SettleKind kind,
                          std::string_view detail) {
  const RecipientSettle settle{recipient, kind, AsBytes(detail)};
  spool->Settle(message, {&settle, 1});
}

std::vector<MessageRef> SpoolHarness::Live(std::string_view domain) {
  std::vector<MessageRef> live;
  const DomainId id = spool->Intern(domain);
  for (auto next = spool->NextLive(id, std::nullopt); next.has_value();
       next = spool->NextLive(id, next)) {
    live.push_back(*next);
  }
  return live;
}

void SpoolHarness::ExpectWhole(const Sent& message) {
  const ReadBack back = Read(message.message);
  EXPECT_EQ(back.outcome, ReadOutcome::kOk);
  EXPECT_EQ(back.envelope, message.envelope);
  EXPECT_TRUE(back.content == message.prefix + message.content);
  EXPECT_EQ(back.head_content_bytes, message.prefix.size() + message.content.size());
  EXPECT_EQ(back.flags, 5);
  ASSERT_EQ(back.recipient_domains.size(), message.recipient_domains.size());
  for (size_t i = 0; i < back.recipient_domains.size(); ++i) {
    EXPECT_EQ(back.recipient_domains[i], message.domains[message.recipient_domains[i]]);
  }
}

std::string SpoolHarness::PathOf(std::string_view name) {
  return fmt::format("{}/{}", kDirectory, name);
}

std::string SpoolHarness::SegmentPath(uint32_t number) {
  return PathOf(NameOfSegment(number).data());
}

std::vector<std::string> SpoolHarness::SegmentFiles() {
  std::vector<std::string> files = disk().List(kDirectory);
  std::erase_if(files, [](const std::string& name) { return !name.starts_with("segment-"); });
  return files;
}

std::vector<std::string> SpoolHarness::QuarantineFiles() {
  return disk().List(fmt::format("{}/quarantine", kDirectory));
}

std::vector<std::string> SpoolHarness::CheckpointPaths() {
  std::vector<std::string> paths;
  for (const std::string& name : disk().List(kDirectory)) {
    if (name.starts_with("checkpoint-")) {
      paths.push_back(fmt::format("{}/{}", kDirectory, name));
    }
  }
  return paths;
}

void SpoolHarness::DeleteCheckpoints() {
  for (const std::string& path : CheckpointPaths()) {
    disk().Delete(path);
  }
}

void SpoolHarness::OnSpoolReady(const absl::Status& status) {
  is_ready = !status.ok();
  ready_status = status;
}

void SpoolHarness::OnQueueReady() {
  is_ready = true;
}

void SpoolHarness::OnLiveMessage(DomainId domain, MessageRef message) {
  live_events.emplace_back(std::string(spool->Name(domain)), message);
}

void SpoolHarness::OnRecoveredDeferral(MessageRef message, uint32_t recipient, DomainId,
                                       Bytes note) {
  deferrals[{message, recipient}] = std::string(AsText(note));
}

}  // namespace backstay
