// tests/spool/spool_harness.h -- one shard's spool on a simulated host: send, wait, settle, crash,
// look.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "io/sim/world.h"
#include "spool/message_reader.h"
#include "spool/message_writer.h"
#include "spool/spool.h"

namespace backstay {

// Content that no other message has, of exactly this many bytes.
std::string TestContent(uint64_t number, size_t bytes);

// A message on its way in; remembers what it was told.
class Sent : public MessageSource {
 public:
  Sent(Spool& spool, std::string content, std::vector<std::string> recipients);
  MessageDescription Describe(const QueueId& id) override;
  // Before it is sent: with it the debts of another message end.
  void Report(MessageRef about, std::vector<Debt> pending) {
    reported = about;
    debts = std::move(pending);
  }
  void OnCommitted(CommitResult result, MessageRef message) override;

  MessageWriter writer;
  const std::string content;
  const std::string envelope;
  std::string prefix;  // "Received: id <queue id>"
  std::vector<std::string> domains;
  std::vector<std::string_view> domain_views;
  std::vector<uint16_t> recipient_domains;
  std::optional<MessageRef> reported;
  std::vector<Debt> debts;
  QueueId id;
  int described = 0;
  int committed = 0;
  CommitResult result = CommitResult::kFailed;
  MessageRef message;
};

// All that can be read back of one message.
struct ReadBack {
  ReadOutcome outcome = ReadOutcome::kOk;
  std::string envelope;
  std::string content;  // prefix included
  std::vector<std::string> recipient_domains;
  uint16_t flags = 0;
  uint64_t head_content_bytes = 0;
  friend bool operator==(const ReadBack&, const ReadBack&) = default;
};

class SpoolHarness : public SpoolEvents {
 public:
  static SpoolOptions SmallOptions();

  explicit SpoolHarness(uint64_t seed = 1, const SpoolOptions& options = SmallOptions(),
                        const FaultPlan& plan = FaultPlan::None());
  ~SpoolHarness();

  // ---- life ----
  void Start();  // opens the directory and starts recovery; returns when ready or a crash is due
  void Crash(CrashMode mode);  // and everything on top is gone
  void Restart(CrashMode mode) {
    Crash(mode);
    Start();
  }
  bool CloseAndWait();

  // ---- the turn ----
  void Turn(absl::Duration at_most = absl::Milliseconds(10));
  bool TurnUntil(absl::FunctionRef<bool()> done, absl::Duration at_most = absl::Minutes(2));
  void Idle(absl::Duration time);

  // ---- mail ----
  // Not waited for.
  Sent& Begin(std::string content, std::vector<std::string> recipients = {"a.example"});
  Sent& Send(std::string content, std::vector<std::string> recipients = {"a.example"});
  // Waits until it is told.
  Sent& SendAndWait(std::string content, std::vector<std::string> recipients = {"a.example"});
  ReadBack Read(MessageRef message);
  void Settle(MessageRef message, uint32_t recipient, SettleKind kind = SettleKind::kDelivered,
              std::string_view detail = "");
  std::vector<MessageRef> Live(std::string_view domain = "a.example");
  // Expects that `sent` reads back as it was sent.
  void ExpectWhole(const Sent& sent);

  // ---- files ----
  static std::string PathOf(std::string_view name);  // in the shard's directory
  static std::string SegmentPath(uint32_t number);
  std::vector<std::string> SegmentFiles();
  std::vector<std::string> QuarantineFiles();
  std::vector<std::string> CheckpointPaths();
  // The next start reads every segment.
  void DeleteCheckpoints();
  Disk& disk() { return host_->disk(); }

  void OnSpoolReady(const absl::Status& status) override;
  void OnQueueReady() override;
  void OnSettlesDecided() override {}
  void OnLiveMessage(DomainId domain, MessageRef message) override;
  void OnRecoveredDeferral(MessageRef message, uint32_t recipient, DomainId domain,
                           Bytes note) override;
  void OnRecoveredFailure(MessageRef message) override { failures.insert(message); }

  World world;
  SpoolOptions options;
  std::unique_ptr<Io> io;
  std::unique_ptr<Spool> spool;
  std::vector<std::unique_ptr<Sent>> sent;
  bool is_ready = false;
  absl::Status ready_status;
  std::vector<std::pair<std::string, MessageRef>> live_events;
  std::map<std::pair<MessageRef, uint32_t>, std::string> deferrals;
  std::set<MessageRef> failures;  // that recovery found

 private:
  Host* host_;
};

}  // namespace backstay
