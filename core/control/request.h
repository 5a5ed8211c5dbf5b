// core/control/request.h -- one line from the operator's command: what it asks the daemon for.
//
// A request is one JSON object: {"verb": "reset", "domains": ["example.com"], "dry_run": true}.
// Pure. Errors: a sentence that names the member.
// See: core/control/README.md, which lists the verbs and their members.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/units.h"
#include "spool/queue_id.h"
#include "spool/rule.h"

namespace backstay {

enum class AdminVerb : uint8_t {
  kReset,
  kHold,
  kRelease,
  kBounce,
  kDelete,
  kStop,  // of domains as such, with what comes later
  kStart,
  kGo,  // what waits is tried now, primaries that are down are probed
  kStatus,
  kPrimaries,  // one row a domain
  kList,       // one row a message
  kShow,       // one message
  kReload,
  kRecipients,  // what is known of recipients: counts, or of addresses
  kImport,      // addresses that the primary has
  kForget       // addresses, or all of a domain
};

// Of domains as such: there may be no mail to count, so a slip in a name would not be seen.
constexpr bool IsOfDomains(AdminVerb verb) {
  return verb == AdminVerb::kStop || verb == AdminVerb::kStart;
}

struct AdminRequest {
  AdminVerb verb = AdminVerb::kStatus;
  bool is_all = false;                    // of the rules: everything, not the domains below
  std::vector<std::string> domains;       // lower case; of a list: only these
  std::vector<std::string> destinations;  // as the operator wrote them: their domains too
  bool keeps_age = false;                 // kReset
  bool accepts_refusals = false;          // kStart
  bool is_forced = false;                 // kReload: also if it gives up mail that waits
  bool is_dry_run = false;                // of the rules and kForget: only count
  uint64_t messages_max = UINT64_MAX;     // kList
  absl::Duration older;                   // kList: what waits at least so long, by the spool clock
  bool wants_whole = false;               // kList: not before all is known that was on disk
  std::optional<QueueId> id;              // kShow
  std::vector<QueueId> ids;               // of the rules: these messages alone
  std::string chosen;                     // by what they were chosen, for the log; with ids
  std::vector<std::string> addresses;     // kRecipients, kImport, kForget
};

// A line beyond it ends the connection. Room for some thousand domains.
constexpr size_t kRequestBytesMax = 256_KiB;

std::string_view NameOf(AdminVerb verb);
// Nothing: the verb asks, it orders nothing.
std::optional<RuleVerb> RuleOf(AdminVerb verb);

absl::StatusOr<AdminRequest> ParseRequest(std::string_view line);

// Of a verb that orders: as many rules as the domains need, each at most kRuleBytesMax. No domains:
// one, for all.
std::vector<Rule> RulesOf(const AdminRequest& request);

}  // namespace backstay
