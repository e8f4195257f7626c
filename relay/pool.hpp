// Objects that come and go with every message, kept for the next one instead of freed. What is
// taken is as new. Under the address sanitizer none is kept, so that it finds a use after the end.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace outboxd::relay {

template <typename T>
class pool {
 public:
  std::unique_ptr<T> take() {
    if (spare_.empty()) return std::make_unique<T>();
    std::unique_ptr<T> taken = std::move(spare_.back());
    spare_.pop_back();
    return taken;
  }

  void give_back(std::unique_ptr<T> t) {
    if (spare_.size() >= spare_at_most) return;
    std::destroy_at(t.get());
    std::construct_at(t.get());
    spare_.push_back(std::move(t));
  }

 private:
#ifdef __SANITIZE_ADDRESS__
  static constexpr std::size_t spare_at_most = 0;
#else
  static constexpr std::size_t spare_at_most = 8'192;
#endif

  std::vector<std::unique_ptr<T>> spare_;
};

}  // namespace outboxd::relay
