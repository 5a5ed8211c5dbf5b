// core/shard/host_watch.cc -- runs of troubles, and how long they count.
#include "core/shard/host_watch.h"

#include <algorithm>

namespace backstay {

const HostWatch::Entry* HostWatch::Find(const SocketAddress& host) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.host == host; });
  return found == entries_.end() ? nullptr : &*found;
}

HostWatch::Entry& HostWatch::EntryOf(const SocketAddress& host) {
  const Entry* const found = Find(host);
  if (found != nullptr) {
    return entries_[static_cast<size_t>(found - entries_.data())];
  }
  entries_.emplace_back().host = host;
  return entries_.back();
}

void HostWatch::OnTaken(const SocketAddress& host) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.host == host; });
}

bool HostWatch::OnTrouble(const SocketAddress& host, bool is_silence, Instant now) {
  Entry& entry = EntryOf(host);
  entry.run += is_silence ? kSilenceCounts : 1;
  if (entry.run < kRunMax) {
    return false;
  }
  entry.run = 0;
  if (now >= entry.until) {  // else it is what was on its way there already
    entry.until = now + kPassedOverFor * (1 << std::min(entry.times++, kDoublingsMax));
  }
  return true;
}

void HostWatch::OnGreeted(const SocketAddress& host) {
  if (Find(host) != nullptr) {
    EntryOf(host).away_until = Instant();
  }
}

void HostWatch::OnNotGreeted(const SocketAddress& host, Instant now) {
  EntryOf(host).away_until = now + kPassedOverFor;
}

void HostWatch::Keep(const std::vector<PrimaryHost>& hosts) {
  std::erase_if(entries_, [&](const Entry& entry) {
    return std::none_of(hosts.begin(), hosts.end(),
                        [&](const PrimaryHost& host) { return host.address == entry.host; });
  });
}

Instant HostWatch::PassedOverUntil(const SocketAddress& host) const {
  const Entry* const entry = Find(host);
  return entry == nullptr ? Instant() : entry->until;
}

std::optional<size_t> HostWatch::FirstGood(const std::vector<PrimaryHost>& hosts,
                                           Instant now) const {
  for (size_t index = 0; index < hosts.size(); ++index) {
    const Entry* const entry = Find(hosts[index].address);
    if (entry == nullptr || (now >= entry->until && now >= entry->away_until)) {
      return index;
    }
  }
  return std::nullopt;
}

}  // namespace backstay
