// core/base/spares.h -- objects that are needed now and then, kept for the next who needs one.
//
// What idle connections do not own is borrowed from here while it is needed, so that a busy shard
// does not allocate and a million idle ones cost nothing.
//
// Owns: kSpares objects at most; what comes back beyond them is destroyed.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace backstay {

template <typename T, size_t kSpares>
class Spares {
 public:
  Spares() { kept_.reserve(kSpares); }
  Spares(const Spares&) = delete;
  Spares& operator=(const Spares&) = delete;

  // The one that came back last, whose memory is warm; null: there is none.
  std::unique_ptr<T> Take() {
    if (kept_.empty()) {
      return nullptr;
    }
    std::unique_ptr<T> taken = std::move(kept_.back());
    kept_.pop_back();
    return taken;
  }
  void GiveBack(std::unique_ptr<T> object) {
    if (kept_.size() < kSpares) {
      kept_.push_back(std::move(object));
    }
  }
  size_t size() const { return kept_.size(); }

 private:
  std::vector<std::unique_ptr<T>> kept_;
};

}  // namespace backstay
