// core/event/postfix_lines.h -- an event as Postfix would have logged it, for tools that read that.
//
// pflogsumm and fail2ban's filter "postfix" are the measure (tests/system/postfix_log_test.py). A
// queued message is three lines (smtpd, cleanup, qmgr), and so on. The number in brackets is that
// of the connection, so that tools which join connect and disconnect by it can.
#pragma once

#include <string>
#include <string_view>

#include "core/event/event.h"
#include "core/event/time_text.h"

namespace backstay {

// `host`: one word. `time`: kSyslog.
void AppendPostfixLines(const Event& event, std::string_view host, TimeText& time,
                        std::string& out);

}  // namespace backstay
