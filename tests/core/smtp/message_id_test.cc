// tests/core/smtp/message_id_test.cc -- one field, wherever it is cut.
#include "core/smtp/message_id.h"

#include <gtest/gtest.h>

#include <string>

namespace backstay {
namespace {

std::string Read(const std::string& content, size_t cut) {
  MessageIdReader reader;
  reader.Start();
  reader.Consume(AsBytes(content).first(cut));
  reader.Consume(AsBytes(content).subspan(cut));
  return std::string(reader.value());
}

TEST(MessageIdReader, FindsTheFirstFieldAtAnyCut) {
  const struct {
    const char* content;
    const char* value;
  } rows[] = {
      {"Message-ID: <1@x>\r\nSubject: s\r\n\r\nbody", "<1@x>"},
      {"Subject: s\r\nmessage-id :\r\n <2@x>\r\nTo: y\r\n\r\n", "<2@x>"},
      {"Message-Id: <3@x>\r\nMessage-ID: <4@x>\r\n\r\n", "<3@x>"},
      {"Subject: a\r\n Message-ID: <5@x>\r\n\r\n", ""},
      {"Subject: a\r\n\r\nMessage-ID: <6@x>\r\n", ""},
      {"Message-IDs: <7@x>\r\nMessage: y\r\n\r\n", ""},
      {"X-Message-ID: <8@x>\r\n\r\n", ""},
      {"m\r\nMessage-ID:<9@x>", "<9@x>"},
      {"Message-ID: <a\x01\xff@x>\r\n", "<a@x>"},
      {"", ""},
  };
  for (const auto& row : rows) {
    const std::string content = row.content;
    for (size_t cut = 0; cut <= content.size(); ++cut) {
      EXPECT_EQ(Read(content, cut), row.value) << content << " cut at " << cut;
    }
  }
}

TEST(MessageIdReader, ALongOneIsCut) {
  const std::string content = "Message-ID: <" + std::string(1000, 'x') + ">\r\n\r\n";
  EXPECT_EQ(Read(content, 0).size(), MessageIdReader::kBytesMax);
}

TEST(MessageIdReader, IsNewForEachMessage) {
  MessageIdReader reader;
  reader.Start();
  reader.Consume(AsBytes(std::string_view("Message-ID: <1@x>\r\n\r\n")));
  reader.Start();
  reader.Consume(AsBytes(std::string_view("Subject: s\r\n\r\n")));
  EXPECT_EQ(reader.value(), "");
}

}  // namespace
}  // namespace backstay
