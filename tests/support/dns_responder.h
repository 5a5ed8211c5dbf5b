// tests/support/dns_responder.h -- a zone on UDP and TCP of 127.0.0.1, with the manners of bad
// servers. No threads: the test polls it.
//
// Owns: its sockets. Outlives: `zone` outlives it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/dns_zone.h"

namespace backstay {

class DnsResponder {
 public:
  explicit DnsResponder(DnsZone& zone);
  ~DnsResponder();
  DnsResponder(const DnsResponder&) = delete;
  DnsResponder& operator=(const DnsResponder&) = delete;

  // As UringOptions::dns_servers wants it.
  std::string servers() const;
  // Answers what has come; never waits.
  void Poll();

  bool truncates = false;             // by UDP: "ask by TCP"
  std::vector<std::string> forged;    // sent before each reply by UDP, with a number that is wrong
  bool answers_another_name = false;  // the first reply to each question by UDP
  uint64_t questions_by_tcp = 0;

 private:
  void AnswerUdp();
  void AnswerTcp(int connection);
  std::string Reply(const std::string& question, bool is_udp);

  DnsZone& zone_;
  int udp_ = -1;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::vector<int> connections_;
};

}  // namespace backstay
