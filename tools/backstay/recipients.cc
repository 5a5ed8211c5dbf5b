// tools/backstay/recipients.cc -- addresses in requests of a size that a daemon reads.
#include "tools/backstay/recipients.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "tools/backstay/daemon_client.h"
#include "tools/backstay/text.h"
#include "tools/backstay/verb.h"

namespace backstay {
namespace {

using Json = nlohmann::json;

// Of JSON in one request; a daemon takes 256 KiB.
constexpr size_t kRequestBytes = 128 * 1024;

std::string RequestOf(const char* verb, const RecipientOptions& options, bool is_dry_run = false) {
  Json request = {{"verb", verb}, {"addresses", options.addresses}};
  if (!options.domains.empty()) {
    request["domains"] = options.domains;
  }
  if (is_dry_run) {
    request["dry_run"] = true;
  }
  return request.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void PrintRow(std::string_view text) {
  const Json row = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (row.contains("address")) {
    PrintLine(fmt::format("{:8} {}{}", row.value("state", "?"), row.value("address", "?"),
                          row["since"].is_string()
                              ? fmt::format(" (since {})", row["since"].get<std::string>())
                              : ""));
    return;
  }
  const std::string domain = row.value("domain", "");
  PrintLine(fmt::format("{:>12} known {:>12} refused  {}",
                        GroupedNumber(row.value("known", uint64_t{0})),
                        GroupedNumber(row.value("refused", uint64_t{0})),
                        domain.empty() ? fmt::format("(other domains; {} bytes of memory in all)",
                                                     GroupedNumber(row.value("bytes", uint64_t{0})))
                                       : domain));
}

// One address a line; blank lines and lines that begin with # are skipped. False: errno says why.
bool ReadAddresses(std::FILE* file, std::vector<std::string>& addresses) {
  std::string line;
  for (int byte = std::getc(file);; byte = std::getc(file)) {
    if (byte != '\n' && byte != EOF) {
      line.push_back(static_cast<char>(byte));
      continue;
    }
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) {
      line.pop_back();
    }
    line.erase(0, line.find_first_not_of(" \t"));
    if (!line.empty() && line[0] != '#') {
      addresses.push_back(line);
    }
    line.clear();
    if (byte == EOF) {
      return std::ferror(file) == 0;
    }
  }
}

int ComplainOfFile(const std::string& path, int error) {
  Complain(fmt::format("{} cannot be read: {}", Printable(path), strerrordesc_np(error)));
  return kExitNoInput;
}

}  // namespace

int ListRecipients(const std::string& endpoint, const RecipientOptions& options) {
  DaemonClient daemon(endpoint);
  return daemon
      .Ask(RequestOf("recipients", options),
           [&](std::string_view row) {
             if (options.is_json) {
               PrintLine(std::string(row));
             } else {
               PrintRow(row);
             }
           })
      .exit_code;
}

int ForgetRecipients(const std::string& endpoint, RecipientOptions options) {
  DaemonClient daemon(endpoint);
  options.how.told = "forget";
  return CountAskDo(options.how, [&](bool is_dry_run) {
    return daemon.Ask(RequestOf("forget", options, is_dry_run), [](std::string_view) {});
  });
}

int ImportRecipients(const std::string& endpoint, const RecipientOptions& options) {
  std::FILE* file = options.path == "-" ? stdin : std::fopen(options.path.c_str(), "rb");
  if (file == nullptr) {
    return ComplainOfFile(options.path, errno);
  }
  std::vector<std::string> all;
  const int error = ReadAddresses(file, all) ? 0 : errno;
  if (file != stdin) {
    std::fclose(file);
  }
  if (error != 0) {
    return ComplainOfFile(options.path, error);
  }
  if (all.empty()) {
    Complain(fmt::format("{}: no address in it", Printable(options.path)));
    return kExitUsage;
  }
  DaemonClient daemon(endpoint);
  uint64_t imported = 0;
  for (size_t at = 0; at < all.size();) {
    RecipientOptions piece;
    for (size_t bytes = 0; at < all.size() && bytes < kRequestBytes; ++at) {
      bytes += all[at].size() + 3;
      piece.addresses.push_back(all[at]);
    }
    const DaemonAnswer answer = daemon.Ask(RequestOf("import", piece), [](std::string_view) {});
    if (answer.exit_code != kExitOk) {
      Complain(fmt::format("{} of {} were imported", imported, all.size()));
      return answer.exit_code;
    }
    imported += answer.recipients;
  }
  PrintLine(fmt::format("imported: {}", GroupedNumber(imported)));
  return kExitOk;
}

}  // namespace backstay
