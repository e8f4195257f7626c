// Random numbers that are the same for a seed everywhere: the standard's distributions are not.
#pragma once

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace outboxd::chaos {

class luck {
 public:
  // Streams of one seed are independent of each other.
  luck(std::uint64_t seed, std::uint64_t stream) : engine_(seed * 0x9e3779b97f4a7c15u + stream) {}

  std::uint64_t number() { return engine_(); }
  // From first to last, both included.
  std::int64_t between(std::int64_t first, std::int64_t last) {
    return first +
           static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(last - first + 1));
  }
  bool one_in(std::uint64_t n) { return engine_() % n == 0; }

  template <typename T>
  void shuffle(std::vector<T>& all) {
    for (std::size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[engine_() % i]);
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace outboxd::chaos
