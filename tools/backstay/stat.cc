// tools/backstay/stat.cc -- counts by shard and by domain.
#include "tools/backstay/stat.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "tools/backstay/message_walk.h"
#include "tools/backstay/table.h"
#include "tools/backstay/text.h"
#include "tools/backstay/verb.h"

namespace backstay {
namespace {

struct ShardCounts {
  uint64_t segments = 0;
  uint64_t bytes = 0;             // of the files
  uint64_t bytes_written = 0;     // of the log in them, padding included
  uint64_t bytes_live = 0;        // records of messages that are owed
  uint64_t bytes_dead = 0;        // all other records
  uint64_t messages_live = 0;     // with a live recipient
  uint64_t messages_pending = 0;  // owed for nothing but a DSN
  uint64_t recipients_live = 0;
  uint64_t recipients_pending = 0;
  uint64_t recipients_quarantined = 0;

  void Add(const ShardCounts& more) {
    segments += more.segments;
    bytes += more.bytes;
    bytes_written += more.bytes_written;
    bytes_live += more.bytes_live;
    bytes_dead += more.bytes_dead;
    messages_live += more.messages_live;
    messages_pending += more.messages_pending;
    recipients_live += more.recipients_live;
    recipients_pending += more.recipients_pending;
    recipients_quarantined += more.recipients_quarantined;
  }
};

struct DomainCounts {
  uint64_t messages = 0;
  uint64_t recipients_live = 0;
  uint64_t recipients_pending = 0;
  std::optional<WallTime> oldest;
};

using Domains = absl::btree_map<std::string, DomainCounts, std::less<>>;

// Adds one owed message to what is known of its shard and of its domains.
void Count(const StoredMessage& message, ShardCounts& shard, Domains& domains) {
  const DecodedMessage& record = message.record;
  shard.bytes_live += message.record_bytes;
  for (const PartEntry& part : record.parts) {
    shard.bytes_live += FrameBytes(part.bytes);
  }
  const auto arrival = WallTime::FromNanoseconds(record.fixed.arrival_wall);
  std::set<uint16_t> seen;
  bool is_live = false;
  for (uint32_t i = 0; i < record.recipient_domains.size(); ++i) {
    if (!message.IsLive(i) && !message.IsPending(i)) {
      continue;
    }
    is_live = is_live || message.IsLive(i);
    DomainCounts& domain = domains[std::string(record.domains[record.recipient_domains[i]])];
    domain.recipients_live += message.IsLive(i) ? 1 : 0;
    domain.recipients_pending += message.IsPending(i) ? 1 : 0;
    domain.messages += seen.insert(record.recipient_domains[i]).second ? 1 : 0;
    domain.oldest = std::min(domain.oldest.value_or(arrival), arrival);
  }
  ++(is_live ? shard.messages_live : shard.messages_pending);
}

// ---- as JSON ----

std::string AsJson(JsonObject json, const ShardCounts& counts) {
  json.Number("segments", counts.segments)
      .Number("bytes", counts.bytes)
      .Number("bytes_written", counts.bytes_written)
      .Number("bytes_live", counts.bytes_live)
      .Number("bytes_dead", counts.bytes_dead)
      .Number("messages_live", counts.messages_live)
      .Number("messages_dsn_pending", counts.messages_pending)
      .Number("recipients_live", counts.recipients_live)
      .Number("recipients_dsn_pending", counts.recipients_pending)
      .Number("recipients_quarantined", counts.recipients_quarantined);
  return std::move(json).Take();
}

void PrintJson(const std::vector<std::pair<uint16_t, ShardCounts>>& shards, const Domains& domains,
               const ShardCounts& total, bool is_in_use) {
  for (const auto& [number, counts] : shards) {
    JsonObject json;
    PrintLine(AsJson(std::move(json.Text("kind", "shard").Number("shard", number)), counts));
  }
  for (const auto& [name, counts] : domains) {
    JsonObject json;
    json.Text("kind", "domain")
        .Text("domain", name)
        .Number("messages", counts.messages)
        .Number("recipients_live", counts.recipients_live)
        .Number("recipients_dsn_pending", counts.recipients_pending)
        .Text("oldest", IsoTime(counts.oldest.value_or(WallTime())));
    PrintLine(std::move(json).Take());
  }
  JsonObject json;
  PrintLine(AsJson(std::move(json.Text("kind", "total").Flag("in_use", is_in_use)), total));
}

// ---- for a terminal ----

std::string NameOf(uint16_t shard) {
  return fmt::format("{:03}", shard);
}

std::vector<std::string> RowOfBytes(std::string name, const ShardCounts& counts) {
  return {std::move(name),
          GroupedNumber(counts.segments),
          ReadableBytes(counts.bytes),
          ReadableBytes(counts.bytes_written),
          ReadableBytes(counts.bytes_live),
          ReadableBytes(counts.bytes_dead)};
}

std::vector<std::string> RowOfMail(std::string name, const ShardCounts& counts) {
  return {std::move(name),
          GroupedNumber(counts.messages_live),
          GroupedNumber(counts.messages_pending),
          GroupedNumber(counts.recipients_live),
          GroupedNumber(counts.recipients_pending),
          GroupedNumber(counts.recipients_quarantined)};
}

void PrintTables(const std::vector<std::pair<uint16_t, ShardCounts>>& shards,
                 const Domains& domains, const ShardCounts& total) {
  Table bytes({"SHARD", "SEGMENTS", "FILES", "WRITTEN", "LIVE", "DEAD"});
  Table mail(
      {"SHARD", "MESSAGES LIVE", "DSN PENDING", "RECIPIENTS LIVE", "DSN PENDING", "QUARANTINED"});
  for (const auto& [number, counts] : shards) {
    bytes.Add(RowOfBytes(NameOf(number), counts));
    mail.Add(RowOfMail(NameOf(number), counts));
  }
  bytes.Add(RowOfBytes("total", total));
  mail.Add(RowOfMail("total", total));
  Print(bytes.Text() + "\n" + mail.Text());
  if (domains.empty()) {
    return;
  }
  Table by_domain({"DOMAIN", "MESSAGES", "RECIPIENTS LIVE", "DSN PENDING", "OLDEST"});
  for (const auto& [name, counts] : domains) {
    by_domain.Add({Printable(name), GroupedNumber(counts.messages),
                   GroupedNumber(counts.recipients_live), GroupedNumber(counts.recipients_pending),
                   IsoTime(counts.oldest.value_or(WallTime()))});
  }
  Print("\n" + by_domain.Text());
}

ShardCounts CountShard(ShardFiles& files, const ShardWalk& walk, Domains& domains) {
  ShardCounts shard;
  shard.segments = walk.counts().segments;
  shard.bytes = walk.counts().file_bytes;
  shard.bytes_written = walk.counts().bytes_written;
  shard.recipients_live = walk.index().recipients_live();
  shard.recipients_pending = walk.index().recipients_pending();
  shard.recipients_quarantined = walk.index().recipients_quarantined();
  ForEachMessage(files, walk, Messages::kOwed,
                 [&](const StoredMessage& message) { Count(message, shard, domains); });
  const uint64_t records = walk.counts().bytes_records;
  shard.bytes_dead = records - std::min(records, shard.bytes_live);
  return shard;
}

}  // namespace

int Stat(Io& io, const StatOptions& options) {
  int exit_code = kExitOk;
  std::optional<SpoolView> view = OpenSpool(io, options.path, exit_code);
  if (!view.has_value()) {
    return exit_code;
  }
  FindingCount findings;
  std::vector<std::pair<uint16_t, ShardCounts>> shards;
  Domains domains;
  ShardCounts total;
  for (const uint16_t number : view->Shards()) {
    ShardFiles files(io, view->ShardDirectory(number), {view->node(), number});
    const absl::Status opened = files.Open();
    if (!opened.ok()) {
      return ComplainOfSpool(fmt::format("{}: shard {:03}", options.path, number), opened);
    }
    ShardWalk walk(files, view->IsInUse(), findings, nullptr);
    walk.Run();
    shards.emplace_back(number, CountShard(files, walk, domains));
    total.Add(shards.back().second);
  }
  if (options.is_json) {
    PrintJson(shards, domains, total, view->IsInUse());
  } else {
    PrintTables(shards, domains, total);
  }
  findings.Complain(options.path);
  view->Close(io);
  return kExitOk;
}

}  // namespace backstay
