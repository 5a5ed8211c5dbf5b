// io/wait.h -- one operation, waited for: at start and in tools, where nothing else is to be done.
//
// Life:  pass op() to a verb, then ask Result(). Others of the same Io complete meanwhile.
#pragma once

#include "io/io.h"

namespace backstay {

class Wait {
 public:
  explicit Wait(Io& io) : io_(io) {}
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;

  Op* op() { return &op_; }
  IoResult Result() {
    while (op_.in_flight) {
      io_.Turn(Instant::Max());
    }
    return result_;
  }

 private:
  void OnDone(const IoResult& result) { result_ = result; }

  Io& io_;
  IoResult result_;
  Completion<&Wait::OnDone> op_{this};
};

}  // namespace backstay
