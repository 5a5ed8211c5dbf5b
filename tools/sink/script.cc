// tools/sink/script.cc -- words to rules, and their application in order.
#include "tools/sink/script.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace backstay {
namespace {

using Action = SinkVerdict::Action;

constexpr std::array<std::pair<std::string_view, SinkPhase>, 7> kPhases = {
    {{"connect", SinkPhase::kConnect},
     {"ehlo", SinkPhase::kEhlo},
     {"mail", SinkPhase::kMail},
     {"rcpt", SinkPhase::kRcpt},
     {"data", SinkPhase::kData},
     {"content", SinkPhase::kContent},
     {"end", SinkPhase::kEnd}}};

std::string_view TakeWord(std::string_view& text) {
  const size_t begin = text.find_first_not_of(' ');
  text.remove_prefix(std::min(begin, text.size()));
  const size_t end = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

absl::StatusOr<absl::Duration> TakeDuration(std::string_view& text) {
  const std::string word(TakeWord(text));
  absl::Duration duration;
  if (!absl::ParseDuration(word, &duration) || duration < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\" is no duration, such as 500ms, 10s or 2m", word));
  }
  return duration;
}

absl::Status RefuseRest(std::string_view text) {
  const std::string_view word = TakeWord(text);
  return word.empty() ? absl::OkStatus()
                      : absl::InvalidArgumentError(
                            fmt::format("\"{}\": nothing may stand behind the end", word));
}

std::optional<double> NumberOf(std::string_view text) {
  double number = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && at == text.data() + text.size();
  return whole ? std::optional<double>(number) : std::nullopt;
}

}  // namespace

std::string_view Describe(SinkPhase phase) {
  for (const auto& [name, known] : kPhases) {
    if (known == phase) {
      return name;
    }
  }
  UNREACHABLE();
}

absl::StatusOr<SinkScript::Rule> SinkScript::ParseRule(std::string_view text) {
  Rule rule;
  const std::string_view phase = TakeWord(text);
  bool known = false;
  for (const auto& [name, value] : kPhases) {
    if (name == phase) {
      rule.phase = value;
      known = true;
    }
  }
  if (!known) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\" is no phase: connect ehlo mail rcpt data content end", phase));
  }
  for (;;) {
    const std::string_view word = TakeWord(text);
    if (word.ends_with('%')) {
      const std::optional<double> percent = NumberOf(word.substr(0, word.size() - 1));
      if (!percent.has_value() || *percent < 0 || *percent > 100) {
        return absl::InvalidArgumentError(fmt::format("\"{}\" is no share of 100", word));
      }
      rule.per_million = static_cast<uint64_t>(*percent * 10'000);
    } else if (word == "from") {
      ASSIGN_OR_RETURN(rule.from, TakeDuration(text));
    } else if (word == "until") {
      ASSIGN_OR_RETURN(rule.until, TakeDuration(text));
    } else if (word == "only") {
      rule.only = TakeWord(text);
    } else if (word == "delay") {
      ASSIGN_OR_RETURN(rule.delay, TakeDuration(text));
      RETURN_IF_ERROR(RefuseRest(text));
      return rule;
    } else if (word == "stall" || word == "cut") {
      rule.action = word == "stall" ? Action::kStall : Action::kCut;
      RETURN_IF_ERROR(RefuseRest(text));
      return rule;
    } else {
      const std::optional<double> code = NumberOf(word);
      if (word.size() != 3 || !code.has_value() || *code < 200 || *code > 599) {
        return absl::InvalidArgumentError(fmt::format(
            "\"{}\" is no action: delay TIME, stall, cut, or a reply such as 450 4.2.1 text",
            word));
      }
      rule.action = Action::kReply;
      rule.code = static_cast<int>(*code);
      rule.reply = std::string(word) + std::string(text);
      return rule;
    }
  }
}

absl::Status SinkScript::AddRule(std::string_view text) {
  absl::StatusOr<Rule> rule = ParseRule(text);
  if (!rule.ok()) {
    return absl::InvalidArgumentError(
        fmt::format("rule \"{}\": {}", text, std::string(rule.status().message())));
  }
  if (rule->phase == SinkPhase::kContent && rule->action == Action::kReply) {
    return absl::InvalidArgumentError(
        fmt::format("rule \"{}\": there is no reply in the middle of content; say end", text));
  }
  rules_.push_back(*std::move(rule));
  return absl::OkStatus();
}

absl::Status SinkScript::AddOutage(std::string_view text) {
  Outage outage;
  ASSIGN_OR_RETURN(outage.from, TakeDuration(text));
  ASSIGN_OR_RETURN(outage.until, TakeDuration(text));
  const std::string_view every = TakeWord(text);
  if (every == "every") {
    ASSIGN_OR_RETURN(outage.every, TakeDuration(text));
    RETURN_IF_ERROR(RefuseRest(text));
  }
  const bool repeats = outage.every > absl::ZeroDuration();
  if (outage.until <= outage.from || (repeats && outage.every < outage.until) ||
      (!every.empty() && !repeats)) {
    return absl::InvalidArgumentError("an outage is FROM UNTIL, or FROM UNTIL every TIME");
  }
  outages_.push_back(outage);
  return absl::OkStatus();
}

SinkVerdict SinkScript::Judge(SinkPhase phase, std::string_view argument, absl::Duration elapsed,
                              Random& random) const {
  SinkVerdict verdict;
  for (const Rule& rule : rules_) {
    const bool applies = rule.phase == phase && elapsed >= rule.from && elapsed < rule.until &&
                         argument.find(rule.only) != std::string_view::npos;
    if (!applies || !random.Chance(rule.per_million, 1'000'000)) {
      continue;
    }
    if (rule.action == Action::kGoOn) {
      verdict.delay += rule.delay;
    } else if (verdict.action == Action::kGoOn) {
      verdict.action = rule.action;
      verdict.code = rule.code;
      verdict.reply = rule.reply;
    }
  }
  return verdict;
}

bool SinkScript::Up(absl::Duration elapsed) const {
  for (const Outage& outage : outages_) {
    absl::Duration at = elapsed;
    if (outage.every > absl::ZeroDuration()) {
      static_cast<void>(absl::IDivDuration(elapsed, outage.every, &at));
    }
    if (at >= outage.from && at < outage.until) {
      return false;
    }
  }
  return true;
}

}  // namespace backstay
