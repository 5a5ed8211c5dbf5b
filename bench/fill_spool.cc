// bench/fill_spool.cc -- backstay-fill: millions of queued messages in a spool, without SMTP.
//
// It writes what the daemon would have written: envelopes, Received fields, batches, synced.
// The daemon is not running meanwhile (the spool is locked).
//
// Exit codes: 0; 1 the spool took no more; 64 usage; 69 the kernel lacks what is needed; 73 the
// spool cannot be opened.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/smtp/envelope.h"
#include "fmt/format.h"
#include "io/uring/uring_io.h"
#include "spool/format.h"
#include "spool/message_writer.h"
#include "spool/spool.h"
#include "spool/spool_directory.h"
#include "tools/traffic/program.h"

namespace backstay {
namespace {

constexpr int kUnderWay = 2000;  // messages of a shard
constexpr int64_t kMessagesMax = 1'000'000'000;
constexpr int64_t kBytesMax = 256_KiB;  // each that is under way is held twice: 1 GiB a shard
constexpr int64_t kDomainsMax = 1'000'000;

struct Wish {
  std::string directory;
  uint64_t messages = 1'000'000;
  size_t bytes = 400;
  uint32_t domains = 1;
  uint16_t shards = 1;
  uint64_t segment_bytes = 256_MiB;
};

// One message after the other; many of these are under way at once.
class Source final : public MessageSource {
 public:
  Source(Spool& spool, const Wish& wish, uint64_t& left)
      : wish_(wish), left_(left), writer_(spool) {
    content_ = "Subject: filled\r\n\r\n" + std::string(wish.bytes, 'x') + "\r\n";
  }

  void Next() {
    if (left_ == 0) {
      return;
    }
    number_ = --left_;
    domain_ = wish_.domains == 1 ? "example.com"
                                 : fmt::format("domain-{}.example", number_ % wish_.domains);
    writer_.Append(AsBytes(content_));
    writer_.Finish(*this);
  }

 private:
  MessageDescription Describe(const QueueId& id) override {
    Envelope envelope;
    envelope.reverse_path = "sender@sender.example";
    envelope.AddRecipient().address = fmt::format("user-{}@{}", number_, domain_);
    envelope.client_address = "127.0.0.1";
    envelope.client_helo = "fill.example";
    encoded_.clear();
    EncodeEnvelope(envelope, encoded_);
    const auto text = id.ToText();
    prefix_ =
        fmt::format("Received: from fill.example by localhost (backstay) with ESMTP id {}\r\n",
                    std::string_view(text.data(), text.size()));
    domain_view_ = domain_;
    MessageDescription description;
    description.envelope = AsBytes(encoded_);
    description.prefix = AsBytes(prefix_);
    description.domains = {&domain_view_, 1};
    description.recipient_domains = {&recipient_domain_, 1};
    description.arrival_wall = WallTime::FromNanoseconds(
        std::chrono::system_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
    return description;
  }
  void OnCommitted(CommitResult result, MessageRef) override {
    if (result != CommitResult::kStored) {
      std::fprintf(stderr, "backstay-fill: the spool took a message no more (disk full?)\n");
      std::exit(1);
    }
    Next();
  }

  const Wish& wish_;
  uint64_t& left_;
  MessageWriter writer_;
  std::string content_;
  std::string encoded_;
  std::string prefix_;
  std::string domain_;
  std::string_view domain_view_;
  const uint16_t recipient_domain_ = 0;
  uint64_t number_ = 0;
};

class Shard final : public SpoolEvents {
 public:
  Shard(Io& io, Fd directory, const SpoolOptions& options, const Wish& wish, uint64_t messages)
      : left(messages), spool(io, directory, options, *this) {
    for (int i = 0; i < kUnderWay; ++i) {
      sources_.push_back(std::make_unique<Source>(spool, wish, left));
    }
  }

  void OnSpoolReady(const absl::Status& status) override {
    if (!status.ok()) {
      std::fprintf(stderr, "backstay-fill: %s\n", std::string(status.message()).c_str());
      std::exit(1);
    }
    for (const auto& source : sources_) {
      source->Next();
    }
  }
  void OnQueueReady() override { is_queue_ready = true; }
  void OnLiveMessage(DomainId, MessageRef) override {}
  void OnRecoveredDeferral(MessageRef, uint32_t, DomainId, Bytes) override {}
  void OnRecoveredFailure(MessageRef) override {}
  void OnSettlesDecided() override {}

  uint64_t left;
  bool is_queue_ready = false;
  Spool spool;

 private:
  std::vector<std::unique_ptr<Source>> sources_;
};

uint64_t Stored(const std::vector<std::unique_ptr<Shard>>& shards) {
  uint64_t stored = 0;
  for (const auto& shard : shards) {
    stored += shard->spool.Stats().messages_appended;
  }
  return stored;
}

template <typename Done>
void TurnUntil(Io& io, const std::vector<std::unique_ptr<Shard>>& shards, Done done) {
  const bool is_terminal = isatty(STDERR_FILENO) == 1;
  Instant said = io.Now();
  while (!done()) {
    Instant wake = io.Now() + absl::Milliseconds(100);
    for (const auto& shard : shards) {
      shard->spool.CommitTurn();
      shard->spool.ReclaimStep();
      wake = std::min(wake, shard->spool.NextDue());
    }
    io.Turn(wake);
    if (is_terminal && io.Now() >= said + absl::Seconds(1)) {
      said = io.Now();
      std::fprintf(stderr, "\r%lu messages", static_cast<unsigned long>(Stored(shards)));
    }
  }
  if (is_terminal) {
    std::fprintf(stderr, "\n");
  }
}

int Fill(const Wish& wish) {
  auto io = MakeUringIo(UringOptions{});
  if (!io.ok()) {
    std::fprintf(stderr, "backstay-fill: %s\n", std::string(io.status().message()).c_str());
    return kExitKernel;
  }
  auto directory = SpoolDirectory::Open(**io, {wish.directory, wish.shards, 0});
  if (!directory.ok()) {
    std::fprintf(stderr, "backstay-fill: %s\n", std::string(directory.status().message()).c_str());
    return kExitFile;
  }
  std::vector<std::unique_ptr<Shard>> shards;
  for (uint16_t number = 0; number < wish.shards; ++number) {
    SpoolOptions options;
    options.node = directory->node();
    options.shard = number;
    options.segment_bytes = wish.segment_bytes;
    const uint64_t share = wish.messages / wish.shards + (number < wish.messages % wish.shards);
    shards.push_back(std::make_unique<Shard>(**io, directory->shard_directories()[number], options,
                                             wish, share));
    shards.back()->spool.Recover();
  }
  const Instant start = (*io)->Now();
  TurnUntil(**io, shards, [&] {
    return Stored(shards) == wish.messages &&
           std::all_of(shards.begin(), shards.end(), [](auto& s) { return s->is_queue_ready; });
  });
  const double seconds = absl::ToDoubleSeconds((*io)->Now() - start);
  for (const auto& shard : shards) {
    shard->spool.Close();
  }
  TurnUntil(**io, shards, [&] {
    return std::all_of(shards.begin(), shards.end(), [](auto& s) { return s->spool.idle(); });
  });
  shards.clear();
  directory->Close(**io);
  std::printf("{\"messages\": %lu, \"seconds\": %.2f}\n", static_cast<unsigned long>(wish.messages),
              seconds);
  return 0;
}

// Of signed numbers: the parser of flags takes -5 for 2^64 - 5 where there is no sign.
CLI::Range Within(int64_t least, int64_t most) {
  return {least, most};
}

int Main(int argc, char** argv) {
  Wish wish;
  CLI::App app{"Fills a spool with queued messages, without SMTP.", "backstay-fill"};
  app.add_option("--spool", wish.directory, "the spool directory; made if it is not there")
      ->required();
  app.add_option("--messages", wish.messages, "how many, over all shards")
      ->check(Within(0, kMessagesMax));
  app.add_option("--bytes", wish.bytes, "of each body")->check(Within(0, kBytesMax));
  app.add_option("--domains", wish.domains, "1: example.com, else domain-<n>.example")
      ->check(Within(1, kDomainsMax));
  app.add_option("--shards", wish.shards, "as smtp.shards of the daemon")->check(Within(1, 1024));
  app.add_option("--segment-size", wish.segment_bytes, "bytes")
      ->transform(CLI::AsSizeValue(false))
      ->check(Within(kSegmentBytesMin, kSegmentBytesMax));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return Fill(wish);
}

}  // namespace
}  // namespace backstay

int main(int argc, char** argv) {
  return backstay::Main(argc, argv);
}
