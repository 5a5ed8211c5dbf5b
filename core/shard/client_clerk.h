// core/shard/client_clerk.h -- what the DNS says of clients, and who is refused by it: their names,
// and which block lists have them.
//
// Asked when a client connects; what is found is remembered for a while. The first recipient waits
// for the block lists, and for the name if that is checked, two seconds at most: who does not
// answer refuses nobody. Otherwise no reply waits for a name.
//
// Life:     UseSnapshot() first, and at each reload. Stop() cancels what is asked; then idle().
// Owns:     kClientsMax clients, the oldest of which go first; kAskedMax of them asked about at a
//           time. Beyond that a client is unknown and welcome.
// Turn:     answers come from Io::Turn; waiters are told from there and from the wheel.
// See:      DESIGN 3.2 (dnsbl), 3.3 (Received), RFC 5782, RFC 7372 (4.7.25).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "core/base/list.h"
#include "core/dns/client_name.h"
#include "core/queue/shared_notice.h"
#include "core/queue/shared_table.h"
#include "core/queue/timer_wheel.h"
#include "core/shard/config.h"
#include "core/shard/recipient_clerk.h"
#include "core/smtp/reply.h"
#include "io/io.h"

namespace backstay {

class ClientClerk {
 public:
  static constexpr size_t kClientsMax = 8192;
  static constexpr size_t kAskedMax = 512;
  static constexpr absl::Duration kAnswerWithin = absl::Seconds(2);

  // `notices`: of lists that say what is no listing, by zone.
  ClientClerk(Io& io, TimerWheel& wheel, SharedTable<SharedNotice>& notices);
  ~ClientClerk();
  ClientClerk(const ClientClerk&) = delete;
  ClientClerk& operator=(const ClientClerk&) = delete;

  void UseConfig(const SmtpConfig& smtp);
  void Stop();
  bool idle() const;

  // It is here: whatever is not known of it is asked.
  void Ask(const SocketAddress& client);
  // Confirmed; empty: not known now. Good until the next call.
  std::string_view NameOf(const SocketAddress& client) const;
  // Positive, or the refusal, whose text is good until the next call. Nothing: `waiter` is told.
  // `helo`: what it calls itself; empty: not known.
  std::optional<Reply> Judge(const SocketAddress& client, std::string_view helo,
                             RecipientWaiter& waiter);

 private:
  struct AddressHash {
    size_t operator()(const SocketAddress& address) const {
      return absl::HashOf(address.bytes(), address.is_v6());
    }
  };
  // One client.
  class Record final : public ListNode {
   public:
    explicit Record(ClientClerk* owner) : late_(owner, this) {}

    class Late final : public Timer {
     public:
      Late(ClientClerk* owner, Record* record) : owner_(owner), record_(record) {}
      void OnTimer() override { owner_->OnLate(*record_); }

     private:
      ClientClerk* const owner_;
      Record* const record_;
    };

    SocketAddress client;  // port 0
    std::string name;
    bool is_nameless = false;  // there is none, and that is certain
    int weight = 0;            // of the lists that have it
    std::string zone;          // the one that made it too much
    std::string text;          // what that says of it
    size_t inquiries = 0;      // under way
    size_t list_inquiries = 0;
    bool is_waited_for = false;  // long enough; fail open
    Instant good_until;
    List<RecipientWaiter> waiters;
    Late late_;
  };
  // One course of questions about one client: its name, or one list.
  class Inquiry {
   public:
    explicit Inquiry(ClientClerk* owner) : owner_(owner) {}
    void StartName(Record& record);
    void StartList(Record& record, const SmtpConfig::BlockList& list);
    void Stop() { owner_->io_.Cancel(&op_); }
    bool idle() const { return !op_.in_flight; }

   private:
    void OnReply(const IoResult& result);
    void OnNameReply(const IoResult& result);
    void OnListReply(const IoResult& result);
    void Ask(const DnsQuestion& question);
    void End();

    ClientClerk* const owner_;
    Record* record_ = nullptr;
    std::optional<ClientNameSearch> name_search_;  // nothing: a list
    SmtpConfig::BlockList list_;
    DnsQuestion question_;
    Completion<&Inquiry::OnReply> op_{this};
  };

  Record* Find(const SocketAddress& client) const;
  Record* NewRecord(const SocketAddress& client);
  Inquiry& TakeInquiry();
  void OnInquiryEnd(Record& record, Inquiry& inquiry, bool is_about_name);
  void OnNoListing(const SmtpConfig::BlockList& list, const SocketAddress& said);
  bool IsListed(const Record& record) const {
    return !lists_.empty() && record.weight >= threshold_;
  }
  bool IsKnown(const Record& record) const;
  Reply Verdict(const Record& record);
  void TellIfKnown(Record& record);
  void OnLate(Record& record);

  Io& io_;
  TimerWheel& wheel_;
  SharedTable<SharedNotice>& notices_;
  std::vector<SmtpConfig::BlockList> lists_;
  int threshold_ = 1;
  SmtpConfig::ClientChecks checks_;
  absl::flat_hash_map<SocketAddress, std::unique_ptr<Record>, AddressHash> records_;  // port 0
  List<Record> by_age_;
  std::vector<std::unique_ptr<Inquiry>> inquiries_;  // all
  std::vector<Inquiry*> free_;
  size_t asked_ = 0;  // records with inquiries under way
  std::string refusal_;
  bool stopping_ = false;
};

}  // namespace backstay
