// tests/support/dns_responder.cc -- sockets that do not block, and a zone behind them.
#include "tests/support/dns_responder.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "core/base/check.h"

namespace backstay {
namespace {

constexpr size_t kHeaderBytes = 12;
constexpr size_t kMessageBytesMax = 65535;

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int Bind(int type, uint16_t port) {
  const int made = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  ASSERT(made >= 0);
  const sockaddr_in address = Loopback(port);
  if (bind(made, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    close(made);
    return -1;
  }
  return made;
}

// The name of the first question, in lower case; where it ends.
std::string NameOf(const std::string& question, size_t& at) {
  std::string name;
  while (at < question.size() && question[at] != 0) {
    const auto count = static_cast<size_t>(static_cast<uint8_t>(question[at]));
    name += (name.empty() ? "" : ".") + question.substr(at + 1, count);
    at += 1 + count;
  }
  ++at;
  for (char& letter : name) {
    letter = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + 32) : letter;
  }
  return name;
}

}  // namespace

DnsResponder::DnsResponder(DnsZone& zone) : zone_(zone) {
  for (int attempt = 0; attempt < 50 && listener_ < 0; ++attempt) {
    udp_ = Bind(SOCK_DGRAM, 0);
    sockaddr_in address{};
    socklen_t bytes = sizeof(address);
    ASSERT(getsockname(udp_, reinterpret_cast<sockaddr*>(&address), &bytes) == 0);
    port_ = ntohs(address.sin_port);
    listener_ = Bind(SOCK_STREAM, port_);  // the number may be taken for the other kind
    if (listener_ < 0) {
      close(udp_);
    }
  }
  ASSERT(listener_ >= 0);
  ASSERT(listen(listener_, 16) == 0);
}

DnsResponder::~DnsResponder() {
  for (const int connection : connections_) {
    close(connection);
  }
  close(listener_);
  close(udp_);
}

std::string DnsResponder::servers() const {
  return "127.0.0.1:" + std::to_string(port_);
}

void DnsResponder::Poll() {
  AnswerUdp();
  for (int accepted = 0; (accepted = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
    connections_.push_back(accepted);
  }
  for (const int connection : connections_) {
    AnswerTcp(connection);
  }
}

std::string DnsResponder::Reply(const std::string& question, bool is_udp) {
  size_t at = kHeaderBytes;
  const std::string name = NameOf(question, at);
  ASSERT(at + 4 <= question.size());
  const auto type = static_cast<DnsType>(static_cast<uint8_t>(question[at]) << 8 |
                                         static_cast<uint8_t>(question[at + 1]));
  std::string reply;
  if (truncates && is_udp) {
    reply = DnsHeader(0x8380, 1, 0) + DnsQuestionPart(name, type);
  } else {
    reply = zone_.Answer(name, type).value_or("");
  }
  if (!reply.empty()) {
    reply.replace(0, 2, question, 0, 2);
  }
  return reply;
}

void DnsResponder::AnswerUdp() {
  std::array<char, kMessageBytesMax> buffer{};
  sockaddr_storage from{};
  socklen_t from_bytes = sizeof(from);
  for (ssize_t count = 0;
       (count = recvfrom(udp_, buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from),
                         &from_bytes)) > static_cast<ssize_t>(kHeaderBytes);) {
    const std::string question(buffer.data(), static_cast<size_t>(count));
    const auto send = [&](const std::string& reply) {
      (void)sendto(udp_, reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from),
                   from_bytes);
    };
    for (std::string lie : forged) {
      lie[0] = question[0];
      lie[1] = static_cast<char>(question[1] ^ 1);
      send(lie);
    }
    std::string reply = Reply(question, true);
    if (answers_another_name && !reply.empty()) {
      std::string other = reply;
      other[kHeaderBytes + 1] = static_cast<char>(other[kHeaderBytes + 1] ^ 1);
      send(other);
    }
    if (!reply.empty()) {
      send(reply);
    }
  }
}

void DnsResponder::AnswerTcp(int connection) {
  std::array<char, kMessageBytesMax> buffer{};
  const ssize_t count = recv(connection, buffer.data(), buffer.size(), 0);
  if (count <= static_cast<ssize_t>(kHeaderBytes + 2)) {
    return;
  }
  ++questions_by_tcp;
  const std::string reply =
      Reply(std::string(buffer.data() + 2, static_cast<size_t>(count - 2)), false);
  if (!reply.empty()) {
    const std::string whole = DnsNumber(static_cast<uint16_t>(reply.size())) + reply;
    (void)send(connection, whole.data(), whole.size(), MSG_NOSIGNAL);
  }
}

}  // namespace backstay
