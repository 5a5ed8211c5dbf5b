// core/dns/client_name.h -- the name of a client: what its address is called, if that name leads
// back to the address. Pure: it says what to ask, and is told the replies.
//
// Life:  ask question() and tell OnReply until there is none; then name(), is_nameless().
// See:   RFC 1912 s2.1, RFC 8601 s2.7.3 (iprev).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/bytes.h"
#include "core/dns/answer.h"
#include "io/socket_address.h"

namespace backstay {

class ClientNameSearch {
 public:
  explicit ClientNameSearch(const SocketAddress& client);

  const DnsQuestion* question() const;
  void OnReply(Bytes reply);
  void OnNoReply();
  // Empty: not known, or not confirmed.
  const std::string& name() const { return name_; }
  // There is no such name, and the DNS has said so: no question was left open.
  bool is_nameless() const { return !question_.has_value() && name_.empty() && is_sure_; }

 private:
  void AskNext();

  const SocketAddress client_;
  std::optional<DnsQuestion> question_;
  std::vector<std::string> names_;  // not asked yet; the last is next
  std::string candidate_;           // whose addresses are asked for; empty: nobody's yet
  size_t aliases_ = 0;
  bool is_sure_ = true;  // of all that was asked until now
  std::string name_;
};

}  // namespace backstay
