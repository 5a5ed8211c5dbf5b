// tools/backstay/doctor.h -- `backstay doctor`: can this machine run the daemon as configured?
#pragma once

#include <string>

namespace backstay {

struct DoctorOptions {
  std::string config_path = "/etc/backstay/backstay.toml";
  bool is_json = false;
};

// Looks, and changes nothing. Returns the exit code: 0, or 1 when something would not work.
int Doctor(const DoctorOptions& options);

}  // namespace backstay
