// tests/sim/ledger.h -- what must be true: every message offered, every reply seen, every delivery
// taken.
//
// Per recipient (DESIGN 1):
//  * 250 after the data: at the end delivered, or settled failed because a primary said so;
//  * end of data never sent, or RCPT refused: never delivered;
//  * sent and unanswered: delivered or not, both are right;
//  * refused after the data: never delivered, unless a crash came between (the record may have
//  survived);
//  * content: exactly one Received field that names the queue id of the 250, then the bytes that
//  came in;
//  * delivered again only if the reply was lost, or a crash came before the settle was safe, or the
//    other one was under way before and the network was slow;
//  * the spool's own accounts know all that was taken, whatever crashed in between;
//  * nothing is lost to damage beyond one message for each damaged place;
//  * a failure is told once, to the sender of the message, never to <>, nor to who takes no mail,
//    nor to who does not want to hear of it (NotifyOf); a delay once, and once more for each crash.
//    Told twice is two reports: the same one may come twice, as any mail;
//  * whoever wants to hear of a success is told once that it was relayed, if the primary that took
//    it does not offer DSN. It never counts as a failure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "io/sim/world.h"
#include "spool/domain_account.h"
#include "tests/sim/message.h"

namespace backstay {

class Ledger {
 public:
  explicit Ledger(const World& world) : world_(world) {}
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // A delivery whose 250 was seen by the daemon is settled on disk after this; longer when disks
  // fail.
  void set_settle_delay_max(absl::Duration delay) { settle_delay_max_ = delay; }

  // ---- clients ----
  size_t Offer(Message message);
  const Message& message(size_t number) const { return messages_[number].message; }
  void OnRecipientReply(size_t message, size_t recipient, int code);
  void OnEndOfDataSent(size_t message);
  void OnFinalReply(size_t message, int code, std::string_view text);

  // ---- primaries ----
  // Taken on a connection that began then; the 250 is about to be sent. Returns a name for
  // OnConfirmed.
  size_t OnDelivered(Instant connected, std::string_view reverse_path,
                     const std::vector<std::string>& recipients, std::string_view content);
  // The daemon has seen the 250 of this delivery: it went on behind it.
  void OnConfirmed(size_t delivery) { deliveries_[delivery].confirmed = true; }
  // A delivery to a primary that offers DSN.
  void OnPassedOn(const std::vector<std::string>& recipients);
  void OnRejected(std::string_view recipient);  // for good
  void OnDeleted(std::string_view recipient);   // by the operator: nobody is told

  // Senders of this domain take no reports: theirs are discarded, and none may arrive.
  void OnUntellable(std::string_view domain) { untellable_.emplace(domain); }

  // ---- the stage ----
  void OnCrash() { crashes_.push_back(world_.Now()); }
  void OnDamage() { ++damages_; }
  bool CrashedSince(Instant from) const { return CrashBetween(from, world_.Now()); }
  void Violation(std::string what);

  // ---- the end: everything is drained ----
  struct Rest {
    uint64_t recipients_live = 0;
    uint64_t recipients_dsn_pending = 0;
    uint64_t recipients_quarantined = 0;
    // As the spool counts them.
    // As the spool counts them, over all its runs.
    std::optional<DomainAccount> account;  // nothing: it may not be exact
  };
  void CheckEnd(const Rest& rest);
  // A start found so many more or fewer recipients than its accounts said.
  void OnUnaccounted(uint64_t recipients);
  // Everything but the debts of the spool, for a story with a filter of its own.
  const std::vector<std::string>& violations() const { return violations_; }

  // ---- counts ----
  size_t offered() const { return messages_.size(); }
  size_t stored() const { return stored_; }  // 250 seen
  size_t deliveries() const { return deliveries_.size(); }
  size_t duplicates() const { return duplicates_; }  // recipients that got a message again
  size_t crashes() const { return crashes_.size(); }
  size_t reports() const { return reports_.size(); }  // different ones
  size_t times_told(std::string_view recipient, std::string_view action) const;
  size_t times_delivered(std::string_view recipient) const;
  bool rejected(std::string_view recipient) const;
  std::string Summary() const;

 private:
  void CheckAccount(const Rest& rest);
  struct Recipient {
    int code = 0;  // of RCPT; 0: no reply seen
    bool rejected = false;
    bool deleted = false;
    size_t passed_on = 0;  // of the deliveries
    std::vector<size_t> deliveries;
    std::map<std::string, size_t, std::less<>> told;  // by Action: reports
  };
  struct Entry {
    Message message;
    std::vector<Recipient> recipients;
    bool end_of_data_sent = false;
    int final_code = 0;  // 0: no reply seen
    Instant final_at;
    std::string queue_id;  // of the 250 or of the first delivery
  };
  struct Delivery {
    Instant connected;
    Instant at;
    bool confirmed = false;
  };
  struct Place {
    size_t message;
    size_t recipient;
  };

  const Recipient* Find(std::string_view recipient) const;
  bool IsUntellable(std::string_view reverse_path) const;
  void OnReport(std::string_view reverse_path, std::string_view to, std::string_view content);
  void CheckTold(std::string_view address, const Recipient& recipient);
  static bool IsOwedReport(std::string_view address, const Recipient& recipient);
  void CheckDelivery(const Entry& entry, const Recipient& recipient, std::string_view address,
                     std::string_view reverse_path);
  void CheckContent(size_t number, Entry& entry, std::string_view content);
  void CheckReceived(size_t number, Entry& entry, std::string_view received);
  bool CheckMessage(size_t number, const Entry& entry);
  void CheckDuplicates(std::string_view address, const Recipient& recipient);
  bool CrashBetween(Instant from, Instant to) const;

  const World& world_;
  absl::Duration settle_delay_max_ = absl::Seconds(10);
  std::vector<Entry> messages_;
  std::map<std::string, Place, std::less<>> places_;
  std::vector<Delivery> deliveries_;
  std::set<std::string, std::less<>> reports_;     // Message-IDs
  std::set<std::string, std::less<>> untellable_;  // domains
  std::vector<Instant> crashes_;
  size_t damages_ = 0;
  size_t stored_ = 0;
  size_t duplicates_ = 0;
  std::vector<std::string> violations_;
};

}  // namespace backstay
