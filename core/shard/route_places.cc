// core/shard/route_places.cc -- connections and messages under way, in view of the other shards.
#include "core/shard/route.h"

namespace backstay {

Route::Load Route::CountLoad() const {
  Load load;
  for (const std::unique_ptr<Delivery>& delivery : deliveries_) {
    if (delivery->stopping()) {
      continue;
    }
    if (delivery->attempting()) {
      ++load.attempting;
    } else if (delivery->resting()) {
      ++load.resting;
    } else {
      ++load.connecting;
    }
  }
  return load;
}

// In view of the others one more message may be under way here. `is_counted`: whoever asks has one
// already, and this is to be instead of it.
bool Route::MayUse(bool is_counted) const {
  if (!places_.others_wait()) {
    return true;
  }
  const size_t attempting = CountLoad().attempting;
  return places_.MayUse(attempting - (is_counted && attempting > 0 ? 1 : 0),
                        destination_.window_of_all(), parts_.io.Now());
}

bool Route::MayBegin(bool is_counted) {
  return !retired_ && !stopping_ && destination_.MayStart(parts_.io.Now()) && MayUse(is_counted) &&
         HasRoomForSettles(SettlesMax());
}

void Route::CountPlaces() {
  ShardPlaces::Connections now_there;
  for (const std::unique_ptr<Delivery>& delivery : deliveries_) {
    if (delivery->left_behind()) {
      ++now_there.left_behind;
    } else {
      ++now_there.held;
      now_there.yielding += delivery->yielding() ? 1 : 0;
    }
  }
  if (!places_.Keep(now_there)) {
    return;
  }
  const std::optional<size_t> next = places_.next();
  if (next.value_or(parts_.index) != parts_.index) {
    parts_.post.Post(parts_.index, *next,
                     {.kind = ShardMessage::Kind::kPlacesChanged, .destination = key_});
  }
}

// One unproven connection at a time: each that gets through brings the next, so one message does
// not open twenty connections. True: one is on its way.
bool Route::OpenConnection() {
  const Instant now = parts_.io.Now();
  const Load load = CountLoad();
  if (load.connecting > 0) {
    return true;
  }
  if (load.resting > 0 || now < pause_until_ || !destination_.MayStart(now) ||
      places_.held() >= destination_.window() ||
      !places_.Take(destination_.window_of_all(), destination_.connections_max(), now)) {
    return false;
  }
  DeliveryHome& home = *this;
  deliveries_.push_back(std::make_unique<Delivery>(outbound_, parts_.spool, hostname_,
                                                   parts_.log.NextConnection(), home));
  deliveries_.back()->Connect(hosts_[address_]);
  return true;
}

// Mail waits here, and what it waits for is with other shards; as far as that is more than its part
// they give way.
bool Route::IsKeptWaiting() {
  const Instant now = parts_.io.Now();
  const bool in_canaries = destination_.in_canaries();
  if (parts_.post.shards() == 1 || now < pause_until_ ||
      (in_canaries && now < destination_.paused_until())) {
    return false;
  }
  const Load load = CountLoad();
  is_blocked_ = load.attempting < destination_.window();
  return is_blocked_ && load.attempting < places_.Share(destination_.window_of_all()) &&
         (load.resting == 0 || !in_canaries);
}

void Route::WaitForPlace(bool waits) {
  if (places_.SetWaiting(waits, parts_.io.Now())) {
    Broadcast(ShardMessage::Kind::kPlacesChanged, "");
  }
}

// What is free here, and more than this shard's part, another one may have.
void Route::GiveWay() {
  if (!places_.others_wait()) {
    return;
  }
  for (const std::unique_ptr<Delivery>& delivery : deliveries_) {
    if (!delivery->resting() || delivery->stopping()) {
      continue;
    }
    if (!places_.Yield(destination_.window_of_all(), parts_.io.Now())) {
      return;
    }
    delivery->Yield();
  }
}

}  // namespace backstay
