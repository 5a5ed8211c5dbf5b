// tests/core/smtp/session_model_test.cc -- every sequence of commands, against the model.
//
// From a fresh connection, from behind RCPT and from inside the data, to depth 5 (4 with
// sanitizers, which are slow). BACKSTAY_MODEL_DEPTH in the environment asks for another depth.
#include "tests/core/smtp/session_model.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "core/smtp/server_session.h"
#include "tests/core/smtp/session_fixture.h"

namespace backstay {
namespace {

constexpr size_t kContentBytesMax = 95;  // one kBig fits, a kBig and more does not

size_t Depth() {
  const char* depth = std::getenv("BACKSTAY_MODEL_DEPTH");
  return depth == nullptr ? BACKSTAY_MODEL_DEPTH : static_cast<size_t>(std::atoi(depth));
}

// The codes of complete replies in `output`, each followed by "|".
void AppendCodes(std::string_view output, std::string& codes) {
  while (!output.empty()) {
    if (output[3] == ' ') {
      codes.append(output.substr(0, 3)).append("|");
    }
    output.remove_prefix(output.find("\r\n") + 2);
  }
}

class RealSession {
 public:
  explicit RealSession(const ServerParams& params) : session_(params, intake) {
    intake.rights = {.etrn = true, .xclient = true};
  }

  std::string replies;
  RecordingIntake intake;

  bool closed() const { return session_.wants_close() || is_gone_; }

  void Say(Symbol symbol) {
    is_gone_ |= symbol == Symbol::kGone;
    if (is_gone_) {
      return;
    }
    const std::string_view text = kSymbolText[static_cast<size_t>(symbol)];
    EXPECT_EQ(session_.Consume(AsBytes(text)), text.size());
    if (session_.awaiting_finish()) {
      session_.FinishData(replies::kOk);
    }
    AppendCodes(session_.output(), replies);
    session_.DropOutput(session_.output().size());
    if (session_.wants_tls()) {
      session_.StartedTls();
    }
    if (session_.at_rest()) {  // as the owner of an idle client does
      session_.Rest(memory_);
      session_.Clear();
      session_.Wake(memory_, intake);
    }
  }

 private:
  ServerSession session_;
  SessionMemory memory_;
  bool is_gone_ = false;
};

std::string Describe(const std::vector<Symbol>& symbols) {
  std::string text;
  for (const Symbol symbol : symbols) {
    text += testing::PrintToString(std::string(kSymbolText[static_cast<size_t>(symbol)])) + " ";
  }
  return text;
}

bool Agrees(const ServerParams& params, const std::vector<Symbol>& symbols, bool& closed) {
  SessionModel model(kContentBytesMax);
  RealSession real(params);
  for (const Symbol symbol : symbols) {
    model.Say(symbol);
    real.Say(symbol);
  }
  closed = model.closed();
  if (model.replies == real.replies && model.calls == real.intake.calls &&
      closed == real.closed()) {
    return true;
  }
  ADD_FAILURE() << Describe(symbols) << "\nmodel " << model.replies << " " << model.calls
                << "\nreal  " << real.replies << " " << real.intake.calls;
  return false;
}

// `symbols` and every sequence that goes on with up to `depth` more. Behind an end nothing is heard
// any more: two symbols stand for all.
bool AllAgree(const ServerParams& params, std::vector<Symbol>& symbols, size_t depth) {
  bool closed = false;
  if (!Agrees(params, symbols, closed)) {
    return false;
  }
  bool agree = true;
  for (size_t symbol = 0; symbol < kSymbols && depth > 0 && agree; ++symbol) {
    if (closed && Symbol{static_cast<int>(symbol)} > Symbol::kHelo) {
      break;
    }
    symbols.push_back(Symbol{static_cast<int>(symbol)});
    agree = AllAgree(params, symbols, depth - 1);
    symbols.pop_back();
  }
  return agree;
}

void Enumerate(std::vector<Symbol> prefix) {
  ServerParams params = Dialogue::DefaultParams();
  params.message_bytes_max = kContentBytesMax;
  params.recipients_max = 100;
  params.starttls = true;
  EXPECT_TRUE(AllAgree(params, prefix, Depth()));
}

TEST(ServerSessionModel, AgreesFromTheFirstCommandOn) {
  Enumerate({});
}

TEST(ServerSessionModel, AgreesBehindRcpt) {
  Enumerate({Symbol::kEhlo, Symbol::kMail, Symbol::kRcpt});
}

TEST(ServerSessionModel, AgreesInsideTheData) {
  Enumerate({Symbol::kEhlo, Symbol::kMail, Symbol::kRcpt, Symbol::kData});
}

}  // namespace
}  // namespace backstay
