// core/notify.h -- what systemd wants to hear: READY=1, STOPPING=1, RELOADING=1 (sd_notify
// protocol).
//
// Silent without NOTIFY_SOCKET. Main thread only.
#pragma once

#include <string_view>

namespace backstay {

void NotifyServiceManager(std::string_view state);

}  // namespace backstay
