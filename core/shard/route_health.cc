// core/shard/route_health.cc -- how a route learns, and tells the other shards, how a primary is.
#include <fmt/format.h>

#include <string>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/shard/failure_text.h"
#include "core/shard/route.h"

namespace backstay {
namespace {

// After a connection that ended badly while the destination counts as up: no hot loop of connects.
constexpr absl::Duration kPauseAfterBadEnd = absl::Seconds(1);

}  // namespace

void Route::OnDeliveryGreeted(Delivery&) {
  addresses_failed_ = 0;
  Feed(DestinationEvent::kAnswered, "");
}

void Route::OnDeliveryClosed(Delivery& delivery) {
  home_.WantDispatch(*this);
  if (stopping_ || delivery.stopping()) {
    return;  // we ended it: that says nothing about the primary
  }
  const OutboundConnection& connection = delivery.connection();
  const std::string reason =
      fmt::format("{}: {}", connection.address().ToString(), FailureText(connection));
  if (!connection.greeted()) {
    OnNotGreeted(connection, reason);
    return;
  }
  const ClientSession::Failure failure = connection.session().failure();
  if (failure == ClientSession::Failure::kNone && !connection.deadline_passed()) {
    return;  // an orderly end
  }
  if (failure == ClientSession::Failure::kConnectionLost && !delivery.was_attempting()) {
    return;  // an idle connection that the primary closed
  }
  pause_until_ = parts_.io.Now() + kPauseAfterBadEnd;
  Feed(DestinationEvent::kTrouble, reason);
}

// The connection never got through EHLO. The next address of the list has its turn; when none is
// left, the destination is what the last one said.
void Route::OnNotGreeted(const OutboundConnection& connection, std::string_view reason) {
  const ClientSession::Failure failure = connection.session().failure();
  if (failure == ClientSession::Failure::kSelf) {
    LogError("held: {} greets with our own name; mail to ourselves would loop", plan_.name);
    Feed(DestinationEvent::kIsSelf, reason);
    return;
  }
  address_ = (address_ + 1) % plan_.addresses.size();
  if (++addresses_failed_ < plan_.addresses.size()) {
    return;
  }
  addresses_failed_ = 0;
  const bool soft =
      connection.connect_error() == IoError::kNone &&
      (failure == ClientSession::Failure::kDeferredGreeting ||
       failure == ClientSession::Failure::kDeferredEhlo ||
       failure == ClientSession::Failure::kServiceClosing || connection.deadline_passed());
  const bool ours = connection.connect_error() == IoError::kNoDescriptors ||
                    connection.connect_error() == IoError::kNoMemory;
  pause_until_ = parts_.io.Now() + kPauseAfterBadEnd;
  if (!ours) {
    Feed(soft ? DestinationEvent::kTrouble : DestinationEvent::kUnreachable, reason);
  }
}

void Route::Feed(DestinationEvent event, std::string_view reason) {
  if (event == DestinationEvent::kUnreachable || event == DestinationEvent::kTrouble ||
      event == DestinationEvent::kProbeFailed) {
    last_failure_ = parts_.spool.Clock();
    last_reason_.assign(reason);
  }
  const DestinationState before = destination_.state();
  if (destination_.Feed(event, parts_.io.Now(), parts_.io.random())) {
    if (destination_.state() == DestinationState::kDown) {
      WentDown(reason);
    } else if (before == DestinationState::kDown) {
      CameUp();
    }
  }
  home_.WantDispatch(*this);
}

void Route::WentDown(std::string_view reason) {
  for (const std::unique_ptr<Delivery>& delivery : deliveries_) {
    delivery->StopWhenIdle();
  }
  if (!is_home_) {
    parts_.post.Post(parts_.index, key_ % parts_.post.shards(),
                     {.kind = ShardMessage::Kind::kDestinationFailed,
                      .destination = key_,
                      .reason = std::string(reason)});
    return;
  }
  LogWarning("primary {} is down ({}); probing", plan_.name, reason);
  Broadcast(ShardMessage::Kind::kDestinationDown, reason);
}

// Everything queued is eligible at once (DESIGN 6).
void Route::CameUp() {
  queue_.Restart();
  if (is_home_) {
    LogInfo("primary {} is back; {} recipients are queued here", plan_.name,
            parts_.spool.Stats().recipients_live);
    Broadcast(ShardMessage::Kind::kDestinationUp, "");
  }
}

void Route::OnProbeOver(int answered, std::string_view reason) {
  if (answered >= 0) {
    address_ = static_cast<size_t>(answered);
    addresses_failed_ = 0;
    Feed(DestinationEvent::kProbeAnswered, "");
    return;
  }
  Feed(DestinationEvent::kProbeFailed, reason);
  Broadcast(ShardMessage::Kind::kProbeFailed, reason);
}

void Route::Broadcast(ShardMessage::Kind kind, std::string_view reason) {
  for (size_t shard = 0; shard < parts_.post.shards(); ++shard) {
    if (shard != parts_.index) {
      parts_.post.Post(parts_.index, shard,
                       {.kind = kind, .destination = key_, .reason = std::string(reason)});
    }
  }
}

void Route::OnShardMessage(const ShardMessage& message) {
  switch (message.kind) {
    case ShardMessage::Kind::kDestinationFailed:
      // Another shard cannot get through. The probe will tell whether that is so; if it answers,
      // the others hear at once that the destination is up.
      if (destination_.state() == DestinationState::kDown) {
        Broadcast(ShardMessage::Kind::kDestinationDown, last_reason_);
      } else {
        Feed(DestinationEvent::kUnreachable, message.reason);
      }
      return;
    case ShardMessage::Kind::kDestinationDown:
      Feed(DestinationEvent::kUnreachable, message.reason);
      return;
    case ShardMessage::Kind::kProbeFailed:
      Feed(DestinationEvent::kProbeFailed, message.reason);
      return;
    case ShardMessage::Kind::kDestinationUp:
      Feed(DestinationEvent::kProbeAnswered, "");
      return;
    case ShardMessage::Kind::kStop:
    case ShardMessage::Kind::kReload:
      break;
  }
  UNREACHABLE();
}

}  // namespace backstay
