// tools/backstay/recipients.h -- `backstay recipients`: what a daemon knows of them.
#pragma once

#include <string>
#include <vector>

namespace backstay {

struct RecipientOptions {
  std::vector<std::string> addresses;
  std::vector<std::string> domains;
  std::string path;  // "-": standard input
  bool is_json = false;
};

// Exit codes, as all verbs.
int ListRecipients(const std::string& endpoint, const RecipientOptions& options);
int ImportRecipients(const std::string& endpoint, const RecipientOptions& options);
int ForgetRecipients(const std::string& endpoint, const RecipientOptions& options);

}  // namespace backstay
