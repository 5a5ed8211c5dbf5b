// core/base/list.h -- intrusive doubly linked list: no allocation, O(1) removal.
//
// Owns: nothing. An element derives from ListNode, is in at most one list, and unlinks itself when
//       it dies, so an owner may go at any time.
#pragma once

#include <cstddef>

#include "core/base/check.h"

namespace backstay {

class ListNode {
 public:
  ListNode() = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { Unlink(); }

  bool linked() const { return next_ != nullptr; }
  void Unlink() {
    if (next_ == nullptr) {
      return;
    }
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = nullptr;
    previous_ = nullptr;
  }

 private:
  template <typename T>
  friend class List;
  ListNode* next_ = nullptr;
  ListNode* previous_ = nullptr;
};

// T derives from ListNode. The list itself may not move.
template <typename T>
class List {
 public:
  List() {
    head_.next_ = &head_;
    head_.previous_ = &head_;
  }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  ~List() {
    while (!empty()) {
      PopFront();
    }
    head_.next_ = nullptr;  // so that the head's own destructor has nothing to unlink
  }

  bool empty() const { return head_.next_ == &head_; }
  T* front() { return empty() ? nullptr : static_cast<T*>(head_.next_); }
  // The element behind `element`, or null at the end.
  T* Next(T* element) {
    ListNode* next = static_cast<ListNode*>(element)->next_;
    return next == &head_ ? nullptr : static_cast<T*>(next);
  }
  void PushBack(T* element) {
    ListNode* node = element;
    ASSERT(!node->linked());
    node->previous_ = head_.previous_;
    node->next_ = &head_;
    head_.previous_->next_ = node;
    head_.previous_ = node;
  }
  T* PopFront() {
    T* element = front();
    if (element != nullptr) {
      element->Unlink();
    }
    return element;
  }
  // Moves every element of `other` to the end of this list, in order.
  void TakeAll(List& other) {
    while (T* element = other.PopFront()) {
      PushBack(element);
    }
  }

 private:
  ListNode head_;
};

}  // namespace backstay
