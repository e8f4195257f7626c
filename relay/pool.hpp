// Objects that come and go with every message: taken again and again instead of allocated and
// freed. An object keeps its address for as long as the pool lives, and is as new when it is taken.
#pragma once

#include <deque>
#include <memory>
#include <vector>

namespace outboxd::relay {

template <typename T>
class pool {
 public:
  T& take() {
    if (spare_.empty()) return all_.emplace_back();
    T& taken = *spare_.back();
    spare_.pop_back();
    return taken;
  }

  void give_back(T& t) {
    std::destroy_at(&t);
    std::construct_at(&t);
    spare_.push_back(&t);
  }

 private:
  std::deque<T> all_;
  std::vector<T*> spare_;  // the last one is the one that the processor's caches know best
};

}  // namespace outboxd::relay
