// tests/core/smtp/session_model_test.cc -- every sequence of commands, against the model.
//
// Depth 4 from a fresh connection, from behind RCPT and from inside the data.
// BACKSTAY_MODEL_DEPTH=5 goes one deeper (5.7 million sequences).
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
  return depth == nullptr ? 4 : static_cast<size_t>(std::atoi(depth));
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
  explicit RealSession(const ServerParams& params) : session_(params, intake) {}

  std::string replies;
  RecordingIntake intake;

  void Say(Symbol symbol) {
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
  }

 private:
  ServerSession session_;
};

std::string Describe(const std::vector<Symbol>& symbols) {
  std::string text;
  for (const Symbol symbol : symbols) {
    text += testing::PrintToString(std::string(kSymbolText[static_cast<size_t>(symbol)])) + " ";
  }
  return text;
}

bool Agrees(const ServerParams& params, const std::vector<Symbol>& symbols) {
  SessionModel model(kContentBytesMax);
  RealSession real(params);
  for (const Symbol symbol : symbols) {
    model.Say(symbol);
    real.Say(symbol);
  }
  if (model.replies == real.replies && model.calls == real.intake.calls) {
    return true;
  }
  ADD_FAILURE() << Describe(symbols) << "\nmodel " << model.replies << " " << model.calls
                << "\nreal  " << real.replies << " " << real.intake.calls;
  return false;
}

// All sequences of Depth() symbols behind `prefix`; shorter ones are their beginnings.
void Enumerate(const std::vector<Symbol>& prefix) {
  ServerParams params = Dialogue::DefaultParams();
  params.message_bytes_max = kContentBytesMax;
  params.recipients_max = 100;
  params.starttls = true;
  std::vector<Symbol> symbols = prefix;
  symbols.resize(prefix.size() + Depth(), Symbol{0});
  while (true) {
    if (!Agrees(params, symbols)) {
      return;
    }
    size_t place = symbols.size();
    while (place > prefix.size() && symbols[place - 1] == Symbol{kSymbols - 1}) {
      symbols[--place] = Symbol{0};
    }
    if (place == prefix.size()) {
      return;
    }
    symbols[place - 1] = static_cast<Symbol>(static_cast<int>(symbols[place - 1]) + 1);
  }
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
