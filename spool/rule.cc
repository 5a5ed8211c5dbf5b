// spool/rule.cc -- a rule to bytes and back.
#include "spool/rule.h"

#include "spool/format.h"
#include "spool/items.h"

namespace backstay {

size_t RuleBytes(const Rule& rule) {
  size_t bytes = sizeof(RuleFixed);
  for (const std::string& domain : rule.domains) {
    bytes += sizeof(uint16_t) + domain.size();
  }
  return bytes;
}

std::vector<uint8_t> EncodeRule(const Rule& rule) {
  std::vector<uint8_t> out;
  RuleFixed fixed;
  fixed.verb = static_cast<uint8_t>(rule.verb);
  fixed.flags = static_cast<uint8_t>((rule.keeps_age ? kRuleKeepsAge : 0) |
                                     (rule.accepts_refusals ? kRuleAcceptsRefusals : 0));
  fixed.domains = static_cast<uint32_t>(rule.domains.size());
  fixed.epoch = rule.epoch;
  fixed.at = rule.at.nanoseconds();
  PutItem(out, fixed);
  for (const std::string& domain : rule.domains) {
    PutText(out, domain);
  }
  return out;
}

std::optional<Rule> DecodeRule(Bytes bytes) {
  const auto fixed = TakeItem<RuleFixed>(bytes);
  if (!fixed.has_value() || fixed->verb < static_cast<uint8_t>(RuleVerb::kReset) ||
      fixed->verb > static_cast<uint8_t>(RuleVerb::kTold)) {
    return std::nullopt;
  }
  Rule rule;
  rule.verb = static_cast<RuleVerb>(fixed->verb);
  rule.keeps_age = (fixed->flags & kRuleKeepsAge) != 0;
  rule.accepts_refusals = (fixed->flags & kRuleAcceptsRefusals) != 0;
  rule.epoch = fixed->epoch;
  rule.at = SpoolTime::FromNanoseconds(fixed->at);
  for (uint32_t i = 0; i < fixed->domains; ++i) {
    const auto name = TakeText(bytes);
    if (!name.has_value()) {
      return std::nullopt;
    }
    rule.domains.emplace_back(*name);
  }
  return bytes.empty() ? std::optional(std::move(rule)) : std::nullopt;
}

}  // namespace backstay
