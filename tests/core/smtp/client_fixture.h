// tests/core/smtp/client_fixture.h -- a client session and the primary that a test speaks for.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "core/smtp/client_session.h"

namespace backstay {

class ClientFixture {
 public:
  // What the session had to say is sent first, as a connection does.
  std::string Hear() {
    const std::string heard(session.output());
    session.DropOutput(heard.size());
    wire += heard;
    return heard;
  }
  // The primary says one line or several; returns what the session answers.
  std::string Say(std::string_view lines) {
    Hear();
    session.Consume(AsBytes(std::string(lines) + "\r\n"));
    return Hear();
  }
  std::string SayRaw(std::string_view bytes) {
    Hear();
    session.Consume(AsBytes(bytes));
    return Hear();
  }

  // Up to kReady, with the EHLO keywords given.
  void Greet(std::initializer_list<std::string_view> keywords) {
    Say("220 mx1.example.com ESMTP");
    std::string reply = "250-mx1.example.com";
    for (const std::string_view keyword : keywords) {
      reply += "\r\n250-";
      reply += keyword;
    }
    reply[reply.rfind("250-") + 3] = ' ';
    Say(reply);
  }

  // One message to so many recipients, r0@example.com and on; returns what was sent.
  std::string Start(size_t recipients, uint64_t content_bytes = 1000, bool has_dot_lines = false) {
    envelope = Envelope();
    envelope.reverse_path = "s@example.org";
    indexes.clear();
    for (size_t index = 0; index < recipients; ++index) {
      envelope.AddRecipient().address = "r" + std::to_string(index) + "@example.com";
      indexes.push_back(static_cast<uint32_t>(index));
    }
    return StartAgain(content_bytes, has_dot_lines);
  }
  // With envelope and indexes as they are.
  std::string StartAgain(uint64_t content_bytes = 1000, bool has_dot_lines = false) {
    session.StartTransaction(envelope, indexes, content_bytes, has_dot_lines);
    return Hear();
  }

  const Outcome& outcome(size_t position) const { return session.outcomes().at(position); }

  ClientSession session{"mx2.example.net"};
  Envelope envelope;
  std::vector<uint32_t> indexes;
  std::string wire;  // all that was sent
};

}  // namespace backstay
