// tests/sim/ledger.cc -- each rule of the ledger, checked when it can be known.
#include "tests/sim/ledger.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/check.h"

namespace backstay {
namespace {

constexpr size_t kViolationsMax = 20;  // the first ones tell the story
constexpr std::string_view kQueuedAs = "queued as ";
constexpr size_t kQueueIdBytes = 16;

// What stands behind `name` in its line.
std::string_view ValueOf(std::string_view text, std::string_view name) {
  const size_t at = text.find(name);
  if (at == std::string_view::npos) {
    return "";
  }
  const std::string_view value = text.substr(at + name.size());
  return value.substr(0, value.find("\r\n"));
}

std::string Seconds(Instant at) {
  return fmt::format("{:.6f} s", static_cast<double>(at.nanoseconds()) / 1e9);
}

}  // namespace

void Ledger::Violation(std::string what) {
  if (violations_.size() < kViolationsMax) {
    violations_.push_back(fmt::format("{} (at {})", what, Seconds(world_.Now())));
  }
}

size_t Ledger::Offer(Message message) {
  const size_t number = messages_.size();
  for (size_t index = 0; index < message.recipients.size(); ++index) {
    const bool is_new = places_.emplace(message.recipients[index], Place{number, index}).second;
    ASSERT(is_new);
  }
  Entry entry;
  entry.recipients.resize(message.recipients.size());
  entry.message = std::move(message);
  messages_.push_back(std::move(entry));
  return number;
}

void Ledger::OnRecipientReply(size_t message, size_t recipient, int code) {
  Entry& entry = messages_[message];
  entry.recipients[recipient].code = code;
  const std::string& address = entry.message.recipients[recipient];
  if (code < 400 && FateOf(address) == Fate::kForeign) {
    Violation(fmt::format("open relay: RCPT <{}> was answered {}", address, code));
  }
}

void Ledger::OnEndOfDataSent(size_t message) {
  messages_[message].end_of_data_sent = true;
}

void Ledger::OnFinalReply(size_t message, int code, std::string_view text) {
  Entry& entry = messages_[message];
  entry.final_code = code;
  entry.final_at = world_.Now();
  if (code >= 400) {
    return;
  }
  ++stored_;
  if (!entry.end_of_data_sent) {
    Violation(fmt::format("message {}: {} without its data", message, code));
  }
  const size_t at = text.find(kQueuedAs);
  const std::string_view id =
      at == std::string_view::npos ? "" : text.substr(at + kQueuedAs.size());
  if (code != 250 || id.size() != kQueueIdBytes) {
    Violation(fmt::format("message {}: strange reply after the data: {} {}", message, code, text));
    return;
  }
  if (!entry.queue_id.empty() && entry.queue_id != id) {
    Violation(
        fmt::format("message {}: 250 names {}, delivered as {}", message, id, entry.queue_id));
  }
  entry.queue_id.assign(id);
}

const Ledger::Recipient* Ledger::Find(std::string_view recipient) const {
  const auto place = places_.find(recipient);
  return place == places_.end()
             ? nullptr
             : &messages_[place->second.message].recipients[place->second.recipient];
}

size_t Ledger::times_delivered(std::string_view recipient) const {
  const Recipient* found = Find(recipient);
  return found == nullptr ? 0 : found->deliveries.size();
}

bool Ledger::rejected(std::string_view recipient) const {
  const Recipient* found = Find(recipient);
  return found != nullptr && found->rejected;
}

void Ledger::OnRejected(std::string_view recipient) {
  const auto place = places_.find(recipient);
  if (place == places_.end()) {
    Violation(fmt::format("RCPT <{}> at a primary: nobody offered that", recipient));
    return;
  }
  Entry& entry = messages_[place->second.message];
  entry.recipients[place->second.recipient].rejected = true;
  CheckDelivery(entry, entry.recipients[place->second.recipient], recipient,
                entry.message.reverse_path);
}

void Ledger::OnDeleted(std::string_view recipient) {
  const Place place = places_.find(recipient)->second;
  messages_[place.message].recipients[place.recipient].deleted = true;
}

size_t Ledger::times_told(std::string_view recipient, std::string_view action) const {
  const Recipient* found = Find(recipient);
  if (found == nullptr) {
    return 0;
  }
  const auto told = found->told.find(action);
  return told == found->told.end() ? 0 : told->second;
}

bool Ledger::IsUntellable(std::string_view reverse_path) const {
  return untellable_.contains(reverse_path.substr(reverse_path.rfind('@') + 1));
}

void Ledger::OnReport(std::string_view reverse_path, std::string_view to,
                      std::string_view content) {
  if (!reverse_path.empty()) {
    Violation(fmt::format("a report to <{}> comes from <{}>", to, reverse_path));
  }
  if (!reports_.emplace(ValueOf(content, "\r\nMessage-ID: ")).second) {
    return;  // the same one once more
  }
  if (IsUntellable(to)) {
    Violation(fmt::format("<{}> is told, who takes no mail", to));
  }
  constexpr std::string_view kFinal = "\r\nFinal-Recipient: ";
  for (size_t at = content.find(kFinal); at != std::string_view::npos;
       at = content.find(kFinal, at + 1)) {
    const std::string_view value = ValueOf(content.substr(at), kFinal);
    const std::string_view address = value.substr(std::min(value.size(), value.find("; ") + 2));
    const auto place = places_.find(address);
    if (place == places_.end()) {
      Violation(fmt::format("a report on <{}>: nobody offered that", address));
      continue;
    }
    Entry& entry = messages_[place->second.message];
    if (entry.message.reverse_path != to) {
      Violation(fmt::format("<{}> is told of <{}>, which was from <{}>", to, address,
                            entry.message.reverse_path));
    }
    ++entry.recipients[place->second.recipient]
          .told[std::string(ValueOf(content.substr(at), "\r\nAction: "))];
  }
}

void Ledger::CheckTold(std::string_view address, const Recipient& recipient) {
  for (const auto& [action, times] : recipient.told) {
    const bool is_relayed = recipient.deliveries.size() > recipient.passed_on;
    const bool is_right = action == "failed"
                              ? times == 1 && recipient.rejected && WantsFailure(address)
                          : action == "relayed" ? times == 1 && is_relayed && WantsSuccess(address)
                          : action == "delayed" ? times <= 1 + crashes_.size()
                                                : false;
    if (!is_right) {
      Violation(fmt::format("<{}>: the sender was told {} times \"{}\"", address, times, action));
    }
  }
}

// Where a recipient came twice, with DSN and without, the reply that was seen decides. No story has
// such a one.
bool Ledger::IsOwedReport(std::string_view address, const Recipient& recipient) {
  if (recipient.deleted) {
    return false;
  }
  const bool is_relayed = !recipient.deliveries.empty() && recipient.passed_on == 0;
  return (recipient.rejected && WantsFailure(address)) || (is_relayed && WantsSuccess(address));
}

void Ledger::OnPassedOn(const std::vector<std::string>& recipients) {
  for (const std::string& address : recipients) {
    if (const auto place = places_.find(address); place != places_.end()) {
      ++messages_[place->second.message].recipients[place->second.recipient].passed_on;
    }
  }
}

size_t Ledger::OnDelivered(Instant connected, std::string_view reverse_path,
                           const std::vector<std::string>& recipients, std::string_view content) {
  const size_t delivery = deliveries_.size();
  deliveries_.push_back({connected, world_.Now()});
  std::vector<size_t> checked;
  if (content.find("\r\nContent-Type: multipart/report;") != std::string_view::npos &&
      recipients.size() == 1 && !places_.contains(recipients[0])) {
    OnReport(reverse_path, recipients[0], content);
    return delivery;
  }
  for (const std::string& address : recipients) {
    const auto place = places_.find(address);
    if (place == places_.end()) {
      Violation(fmt::format("delivered to <{}>: nobody offered that", address));
      continue;
    }
    const size_t number = place->second.message;
    Entry& entry = messages_[number];
    Recipient& recipient = entry.recipients[place->second.recipient];
    CheckDelivery(entry, recipient, address, reverse_path);
    if (std::find(checked.begin(), checked.end(), number) == checked.end()) {
      CheckContent(number, entry, content);
      checked.push_back(number);
    }
    duplicates_ += recipient.deliveries.empty() ? 0 : 1;
    recipient.deliveries.push_back(delivery);
  }
  return delivery;
}

// May the daemon try to deliver this at all?
void Ledger::CheckDelivery(const Entry& entry, const Recipient& recipient, std::string_view address,
                           std::string_view reverse_path) {
  if (entry.message.reverse_path != reverse_path) {
    Violation(fmt::format("<{}>: reverse-path <{}> instead of <{}>", address, reverse_path,
                          entry.message.reverse_path));
  }
  if (recipient.code >= 400) {
    Violation(fmt::format("<{}>: delivered although RCPT was refused", address));
  }
  if (!entry.end_of_data_sent) {
    Violation(fmt::format("<{}>: delivered although its end of data was never sent", address));
  }
  // 421: the connection's end, not a verdict about the message.
  if (entry.final_code >= 400 && entry.final_code != 421 && damages_ == 0 &&
      !CrashBetween(entry.final_at, world_.Now())) {
    Violation(fmt::format("<{}>: delivered although the data was answered {}", address,
                          entry.final_code));
  }
}

void Ledger::CheckContent(size_t number, Entry& entry, std::string_view content) {
  const std::string& original = entry.message.content;
  if (!content.ends_with(original)) {
    Violation(fmt::format("message {}: the content was changed: {} bytes came in, {} went out",
                          number, original.size(), content.size()));
    return;
  }
  CheckReceived(number, entry, content.substr(0, content.size() - original.size()));
}

// `received` is all that stands before the original content: one field, folded or not.
void Ledger::CheckReceived(size_t number, Entry& entry, std::string_view received) {
  bool one_field = received.starts_with("Received: from ") && received.ends_with("\r\n");
  for (size_t line = received.find("\r\n"); line != std::string_view::npos && one_field;
       line = received.find("\r\n", line + 2)) {
    const std::string_view rest = received.substr(line + 2);
    one_field = rest.empty() || rest[0] == ' ' || rest[0] == '\t';
  }
  if (!one_field) {
    Violation(
        fmt::format("message {}: not exactly one Received field on top: {}", number, received));
    return;
  }
  const size_t at = received.find(" id ");
  const std::string_view id =
      at == std::string_view::npos ? "" : received.substr(at + 4, kQueueIdBytes);
  if (entry.queue_id.empty()) {
    entry.queue_id.assign(id);
  } else if (entry.queue_id != id) {
    Violation(
        fmt::format("message {}: Received names id {} instead of {}", number, id, entry.queue_id));
  }
  const auto accepted =
      std::count_if(entry.recipients.begin(), entry.recipients.end(),
                    [](const Recipient& recipient) { return recipient.code == 250; });
  if (accepted > 1 && received.find("for <") != std::string_view::npos) {
    Violation(fmt::format("message {}: Received tells one of {} recipients", number, accepted));
  }
}

bool Ledger::CrashBetween(Instant from, Instant to) const {
  return std::any_of(crashes_.begin(), crashes_.end(),
                     [&](Instant crash) { return crash >= from && crash <= to; });
}

void Ledger::CheckDuplicates(std::string_view address, const Recipient& recipient) {
  for (size_t index = 0; index + 1 < recipient.deliveries.size(); ++index) {
    const Delivery& delivery = deliveries_[recipient.deliveries[index]];
    const Delivery& next = deliveries_[recipient.deliveries[index + 1]];
    const bool was_under_way = !next.confirmed && next.connected <= delivery.at;
    const bool explained = !delivery.confirmed || was_under_way || damages_ > 0 ||
                           CrashBetween(delivery.at, delivery.at + settle_delay_max_);
    if (!explained) {
      Violation(fmt::format("<{}>: taken and confirmed at {}, delivered again at {}", address,
                            Seconds(delivery.at), Seconds(next.at)));
    }
  }
}

// False: something of an acknowledged message is lost.
bool Ledger::CheckMessage(size_t number, const Entry& entry) {
  std::string lost;
  for (size_t index = 0; index < entry.recipients.size(); ++index) {
    const Recipient& recipient = entry.recipients[index];
    const std::string& address = entry.message.recipients[index];
    CheckDuplicates(address, recipient);
    CheckTold(address, recipient);
    const bool must_end = entry.final_code == 250 && recipient.code == 250;
    if (must_end && recipient.deliveries.empty() && !recipient.rejected && !recipient.deleted) {
      lost += fmt::format("{}<{}>", lost.empty() ? "" : ", ", address);
    }
  }
  if (!lost.empty() && damages_ == 0) {
    Violation(fmt::format(
        "message {} ({} bytes, 250 {} at {}) reached neither delivery nor refusal: {}", number,
        entry.message.content.size(), entry.queue_id, Seconds(entry.final_at), lost));
  }
  return lost.empty();
}

void Ledger::CheckEnd(const Rest& rest) {
  size_t lost = 0;
  uint64_t owed = 0;  // DSNs
  uint64_t told = 0;
  for (size_t number = 0; number < messages_.size(); ++number) {
    const Entry& entry = messages_[number];
    lost += CheckMessage(number, entry) ? 0 : 1;
    if (!entry.message.reverse_path.empty() && !IsUntellable(entry.message.reverse_path)) {
      for (size_t index = 0; index < entry.recipients.size(); ++index) {
        const Recipient& recipient = entry.recipients[index];
        owed += IsOwedReport(entry.message.recipients[index], recipient) ? 1 : 0;
        told += recipient.told.contains("failed") || recipient.told.contains("relayed") ? 1 : 0;
      }
    }
  }
  if (damages_ == 0 && rest.account.has_value()) {
    CheckAccount(rest);
  }
  if (damages_ > 0 && lost > damages_) {
    Violation(fmt::format("{} messages lost to {} damaged places", lost, damages_));
  }
  if (rest.recipients_live != 0) {
    Violation(fmt::format("{} recipients are still queued", rest.recipients_live));
  }
  if (damages_ == 0 && rest.recipients_dsn_pending + told != owed) {
    Violation(
        fmt::format("of {} recipients a sender is to be told, of {} he was, {} are held as dsn "
                    "pending",
                    owed, told, rest.recipients_dsn_pending));
  }
  if (damages_ == 0 && rest.recipients_quarantined != 0) {
    Violation(fmt::format("{} recipients are quarantined, but nothing on disk was damaged",
                          rest.recipients_quarantined));
  }
}

void Ledger::OnUnaccounted(uint64_t recipients) {
  if (damages_ == 0 && recipients > 0) {
    Violation(fmt::format("{} recipients are not accounted for", recipients));
  }
}

void Ledger::CheckAccount(const Rest& rest) {
  uint64_t acknowledged = 0;
  uint64_t sent = 0;
  for (const Entry& entry : messages_) {
    const auto taken = static_cast<uint64_t>(
        std::count_if(entry.recipients.begin(), entry.recipients.end(),
                      [](const Recipient& recipient) { return recipient.code == 250; }));
    acknowledged += entry.final_code == 250 ? taken : 0;
    sent += entry.end_of_data_sent ? entry.recipients.size() : 0;
  }
  const DomainAccount& account = *rest.account;
  const uint64_t owed = rest.recipients_live + rest.recipients_dsn_pending;
  // One report may be of several recipients.
  const bool is_told = account.bounced == 0 || account.generated > 0;
  if (account.taken() - account.ended() != owed || account.accepted < acknowledged ||
      account.accepted > sent || !is_told) {
    Violation(fmt::format(
        "the accounts are wrong: accepted {} generated {} delivered {} bounced {} discarded {} "
        "quarantined {}; owed {}, acknowledged {}, sent {}",
        account.accepted, account.generated, account.delivered, account.bounced, account.discarded,
        account.quarantined, owed, acknowledged, sent));
  }
}

std::string Ledger::Summary() const {
  return fmt::format("{} messages offered, {} stored, {} deliveries, {} duplicates, {} crashes",
                     offered(), stored(), deliveries(), duplicates(), crashes());
}

}  // namespace backstay
