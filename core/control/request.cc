// core/control/request.cc -- types first, then sense.
#include "core/control/request.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "core/shard/config_values.h"
#include "core/smtp/address.h"

namespace backstay {
namespace {

using Json = nlohmann::json;

// RFC 1035 s3.1; what is longer names nothing.
constexpr size_t kDomainBytesMax = 255;

struct VerbName {
  AdminVerb verb;
  std::string_view name;
  std::optional<RuleVerb> rule;
};
constexpr VerbName kVerbs[] = {{AdminVerb::kReset, "reset", RuleVerb::kReset},
                               {AdminVerb::kHold, "hold", RuleVerb::kHold},
                               {AdminVerb::kRelease, "release", RuleVerb::kRelease},
                               {AdminVerb::kBounce, "bounce", RuleVerb::kExpire},
                               {AdminVerb::kDelete, "delete", RuleVerb::kDelete},
                               {AdminVerb::kStop, "stop", RuleVerb::kStop},
                               {AdminVerb::kStart, "start", RuleVerb::kStart},
                               {AdminVerb::kGo, "go", {}},
                               {AdminVerb::kStatus, "status", {}},
                               {AdminVerb::kPrimaries, "primaries", {}},
                               {AdminVerb::kList, "list", {}},
                               {AdminVerb::kShow, "show", {}},
                               {AdminVerb::kReload, "reload", {}},
                               {AdminVerb::kRecipients, "recipients", {}},
                               {AdminVerb::kImport, "import", {}},
                               {AdminVerb::kForget, "forget", {}}};

absl::Status Refused(const std::string& text) {
  return absl::InvalidArgumentError(text);
}

absl::Status TakeVerb(const Json& value, AdminRequest& request) {
  const std::string name = value.is_string() ? value.get<std::string>() : "";
  for (const VerbName& known : kVerbs) {
    if (name == known.name) {
      request.verb = known.verb;
      return absl::OkStatus();
    }
  }
  return Refused(fmt::format("there is no verb '{}'", Escaped(name)));
}

absl::Status TakeFlag(const std::string& name, const Json& value, bool& flag) {
  if (!value.is_boolean()) {
    return Refused(fmt::format("{}: true or false is wanted", name));
  }
  flag = value.get<bool>();
  return absl::OkStatus();
}

// As the spool has domains.
std::string Canonical(std::string domain) {
  absl::AsciiStrToLower(&domain);
  if (!domain.empty() && domain.back() == '.') {
    domain.pop_back();
  }
  return domain;
}

absl::Status TakeNames(const std::string& name, const Json& value,
                       std::vector<std::string>& names) {
  if (!value.is_array()) {
    return Refused(fmt::format("{}: an array of names is wanted", name));
  }
  for (const Json& item : value) {
    std::string text = item.is_string() ? Canonical(item.get<std::string>()) : "";
    if (text.empty() || text.size() > kDomainBytesMax) {
      return Refused(fmt::format("{}: each is a text of 1 to {} bytes", name, kDomainBytesMax));
    }
    names.push_back(std::move(text));
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return absl::OkStatus();
}

// Lower case, as everything is that is known of recipients.
absl::Status TakeAddresses(const Json& value, std::vector<std::string>& addresses) {
  if (!value.is_array()) {
    return Refused("addresses: an array is wanted");
  }
  for (const Json& item : value) {
    std::string text = item.is_string() ? Canonical(item.get<std::string>()) : "";
    const std::string path = fmt::format("<{}>", text);
    const Path parsed = ParseForwardPath(path);
    if (parsed.error != PathError::kNone || !parsed.rest.empty() || parsed.address != text ||
        text.find('@') == std::string::npos) {
      return Refused(fmt::format("'{}' is not an address: local-part@domain", Escaped(text)));
    }
    addresses.push_back(std::move(text));
  }
  return absl::OkStatus();
}

absl::Status TakeId(const Json& value, AdminRequest& request) {
  const std::string text = value.is_string() ? value.get<std::string>() : "";
  request.id = QueueId::Parse(text);
  return request.id.has_value()
             ? absl::OkStatus()
             : Refused(fmt::format("'{}' is no queue id: these are 16 of 0-9 and B-Z without "
                                   "vowels, as in the reply to the client",
                                   Escaped(text)));
}

absl::Status TakeIds(const Json& value, AdminRequest& request) {
  if (!value.is_array()) {
    return Refused("ids: an array of queue ids is wanted");
  }
  for (const Json& item : value) {
    AdminRequest one;
    RETURN_IF_ERROR(TakeId(item, one));
    request.ids.push_back(*one.id);
  }
  return absl::OkStatus();
}

absl::Status TakeOlder(const Json& value, AdminRequest& request) {
  const auto older = ParseDuration(value.is_string() ? value.get<std::string>() : "");
  if (!older.ok()) {
    return Refused(fmt::format("older: {}", std::string(older.status().message())));
  }
  request.older = *older;
  return absl::OkStatus();
}

absl::Status TakeMember(const std::string& name, const Json& value, AdminRequest& request) {
  if (name == "verb") {
    return TakeVerb(value, request);
  }
  if (name == "all") {
    return TakeFlag(name, value, request.is_all);
  }
  if (name == "keep_age") {
    return TakeFlag(name, value, request.keeps_age);
  }
  if (name == "accept_refusals") {
    return TakeFlag(name, value, request.accepts_refusals);
  }
  if (name == "force") {
    return TakeFlag(name, value, request.is_forced);
  }
  if (name == "whole") {
    return TakeFlag(name, value, request.wants_whole);
  }
  if (name == "dry_run") {
    return TakeFlag(name, value, request.is_dry_run);
  }
  if (name == "domains") {
    return TakeNames(name, value, request.domains);
  }
  if (name == "destinations") {
    return TakeNames(name, value, request.destinations);
  }
  if (name == "addresses") {
    return TakeAddresses(value, request.addresses);
  }
  if (name == "id") {
    return TakeId(value, request);
  }
  if (name == "ids") {
    return TakeIds(value, request);
  }
  if (name == "chosen" && value.is_string()) {
    request.chosen = value.get<std::string>();
    return absl::OkStatus();
  }
  if (name == "older") {
    return TakeOlder(value, request);
  }
  if (name == "limit" && value.is_number_unsigned()) {
    request.messages_max = value.get<uint64_t>();
    return absl::OkStatus();
  }
  return Refused(fmt::format("'{}' is no member of a request, or not of this type", Escaped(name)));
}

// Nothing happens to mail by a word that was forgotten: everything is asked for by name.
absl::Status CheckSense(const AdminRequest& request) {
  const bool has_names = !request.domains.empty() || !request.destinations.empty();
  const int ways = (request.is_all ? 1 : 0) + (has_names ? 1 : 0) + (request.ids.empty() ? 0 : 1);
  const bool is_of_domains = request.verb == AdminVerb::kStop || request.verb == AdminVerb::kStart;
  if (is_of_domains && (!has_names || ways != 1)) {
    return Refused("stop and start want domains or destinations");
  }
  if ((RuleOf(request.verb).has_value() || request.verb == AdminVerb::kGo) && ways != 1) {
    return Refused(request.verb == AdminVerb::kGo
                       ? "go wants either all, or domains and destinations"
                       : "either all, or domains and destinations, or ids are wanted");
  }
  if (request.verb == AdminVerb::kGo && !request.ids.empty()) {
    return Refused("go wants either all, or domains and destinations");
  }
  if (request.accepts_refusals && request.verb != AdminVerb::kStart) {
    return Refused("accept_refusals belongs to start");
  }
  if (request.keeps_age && request.verb != AdminVerb::kReset) {
    return Refused("keep_age belongs to reset");
  }
  if (request.is_forced && request.verb != AdminVerb::kReload) {
    return Refused("force belongs to reload");
  }
  if (request.older != absl::ZeroDuration() && request.verb != AdminVerb::kList) {
    return Refused("older belongs to list");
  }
  if (request.wants_whole && request.verb != AdminVerb::kList) {
    return Refused("whole belongs to list");
  }
  if (request.is_dry_run && !RuleOf(request.verb).has_value() &&
      request.verb != AdminVerb::kForget) {
    return Refused(fmt::format("dry_run does not belong to {}", NameOf(request.verb)));
  }
  if (!request.chosen.empty() && request.ids.empty()) {
    return Refused("chosen belongs to ids");
  }
  const bool is_about_recipients = request.verb == AdminVerb::kRecipients ||
                                   request.verb == AdminVerb::kImport ||
                                   request.verb == AdminVerb::kForget;
  if (!is_about_recipients && !request.addresses.empty()) {
    return Refused("addresses belong to recipients, import and forget");
  }
  if (request.verb == AdminVerb::kImport && request.addresses.empty()) {
    return Refused("addresses are wanted");
  }
  if (request.verb == AdminVerb::kForget && request.addresses.empty() == request.domains.empty()) {
    return Refused("either addresses or domains are wanted");
  }
  if (request.verb == AdminVerb::kShow && !request.id.has_value()) {
    return Refused("show wants an id");
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view NameOf(AdminVerb verb) {
  for (const VerbName& known : kVerbs) {
    if (known.verb == verb) {
      return known.name;
    }
  }
  UNREACHABLE();
}

std::optional<RuleVerb> RuleOf(AdminVerb verb) {
  for (const VerbName& known : kVerbs) {
    if (known.verb == verb) {
      return known.rule;
    }
  }
  UNREACHABLE();
}

absl::StatusOr<AdminRequest> ParseRequest(std::string_view line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("verb")) {
    return Refused("a request is one JSON object a line, with a verb");
  }
  AdminRequest request;
  for (const auto& [name, value] : json.items()) {
    RETURN_IF_ERROR(TakeMember(name, value, request));
  }
  RETURN_IF_ERROR(CheckSense(request));
  return request;
}

std::vector<Rule> RulesOf(const AdminRequest& request) {
  Rule empty;
  empty.verb = *RuleOf(request.verb);
  empty.keeps_age = request.keeps_age;
  empty.accepts_refusals = request.accepts_refusals;
  std::vector<Rule> rules = {empty};
  for (const std::string& domain : request.domains) {
    rules.back().domains.push_back(domain);
    if (RuleBytes(rules.back()) > kRuleBytesMax) {
      rules.back().domains.pop_back();
      rules.push_back(empty);
      rules.back().domains.push_back(domain);
    }
  }
  return rules;
}

}  // namespace backstay
