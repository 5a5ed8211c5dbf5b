// core/shard/stranger_table.cc -- by name, by number, and who may go.
#include "core/shard/stranger_table.h"

#include <utility>

#include "absl/strings/string_view.h"
#include "core/base/check.h"
#include "core/base/mark.h"

namespace backstay {

bool StrangerTable::full() const {
  return waiting_ >= kWaitingMax || by_name_.size() - idle_count_ >= kStrangersMax;
}

Stranger& StrangerTable::Enter(std::string_view name, Instant now) {
  const auto found = by_name_.find(absl::string_view(name.data(), name.size()));
  if (found != by_name_.end()) {
    Stranger& stranger = *found->second;
    if (stranger.idle() && now >= stranger.until) {
      stranger.state = Stranger::State::kUnknown;
    }
    return stranger;
  }
  if (by_name_.size() >= kStrangersMax) {
    ASSERT(!idle_.empty());
    MARK("stranger_forgotten");
    Forget(*idle_.front());
  }
  auto stranger = std::make_unique<Stranger>();
  stranger->number = ++last_number_;
  stranger->name.assign(name);
  Stranger& entered = *stranger;
  by_number_[entered.number] = &entered;
  by_name_[entered.name] = std::move(stranger);
  Settle(entered);
  return entered;
}

Stranger* StrangerTable::Find(uint64_t number) const {
  const auto found = by_number_.find(number);
  return found == by_number_.end() ? nullptr : found->second;
}

bool StrangerTable::Add(Stranger& stranger, MessageRef message) {
  if (stranger.waiting.size() >= kWaitingOfOneMax) {
    return false;
  }
  ++waiting_;
  stranger.waiting.push_back(message);
  Settle(stranger);
  return true;
}

void StrangerTable::Return(Stranger& stranger, MessageRef message) {
  ++waiting_;
  stranger.waiting.push_front(message);
  Settle(stranger);
}

std::optional<MessageRef> StrangerTable::Take(Stranger& stranger) {
  if (stranger.waiting.empty()) {
    return std::nullopt;
  }
  --waiting_;
  const MessageRef message = stranger.waiting.front();
  stranger.waiting.pop_front();
  Settle(stranger);
  return message;
}

void StrangerTable::Settle(Stranger& stranger) {
  if (stranger.linked()) {
    stranger.Unlink();
    --idle_count_;
  }
  if (stranger.idle()) {
    idle_.PushBack(&stranger);
    ++idle_count_;
  }
}

void StrangerTable::Forget(Stranger& stranger) {
  ASSERT(stranger.idle());
  ASSERT(stranger.linked());
  stranger.Unlink();
  --idle_count_;
  by_number_.erase(stranger.number);
  by_name_.erase(by_name_.find(stranger.name));
}

void StrangerTable::ForgetIdle() {
  while (!idle_.empty()) {
    Forget(*idle_.front());
  }
}

}  // namespace backstay
