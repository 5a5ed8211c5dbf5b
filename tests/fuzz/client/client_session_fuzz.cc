// tests/fuzz/client/client_session_fuzz.cc -- a primary that says anything, cut anywhere.
//
// Input: an options byte, eight cut lengths, then what the primary sends. The session gets a new
// message whenever it is ready for one. Whatever comes: every transaction that is over has an
// outcome for each recipient, nothing is delivered that was not sent whole, no CR or LF leaves
// alone, and each message that left whole reads back as it was stored.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/check.h"
#include "core/smtp/client_session.h"
#include "core/smtp/data_reader.h"
#include "tests/fuzz/smtp/fuzz_input.h"

namespace backstay {
namespace {

constexpr size_t kCutsBytes = 8;
constexpr size_t kRecipientsMax = 130;  // more than one group of commands
constexpr std::string_view kContent = "Subject: x\r\n.dots\r\n\r\n.\r\n..\r\nlast line without end";

using Phase = ClientSession::Phase;

class Primary {
 public:
  explicit Primary(uint8_t options) : options_(options) {
    session_.WantTls((options & 32) != 0 ? ClientSession::Tls::kIfOffered
                                         : ClientSession::Tls::kNever);
    envelope_.reverse_path = (options & 1) != 0 ? "s@example.org" : "";
    envelope_.body = (options & 2) != 0 ? BodyType::k8BitMime : BodyType::k7Bit;
    envelope_.smtputf8 = (options & 16) != 0;
    envelope_.return_content = ReturnContent::kHeaders;
    envelope_.envelope_id = (options & 32) != 0 ? "id+2B" : "x\r\nRSET";
    const size_t recipients = (options & 4) != 0 ? kRecipientsMax : 1 + (options >> 6);
    for (size_t index = 0; index < recipients; ++index) {
      Recipient& added = envelope_.AddRecipient();
      added.address =
          index % 7 == 3 ? "x@y>\r\nRSET" : "r" + std::to_string(index) + "@example.com";
      added.notify = Notify::kDelay;
      added.original_recipient = "rfc822;r@example.com";
      indexes_.push_back(static_cast<uint32_t>(index));
    }
  }

  void Play(Bytes bytes, Cuts cuts) {
    while (!bytes.empty()) {
      Act();
      const size_t size = std::min(bytes.size(), cuts.Next());
      session_.Consume(Alone(bytes.first(size)));
      bytes = bytes.subspan(size);
      Check();
    }
    Act();
    session_.ConnectionLost();
    Check();
    ASSERT(session_.phase() == Phase::kFailed);
    ASSERT(session_.output().empty());
    CheckWire();
  }

 private:
  // What a delivery does.
  void Act() {
    if (session_.phase() == Phase::kHandshake) {
      Send();
      session_.Secured();
      ASSERT(wire_.ends_with("STARTTLS\r\n"));
      ASSERT(!session_.extensions().pipelining);
    } else if (session_.phase() == Phase::kReady) {
      if (transactions_ == 3) {
        session_.Quit();
      } else {
        ++transactions_;
        ended_ = false;
        // Two of one client, one of another, whose name for itself is none.
        envelope_.client_address = transactions_ < 3 ? "192.0.2.7" : "2001:db8::7";
        envelope_.client_helo = transactions_ < 3 ? "h.example" : "x\r\nRSET";
        session_.StartTransaction(envelope_, indexes_, kContent.size(), /*has_dot_lines=*/true);
        open_ = true;
      }
    } else if (session_.phase() == Phase::kContent) {
      Send();
      do {
        WriteMore();
      } while ((options_ & 8) == 0 && session_.phase() == Phase::kContent);
    }
    Send();
    Check();
  }

  void WriteMore() {
    const size_t at = written_;
    const size_t piece = (options_ & 8) != 0 ? 7 : kContent.size();
    if (at < kContent.size()) {
      const std::string_view more = kContent.substr(at, piece);
      if (at == 0) {
        content_at_ = wire_.size();
      }
      session_.WriteContent(AsBytes(more));
      written_ += more.size();
      return;
    }
    session_.EndContent();
    written_ = 0;
    Send();
    ended_ = true;
    CheckContent();
  }

  void Send() {
    wire_ += session_.output();
    session_.DropOutput(session_.output().size());
  }

  void Check() {
    if (session_.phase() == Phase::kFailed) {
      ASSERT(session_.output().empty());
    }
    const bool over = session_.phase() == Phase::kReady || session_.phase() == Phase::kFailed;
    if (!over || !open_) {
      return;
    }
    open_ = false;
    written_ = 0;
    ASSERT(session_.outcomes().size() == indexes_.size());
    size_t to_repeat = 0;  // at once, in a further transaction
    for (const Outcome& outcome : session_.outcomes()) {
      CheckOutcome(outcome);
      to_repeat += outcome.kind == Outcome::Kind::kDeferred && !outcome.own ? 1 : 0;
    }
    if (session_.phase() == Phase::kReady) {
      ASSERT(to_repeat < indexes_.size());  // or the next would be this one again, for ever
    }
  }

  void CheckOutcome(const Outcome& outcome) const {
    ASSERT(!outcome.text.empty() || outcome.code != 0);
    ASSERT(outcome.text.size() <= 400);
    ASSERT(outcome.code == 0 || outcome.code >= 200);
    if (outcome.kind == Outcome::Kind::kDelivered) {
      ASSERT(ended_);
      ASSERT(outcome.code < 300);
      ASSERT(outcome.phase == Outcome::Phase::kEndOfData);
    }
    if (outcome.kind == Outcome::Kind::kFailed) {
      ASSERT(outcome.own);
      ASSERT(outcome.code == 0 || outcome.code >= 500);
    }
  }

  void CheckContent() const {
    DataReader reader;
    reader.Start(DataReader::Mode::kReject);
    std::string decoded;
    const Bytes sent = AsBytes(wire_).subspan(content_at_);
    const size_t taken =
        reader.Consume(sent, [&decoded](Bytes content) { decoded += AsText(content); });
    ASSERT(reader.done());
    ASSERT(taken == sent.size());
    ASSERT(decoded == std::string(kContent) + "\r\n");
  }

  void CheckWire() const {
    for (size_t at = 0; at < wire_.size(); ++at) {
      const bool lf = wire_[at] == '\n';
      const bool behind_cr = at > 0 && wire_[at - 1] == '\r';
      ASSERT(lf == behind_cr);
    }
    ASSERT(wire_.find("RSET") == std::string::npos ||
           wire_.find("RSET\r\nMAIL") != std::string::npos ||
           wire_.find("RSET\r\nX") != std::string::npos || wire_.ends_with("RSET\r\n"));
    ASSERT(wire_.find("x@y") == std::string::npos);
  }

  const uint8_t options_;
  ClientSession session_{"mx2.example.net"};
  Envelope envelope_;
  std::vector<uint32_t> indexes_;
  std::string wire_;
  int transactions_ = 0;
  bool open_ = false;      // a transaction is under way
  bool ended_ = false;     // its content left whole
  size_t written_ = 0;     // of kContent
  size_t content_at_ = 0;  // in wire_
};

}  // namespace
}  // namespace backstay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using backstay::Bytes;
  if (size < 1 + backstay::kCutsBytes) {
    return 0;
  }
  const Bytes input(data, size);
  backstay::Primary primary(input[0]);
  primary.Play(input.subspan(1 + backstay::kCutsBytes),
               backstay::Cuts(input.subspan(1, backstay::kCutsBytes)));
  return 0;
}
