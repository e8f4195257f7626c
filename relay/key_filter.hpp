// A set of ordering keys in a fixed amount of memory, however many keys there are (a Bloom filter).
// It may take a key for another that is in it, and never the other way round; after clear() with
// another salt it takes others for each other.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace outboxd::relay {

class key_filter {
 public:
  explicit key_filter(std::uint64_t salt = 0) : salt_(salt) {}

  void insert(std::string_view key) {
    if (words_.empty()) words_.resize(bits / 64);
    empty_ = false;
    for (const std::size_t bit : places(key)) words_[bit / 64] |= mask(bit);
  }

  bool may_contain(std::string_view key) const {
    if (empty_) return false;
    for (const std::size_t bit : places(key)) {
      if ((words_[bit / 64] & mask(bit)) == 0) return false;
    }
    return true;
  }

  bool empty() const { return empty_; }

  void clear(std::uint64_t salt) {
    if (!empty_) words_.assign(words_.size(), 0);
    empty_ = true;
    salt_ = salt;
  }

 private:
  // 1 MiB: of 100,000 keys in it, one other in 200,000 is taken for one of them; of a million, one
  // in fifty.
  static constexpr std::size_t bits = 8u << 20;

  static std::uint64_t mask(std::size_t bit) { return std::uint64_t{1} << (bit % 64); }

  // Steele, Lea, Flood: Fast splittable pseudorandom number generators (2014), the mixer.
  static std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }

  // Two hashes stand for four (Kirsch, Mitzenmacher: Less hashing, same performance, 2006).
  std::array<std::size_t, 4> places(std::string_view key) const {
    const std::uint64_t first = mix(std::hash<std::string_view>{}(key) + salt_);
    const std::uint64_t second = mix(first) | 1;
    return {first % bits, (first + second) % bits, (first + 2 * second) % bits,
            (first + 3 * second) % bits};
  }

  std::uint64_t salt_;
  bool empty_ = true;
  std::vector<std::uint64_t> words_;  // allocated with the first key
};

}  // namespace outboxd::relay
