// io/sim/resolver.cc -- questions about names: how long they take, and what goes wrong with them.
#include "core/base/check.h"
#include "io/sim/backend.h"

namespace backstay {
namespace {

// What the real client takes to find out that nobody answers.
constexpr absl::Duration kSilence = absl::Milliseconds(10'500);

std::string Garbled(std::string reply, Random& random) {
  if (reply.empty() || random.Chance(1, 4)) {
    reply.resize(static_cast<size_t>(random.Below(reply.size() + 1)));
    return reply;
  }
  for (uint64_t count = random.Between(1, 4); count > 0; --count) {
    reply[static_cast<size_t>(random.Below(reply.size()))] =
        static_cast<char>(random.Below(UINT8_MAX + 1));
  }
  return reply;
}

bool IsName(std::string_view name) {
  constexpr size_t kNameBytesMax = 253;
  constexpr size_t kLabelBytesMax = 63;
  size_t label = 0;
  for (const char letter : name) {
    label = letter == '.' ? 0 : label + 1;
    if (letter == '\0' || label > kLabelBytesMax) {
      return false;
    }
  }
  return label > 0 && name.size() <= kNameBytesMax && name.front() != '.' &&
         name.find("..") == std::string_view::npos;
}

// As the real client does: what is neither an answer nor "no such name" is a failure.
bool SaysNothing(const std::string& reply) {
  constexpr size_t kCodeAt = 3;
  constexpr int kNameError = 3;
  const int code = reply.size() > kCodeAt ? reply[kCodeAt] & 0x0f : 0;
  return code != 0 && code != kNameError;
}

}  // namespace

// A reply is made when it arrives, so that it tells what is true then. Whoever is cut off from the
// world hears nothing; the simulated resolver itself is never away.
void World::Ask(const OpToken& token, std::string_view name, DnsType type) {
  const bool fails = Draw(plan_.dns_fails);
  const bool is_silent = fails && Draw(500'000);
  absl::Duration delay = DrawDuration(plan_.dns_min, plan_.dns_max);
  if (Draw(plan_.dns_slow)) {
    delay += DrawDuration(absl::ZeroDuration(), plan_.dns_slow_max);
  }
  const auto complete = [this, token](const IoResult& result) {
    Io::Backend* const backend = FindBackend(token.backend);
    if (backend != nullptr && !backend->dead() && backend->Find(token) != nullptr) {
      backend->Complete(token, result);
    }
  };
  const auto arrive = [this, token, complete, fails, is_silent, type, asked = std::string(name)] {
    Io::Backend* const backend = FindBackend(token.backend);
    if (backend == nullptr || backend->dead() || backend->Find(token) == nullptr) {
      return;
    }
    if (!IsName(asked)) {
      backend->Complete(token, IoResult::Failure(IoError::kInvalid));
      return;
    }
    std::optional<std::string> reply;
    if (resolver_ != nullptr && !is_silent && !backend->host().down()) {
      reply = resolver_(asked, type);
    }
    if (!reply.has_value()) {
      scheduler_.After(kSilence, [complete] { complete(IoResult::Failure(IoError::kTimedOut)); });
    } else if (fails || SaysNothing(*reply)) {
      backend->Complete(token, IoResult::Failure(IoError::kRefused));
    } else {
      const bool is_garbled = Draw(plan_.dns_garbled);
      backend->CompleteLent(token, is_garbled ? Garbled(*std::move(reply), random_) : *reply);
    }
  };
  scheduler_.After(delay, arrive);
}

}  // namespace backstay
