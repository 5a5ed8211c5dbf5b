// core/shard/question_clerk.h -- answers what other threads ask this shard, one after the other.
//
// Owns:  one reader: one message at a time.
// Turn:  Take() may answer at once; what must be read is answered from Io::Turn.
// See:   core/shard/question.h.
#pragma once

#include <deque>

#include "core/shard/inbox.h"
#include "core/shard/question.h"
#include "spool/message_reader.h"

namespace backstay {

class QuestionHome {
 public:
  virtual ShardView View() = 0;

 protected:
  ~QuestionHome() = default;
};

class QuestionClerk : private MessageReaderEvents {
 public:
  QuestionClerk(PostOffice& post, size_t shard, Spool& spool, QuestionHome& home);

  void Take(ShardQuestion& question);
  // Refuses what waits, and what comes.
  void Stop();
  bool idle() const { return !reader_.busy(); }

 private:
  void OnHead(ReadOutcome outcome) override;
  void OnContent(ReadOutcome outcome, Bytes content) override;
  void Continue();
  void Post(bool is_refused);

  PostOffice& post_;
  const size_t shard_;
  QuestionHome& home_;
  MessageReader reader_;
  std::deque<ShardQuestion*> waiting_;  // the first is being answered
  MessageRef reading_;
  bool is_stopped_ = false;
};

}  // namespace backstay
