// Bodies and what is remembered of them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace outboxd::chaos {

inline std::uint64_t hash_of(std::string_view body) {
  return std::hash<std::string_view>()(body);
}

inline std::string hex(std::string_view bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}

}  // namespace outboxd::chaos
