// What the fuzz targets share: taking values from the bytes of the fuzzer, saying what must hold,
// and measuring memory. A target reads its input from the front; an input that is too short reads
// as zeros, so that every input means something and a shorter one means less.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

// The entry of every target; libFuzzer calls it, or run_corpus.cpp.
// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace outboxd::fuzz {

// A broken promise is a crash, which is what a fuzzer looks for.
inline void ensure(bool holds, const char* promise, std::string_view detail = "") {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n%.*s\n", promise, static_cast<int>(detail.size()),
               detail.data());
  std::abort();
}

class input {
 public:
  input(const std::uint8_t* data, std::size_t size)
      : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  std::uint8_t u8() {
    return rest_.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(take(1)[0]);
  }
  std::uint16_t u16() { return static_cast<std::uint16_t>(u8() << 8 | u8()); }
  std::uint64_t u64() {
    std::uint64_t n = 0;
    for (int i = 0; i < 8; ++i) n = n << 8 | u8();
    return n;
  }
  // Fewer where the input ends.
  std::string bytes(std::size_t n) { return std::string(take(std::min(n, rest_.size()))); }
  // Up to a newline, which is taken and left out: what a person can write into a seed.
  std::string line() {
    const std::size_t end = std::min(rest_.find('\n'), rest_.size());
    std::string text(take(end));
    if (!rest_.empty()) take(1);
    return text;
  }
  std::string rest() { return bytes(rest_.size()); }

 private:
  std::string_view take(std::size_t n) {
    const std::string_view piece = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return piece;
  }

  std::string_view rest_;
};

// Everything this process has allocated and not given back.
std::size_t allocated_bytes();

}  // namespace outboxd::fuzz
