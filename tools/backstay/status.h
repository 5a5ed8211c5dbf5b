// tools/backstay/status.h -- `backstay status`, `primary list|show`, `reload` and `check-config`.
#pragma once

#include <string>

namespace backstay {

// Each returns the exit code.
int ShowStatus(const std::string& endpoint, bool is_json);
// Adds what ShowStatus would print without JSON; complains of what it cannot ask.
int StatusText(const std::string& endpoint, std::string& text);
int ListPrimaries(const std::string& endpoint, bool is_json);
int ShowPrimary(const std::string& endpoint, const std::string& domain, bool is_json);
int Reload(const std::string& endpoint, bool is_forced);
int CheckConfig(const std::string& path);

}  // namespace backstay
