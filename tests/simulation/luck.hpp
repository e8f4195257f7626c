// All chance of a simulation: one seed decides everything, on every platform.
#pragma once

#include <cstddef>
#include <cstdint>

namespace outboxd::simulation {

class luck {
 public:
  explicit luck(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}

  // Inclusive bounds.
  int any(int from, int to) {
    return from + static_cast<int>(next() % static_cast<std::uint64_t>(to - from + 1));
  }
  std::size_t index(std::size_t size) { return static_cast<std::size_t>(next() % size); }
  bool per_cent(int n) { return any(0, 99) < n; }
  bool per_mille(int n) { return any(0, 999) < n; }
  // [0, 1)
  double fraction() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

 private:
  // splitmix64
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  std::uint64_t state_;
};

}  // namespace outboxd::simulation
