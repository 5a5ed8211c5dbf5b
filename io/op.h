// io/op.h -- one request in flight: embedded in its owner, never allocated.
//
// Owns:     nothing. The owner may neither die nor reuse the op while `in_flight` is true.
// Turn:     `run` is called from Io::Turn only, never inside the verb that started the op.
#pragma once

#include "core/base/check.h"
#include "io/io_result.h"

namespace backstay {

struct Op {
  using Run = void (*)(Op*, const IoResult&);
  explicit Op(Run on_event) : run(on_event) {}
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;
  ~Op() { ASSERT(!in_flight); }

  const Run run;
  // Set by the verb; cleared before the last completion (the one without more()) runs, so that the
  // completion may start the op again.
  bool in_flight = false;
  // The back end's own: 0 when idle.
  uint32_t backend_slot = 0;
};

// Completion<&Inbound::OnSent> sent_{this}; -- an op whose completion is a method of its owner.
template <auto Method>
class Completion;

template <typename Owner, void (Owner::*Method)(const IoResult&)>
class Completion<Method> : public Op {
 public:
  explicit Completion(Owner* owner) : Op(&Invoke), owner_(owner) {}

 private:
  static void Invoke(Op* op, const IoResult& result) {
    (static_cast<Completion*>(op)->owner_->*Method)(result);
  }
  Owner* const owner_;
};

}  // namespace backstay
