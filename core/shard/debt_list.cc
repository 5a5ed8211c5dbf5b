// core/shard/debt_list.cc -- each more of it moves the time, for a while.
#include "core/shard/debt_list.h"

namespace backstay {

void DebtList::Add(MessageRef message, Instant now) {
  const auto [found, is_new] = debts_.try_emplace(message, Debt{now, now + kQuietFor});
  Debt& debt = found->second;
  if (!is_new && (now + kQuietFor == debt.due || now >= debt.first + kGatherMax)) {
    return;
  }
  debt.due = now + kQuietFor;
  due_.emplace_back(debt.due, message);
}

std::optional<MessageRef> DebtList::Take(Instant now) {
  while (!due_.empty() && due_.front().first <= now) {
    const auto [due, message] = due_.front();
    due_.pop_front();
    const auto found = debts_.find(message);
    if (found != debts_.end() && found->second.due == due) {
      debts_.erase(found);
      return message;
    }
  }
  return std::nullopt;
}

std::vector<MessageRef> DebtList::TakeAll() {
  std::vector<MessageRef> all;
  all.reserve(debts_.size());
  for (const auto& [message, debt] : debts_) {
    all.push_back(message);
  }
  debts_.clear();
  due_.clear();
  return all;
}

}  // namespace backstay
