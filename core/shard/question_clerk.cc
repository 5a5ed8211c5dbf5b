// core/shard/question_clerk.cc -- ask the question for a message, read it, ask again.
#include "core/shard/question_clerk.h"

#include "core/base/check.h"

namespace backstay {

QuestionClerk::QuestionClerk(PostOffice& post, size_t shard, Spool& spool, QuestionHome& home)
    : post_(post), shard_(shard), home_(home), reader_(spool, *this) {}

void QuestionClerk::Take(ShardQuestion& question) {
  waiting_.push_back(&question);
  if (is_stopped_) {
    Post(/*is_refused=*/true);
  } else if (waiting_.size() == 1 && !reader_.busy()) {
    Continue();
  }
}

// Until a message must be read or everything is answered. The desk asks a few at a time.
void QuestionClerk::Continue() {
  while (!waiting_.empty()) {
    const std::optional<MessageRef> wanted = waiting_.front()->Next(home_.View());
    if (wanted.has_value()) {
      reading_ = *wanted;
      reader_.Open(reading_);
      return;
    }
    Post(/*is_refused=*/false);
  }
}

void QuestionClerk::OnHead(ReadOutcome outcome) {
  if (is_stopped_) {
    return;
  }
  ASSERT(!waiting_.empty());
  waiting_.front()->OnHead(home_.View(), reading_,
                           outcome == ReadOutcome::kOk ? &reader_.head() : nullptr);
  reader_.Close();
  Continue();
}

void QuestionClerk::OnContent(ReadOutcome, Bytes) {
  UNREACHABLE();  // only heads are read
}

void QuestionClerk::Stop() {
  is_stopped_ = true;
  reader_.Close();
  while (!waiting_.empty()) {
    Post(/*is_refused=*/true);
  }
}

void QuestionClerk::Post(bool is_refused) {
  ShardMessage answer{.kind = ShardMessage::Kind::kAnswered, .question = waiting_.front()};
  answer.is_refused = is_refused;
  waiting_.pop_front();
  post_.Post(shard_, post_.desk(), answer);
}

}  // namespace backstay
