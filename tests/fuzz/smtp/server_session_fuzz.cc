// tests/fuzz/smtp/server_session_fuzz.cc -- any bytes, cut anywhere: the same transcript.
//
// Input: one byte of options, eight cut lengths, then what the client sends. Played byte by byte
// and in the given pieces. Only one difference is allowed: bytes that arrive together with a
// command that had to be waited for end the connection with 554 5.5.0, and up to there the
// transcripts are equal.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/smtp/address.h"
#include "core/smtp/server_session.h"
#include "tests/fuzz/smtp/fuzz_input.h"

namespace backstay {
namespace {

// Asserts the order of calls that Intake promises.
class CheckingIntake : public Intake {
 public:
  Reply OnMail(std::string_view reverse_path, const MailParams& params) override {
    ASSERT(!open_);
    ASSERT(params.size_bytes.value_or(0) <= 200);
    log += "M" + std::string(reverse_path) + " " + std::string(params.envelope_id) + "\n";
    open_ = !reverse_path.starts_with("r");
    accepted_ = 0;
    return open_ ? replies::kMailOk : replies::kUserUnknown;
  }
  std::optional<Reply> OnRcpt(std::string_view address, const RcptParams& params) override {
    ASSERT(open_);
    ASSERT(!receiving_);
    ASSERT(!address.empty());
    ASSERT(params.notify < 16);
    log += "R" + std::string(address) + " " + std::string(params.original_recipient) + "\n";
    if (address.starts_with("r")) {
      return replies::kUserUnknown;
    }
    if (address.starts_with("c")) {
      return replies::kServerFull;
    }
    ++accepted_;
    return replies::kRcptOk;
  }
  Reply OnData() override {
    ASSERT(open_);
    ASSERT(accepted_ > 0);
    receiving_ = accepted_ != 2;
    content_.clear();
    return receiving_ ? replies::kOk : replies::kNoSpace;
  }
  void OnContent(Bytes decoded) override {
    ASSERT(receiving_);
    content_.append(AsText(decoded));
    ASSERT(content_.size() <= 200);
  }
  void OnEndOfData(bool has_dot_lines) override {
    ASSERT(receiving_);
    open_ = receiving_ = false;
    const bool dots = content_.starts_with('.') || content_.find("\r\n.") != std::string::npos;
    ASSERT(dots == has_dot_lines);
    log += "E" + content_ + "\n";
  }
  void OnReset() override {
    ASSERT(open_);
    open_ = receiving_ = false;
    log += "X\n";
  }

  Rights ClientRights() const override { return rights; }
  Reply OnEtrn(std::string_view domain, bool subdomains) override {
    ASSERT(!open_);
    ASSERT(IsDomainName(domain));
    log += "T" + std::string(domain) + (subdomains ? "+\n" : "\n");
    return domain.starts_with("r") ? replies::kNodeNotAllowed : replies::kQueuingStarted;
  }
  Reply OnXclient(const XclientAttributes& attributes) override {
    ASSERT(!open_);
    log += "C" + attributes.name.value_or("-") + " " + attributes.helo.value_or("-") + "\n";
    rights.etrn = !rights.etrn;
    return attributes.name == "c" ? replies::kTooManyConnections : replies::kOk;
  }

  Rights rights;
  std::string log;

 private:
  bool open_ = false;
  bool receiving_ = false;
  int accepted_ = 0;
  std::string content_;
};

struct Played {
  std::string transcript;
  std::string log;
};

Played Play(Bytes bytes, const ServerParams& params, Intake::Rights rights, Cuts cuts) {
  CheckingIntake intake;
  intake.rights = rights;
  ServerSession session(params, intake);
  session.Greet();
  Played played;
  while (!bytes.empty() && !session.wants_close()) {
    const std::vector<uint8_t> piece = Alone(bytes.first(std::min(cuts.Next(), bytes.size())));
    bytes = bytes.subspan(piece.size());
    Bytes rest(piece);
    while (!rest.empty()) {
      const size_t taken = session.Consume(rest);
      ASSERT(!session.wants_pause() || !session.output().empty());
      const bool owed = session.awaiting_finish();
      ASSERT(taken > 0 || owed || session.output().size() >= ServerSession::kOutputBytesMax);
      rest = rest.subspan(taken);
      session.EndPause();
      if (owed) {
        session.FinishData(Reply{250, "2.0.0", "Ok: queued"});
      }
      ASSERT(session.output().size() <= ServerSession::kOutputBytesMax + 1024);
      played.transcript.append(session.output());
      session.DropOutput(session.output().size());
      if (session.wants_tls()) {
        session.StartedTls();
      }
    }
  }
  session.TimedOut();
  played.transcript.append(session.output());
  ASSERT(session.wants_close());
  played.log = intake.log;
  return played;
}

void Check(Bytes input) {
  constexpr size_t kCuts = 8;
  if (input.size() < 1 + kCuts) {
    return;
  }
  ServerParams params;
  params.hostname = "mx2";
  params.message_bytes_max = 200;
  params.recipients_max = 3;
  params.normalize_line_endings = (input[0] & 1) != 0;
  params.starttls = (input[0] & 2) != 0;
  const Intake::Rights rights = {.etrn = (input[0] & 4) != 0, .xclient = (input[0] & 8) != 0};
  const Bytes sent = input.subspan(1 + kCuts);
  const uint8_t one_by_one[] = {0};
  const Played apart = Play(sent, params, rights, Cuts(one_by_one));
  const Played cut = Play(sent, params, rights, Cuts(input.subspan(1, kCuts)));
  if (cut.transcript == apart.transcript && cut.log == apart.log) {
    return;
  }
  std::string not_in_sync;
  AppendReply(replies::kNotInSync, not_in_sync);
  ASSERT(cut.transcript.ends_with(not_in_sync));
  const size_t before = cut.transcript.size() - not_in_sync.size();
  ASSERT(apart.transcript.compare(0, before, cut.transcript, 0, before) == 0);
}

}  // namespace
}  // namespace backstay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  backstay::Check({data, size});
  return 0;
}
