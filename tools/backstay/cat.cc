// tools/backstay/cat.cc -- verified as a whole before the first byte is written.
#include "tools/backstay/cat.h"

#include <fmt/format.h>

#include <optional>
#include <string_view>

#include "core/smtp/envelope.h"
#include "spool/queue_id.h"
#include "tools/backstay/message_file.h"
#include "tools/backstay/shard_walk.h"
#include "tools/backstay/text.h"
#include "tools/backstay/verb.h"

namespace backstay {
namespace {

std::string NamesOf(uint8_t notify) {
  std::string names;
  const auto add = [&](uint8_t bit, std::string_view name) {
    if ((notify & bit) != 0) {
      names += names.empty() ? "" : ",";
      names += name;
    }
  };
  add(Notify::kNever, "NEVER");
  add(Notify::kSuccess, "SUCCESS");
  add(Notify::kFailure, "FAILURE");
  add(Notify::kDelay, "DELAY");
  return names;
}

std::string_view NameOf(ReturnContent content) {
  switch (content) {
    case ReturnContent::kUnspecified:
      return "";
    case ReturnContent::kFull:
      return "FULL";
    case ReturnContent::kHeaders:
      return "HDRS";
  }
  UNREACHABLE();
}

// The words of the commands that brought it, one a line.
void PrintEnvelope(const Envelope& envelope, WallTime arrival) {
  const auto line = [](std::string_view name, const std::string& value) {
    if (!value.empty()) {
      PrintLine(fmt::format("{}: {}", name, value));
    }
  };
  line("arrival", IsoTime(arrival));
  line("client", Printable(envelope.client_address));
  line("client name", Printable(envelope.client_name));
  line("helo", Printable(envelope.client_helo));
  line("mail from", fmt::format("<{}>", Printable(envelope.reverse_path)));
  line("body", envelope.body == BodyType::k8BitMime ? "8BITMIME" : "7BIT");
  line("smtputf8", envelope.smtputf8 ? "yes" : "");
  line("ret", std::string(NameOf(envelope.return_content)));
  line("envid", Printable(envelope.envelope_id));
  for (const Recipient& recipient : envelope.recipients) {
    std::string text = fmt::format("<{}>", Printable(recipient.address));
    text += recipient.notify == 0 ? "" : " NOTIFY=" + NamesOf(recipient.notify);
    text += recipient.original_recipient.empty()
                ? ""
                : " ORCPT=" + Printable(recipient.original_recipient);
    line("rcpt to", text);
  }
}

int Refuse(const CatOptions& options, const absl::Status& status) {
  const std::string why(status.message());
  if (absl::IsNotFound(status)) {
    Complain(
        fmt::format("{} is not in {}: {}. A segment goes when all in it is settled; `backstay "
                    "spool list {}` shows what is there",
                    options.queue_id, options.path, why, options.path));
    return kExitFound;
  }
  if (absl::IsDataLoss(status)) {
    Complain(fmt::format(
        "{} cannot be read whole: {}. Nothing of it was written; `backstay spool verify {}` "
        "names all damage",
        options.queue_id, why, options.path));
    return kExitFound;
  }
  return ComplainOfSpool(options.path, status);
}

int Print(MessageFile& message, const CatOptions& options) {
  absl::Status status = message.Open();
  if (!status.ok()) {
    return Refuse(options, status);
  }
  if (options.is_envelope) {
    const std::optional<Envelope> envelope = DecodeEnvelope(message.message().envelope);
    if (!envelope.has_value()) {
      return Refuse(options, absl::DataLossError("its envelope is not one of this version"));
    }
    PrintEnvelope(*envelope, WallTime::FromNanoseconds(message.message().fixed.arrival_wall));
    return kExitOk;
  }
  status = message.ForEachPiece([](Bytes) {});
  if (status.ok()) {
    status = message.ForEachPiece([](Bytes piece) { backstay::Print(AsText(piece)); });
  }
  return status.ok() ? kExitOk : Refuse(options, status);
}

class NoFindings final : public FindingEvents {
 public:
  void OnFinding(const Finding&) override {}
};

// Usually at home. When the segment is gone, the log knows what was moved out of it.
MessageRef PlaceOf(ShardFiles& files, MessageRef home, bool is_in_use) {
  if (files.Find(home.segment) != nullptr) {
    return home;
  }
  NoFindings findings;
  ShardWalk walk(files, is_in_use, findings, nullptr);
  walk.Run();
  return walk.index().PlaceOf(home);
}

}  // namespace

int Cat(Io& io, const CatOptions& options) {
  const std::optional<QueueId> id = QueueId::Parse(options.queue_id);
  if (!id.has_value()) {
    Complain(
        fmt::format("'{}' is no queue id: these are 16 of 0-9 and B-Z without vowels, as in the "
                    "reply to the client",
                    Printable(options.queue_id)));
    return kExitUsage;
  }
  int exit_code = kExitOk;
  std::optional<SpoolView> view = OpenSpool(io, options.path, exit_code);
  if (!view.has_value()) {
    return exit_code;
  }
  if (id->node != view->node()) {
    return Refuse(options,
                  absl::NotFoundError(fmt::format("it is of node {}, this is the spool of node {}",
                                                  id->node, view->node())));
  }
  if (!view->HasShard(id->shard)) {
    return Refuse(options, absl::NotFoundError(fmt::format("there is no shard {:03}", id->shard)));
  }
  ShardFiles files(io, view->ShardDirectory(id->shard), {view->node(), id->shard});
  const absl::Status opened = files.Open();
  if (!opened.ok()) {
    return ComplainOfSpool(fmt::format("{}: shard {:03}", options.path, id->shard), opened);
  }
  const MessageRef home{id->segment, id->block};
  MessageFile message(files, home, PlaceOf(files, home, view->IsInUse()));
  exit_code = Print(message, options);
  view->Close(io);
  return exit_code;
}

}  // namespace backstay
