// tests/fuzz/smtp/data_reader_fuzz.cc -- a clean stream decodes the same however cut, and is clean.
//
// Input: one byte of options, four cut lengths, then the data.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/smtp/data_reader.h"
#include "tests/fuzz/smtp/fuzz_input.h"

namespace backstay {
namespace {

struct Decoded {
  std::string content;
  size_t taken = 0;
  bool done = false;
  bool has_dot_lines = false;
  DataReader::Fault fault = DataReader::Fault::kNone;
};

Decoded Decode(Bytes bytes, DataReader::Mode mode, Cuts cuts) {
  DataReader reader;
  reader.Start(mode);
  Decoded decoded;
  while (!bytes.empty() && !reader.done()) {
    const std::vector<uint8_t> piece = Alone(bytes.first(std::min(cuts.Next(), bytes.size())));
    const size_t taken = reader.Consume(piece, [&decoded](Bytes content) {
      ASSERT(!content.empty());
      decoded.content.append(AsText(content));
    });
    ASSERT(reader.done() || taken == piece.size());
    decoded.taken += taken;
    bytes = bytes.subspan(taken);
  }
  decoded.done = reader.done();
  decoded.has_dot_lines = reader.has_dot_lines();
  decoded.fault = reader.fault();
  return decoded;
}

void CheckClean(const Decoded& decoded) {
  const std::string& content = decoded.content;
  for (size_t i = 0; i < content.size(); ++i) {
    ASSERT(content[i] != '\0');
    ASSERT(content[i] != '\n' || (i > 0 && content[i - 1] == '\r'));
    ASSERT(content[i] != '\r' || (i + 1 < content.size() && content[i + 1] == '\n'));
  }
  ASSERT(content.empty() || content.ends_with("\r\n"));
  const bool dots = content.starts_with('.') || content.find("\r\n.") != std::string::npos;
  ASSERT(dots == decoded.has_dot_lines);
}

void Check(Bytes input) {
  constexpr size_t kCuts = 4;
  if (input.size() < 1 + kCuts) {
    return;
  }
  const DataReader::Mode mode =
      (input[0] & 1) != 0 ? DataReader::Mode::kNormalize : DataReader::Mode::kReject;
  const Bytes wire = input.subspan(1 + kCuts);
  const Decoded whole = Decode(wire, mode, Cuts({}));
  const Decoded cut = Decode(wire, mode, Cuts(input.subspan(1, kCuts)));
  ASSERT(whole.content == cut.content);
  ASSERT(whole.taken == cut.taken);
  ASSERT(whole.done == cut.done);
  ASSERT(whole.fault == cut.fault);
  const std::string framed = "\r\n" + std::string(AsText(wire));
  const size_t end = framed.find("\r\n.\r\n");
  ASSERT(whole.done == (end != std::string::npos));
  ASSERT(!whole.done || whole.taken == end + 3);
  if (whole.done && whole.fault == DataReader::Fault::kNone) {
    ASSERT(whole.has_dot_lines == cut.has_dot_lines);
    CheckClean(whole);
  }
}

}  // namespace
}  // namespace backstay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  backstay::Check({data, size});
  return 0;
}
