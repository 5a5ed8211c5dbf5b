// tools/backstay/recipients.h -- `backstay recipients`: what a daemon knows of them.
#pragma once

#include <string>
#include <vector>

#include "tools/backstay/confirm.h"

namespace backstay {

struct RecipientOptions {
  std::vector<std::string> addresses;
  std::vector<std::string> domains;
  std::string path;      // "-": standard input
  bool is_json = false;  // of a list
  Confirmation how;      // of forget
};

// Exit codes, as all verbs.
int ListRecipients(const std::string& endpoint, const RecipientOptions& options);
int ImportRecipients(const std::string& endpoint, const RecipientOptions& options);
// Counts first, asks at a terminal.
int ForgetRecipients(const std::string& endpoint, RecipientOptions options);

}  // namespace backstay
