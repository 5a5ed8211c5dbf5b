// core/shard/expiry_watch.cc -- looks, adds up, speaks.
#include "core/shard/expiry_watch.h"

#include <algorithm>

#include "core/base/log.h"
#include "core/base/mark.h"
#include "core/shard/retry_origin.h"

namespace backstay {
namespace {

// The longer one first.
constexpr absl::Duration kAhead[] = {absl::Hours(24), absl::Hours(6)};
// Shards look each in its own minute: all have spoken when the time has come.
constexpr absl::Duration kLookBefore = absl::Minutes(3);
// What was said this long ago is not so any more.
constexpr absl::Duration kSaidFor = absl::Minutes(3);
// What belongs to one expiry.
constexpr absl::Duration kTogether = absl::Hours(24);
// Less is no mass: single messages that a healthy primary keeps deferring expire any day.
constexpr uint64_t kConsiderable = 100;

}  // namespace

void ExpiryWatch::Look() {
  for (const DomainId domain : routes_.domains()) {
    LookAt(domain);
  }
  Speak();
}

void ExpiryWatch::LookAt(DomainId domain) {
  const Route* const route = routes_.RouteOf(domain);
  const RetryPolicy& policy = routes_.PolicyOf(domain);
  // Nothing fails, and so nothing is given up, while it is not known where the primary is; nor is
  // what is held.
  if (route == nullptr || route->hosts().empty() || route->is_held() ||
      policy.on_expiry != OnExpiry::kBounce) {
    return;
  }
  const std::optional<MessageRef> oldest = OldestOf(spool_, domain);
  if (!oldest.has_value()) {
    return;
  }
  const RetryOrigin origin = routes_.CountsFrom(*oldest, domain);
  const absl::Duration left = policy.End(origin) - spool_.Clock();
  if (left > kAhead[0] + kLookBefore) {
    return;
  }
  ShardMessage message{.kind = ShardMessage::Kind::kExpiryAhead};
  message.from = place_.shard;
  message.reason = std::string(spool_.Name(domain));
  message.ahead = {left, spool_.LiveRecipientsUntil(domain, origin.age + kTogether)};
  const size_t home = route->key() % place_.post.shards();
  if (home == place_.shard) {
    OnAhead(message);
  } else {
    place_.post.Post(place_.shard, home, message);
  }
}

void ExpiryWatch::OnAhead(const ShardMessage& message) {
  Domain& domain = domains_[message.reason];
  domain.shares.resize(place_.post.shards());
  domain.shares[message.from] = {io_.Now() + message.ahead.left, io_.Now(),
                                 message.ahead.recipients};
}

void ExpiryWatch::Speak() {
  const Instant now = io_.Now();
  for (auto at = domains_.begin(); at != domains_.end();) {
    Domain& domain = at->second;
    Instant first = Instant::Max();
    uint64_t recipients = 0;
    for (const Share& share : domain.shares) {
      if (share.recipients > 0 && now - share.said <= kSaidFor) {
        first = std::min(first, share.first);
        recipients += share.recipients;
      }
    }
    if (recipients == 0) {
      at = domains_.erase(at);  // delivered, or it has time again
      continue;
    }
    const absl::Duration left = first - now;
    for (const absl::Duration ahead : kAhead) {
      if (left <= ahead && ahead < domain.told && recipients >= kConsiderable) {
        MARK("expiry_ahead_told");
        domain.told = left <= kAhead[1] ? kAhead[1] : ahead;
        Tell(at->first, recipients, left);
      }
    }
    ++at;
  }
}

void ExpiryWatch::Tell(const std::string& name, uint64_t recipients, absl::Duration left) {
  const std::string domain = Escaped(name);
  const absl::Duration rest = std::max(absl::ZeroDuration(), absl::Trunc(left, absl::Minutes(1)));
  LogWarning(
      "mass expiry ahead: mail for {} is given up from {} on (in {}), {} recipients within a day, "
      "if the primary takes none until then; to give it more time: backstay queue reset --domain "
      "{} --yes, or queue hold (queue list --domain {} shows it)",
      domain,
      absl::FormatTime("%Y-%m-%dT%H:%MZ", absl::FromUnixNanos((io_.WallNow() + left).nanoseconds()),
                       absl::UTCTimeZone()),
      absl::FormatDuration(rest), recipients, domain, domain);
}

}  // namespace backstay
