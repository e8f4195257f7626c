// How large and how long the tests are that take a fault for a while. OUTBOXD_TEST_SCALE=full makes
// a fault last a minute or more and lets hundreds of thousands of rows wait; otherwise, seconds and
// what a developer has time for. The meaning is the same.
#pragma once

#include <cstdlib>
#include <string_view>

namespace outboxd::tests {

inline bool full_scale() {
  const char* asked = std::getenv("OUTBOXD_TEST_SCALE");
  return asked != nullptr && std::string_view(asked) == "full";
}

// A sanitizer multiplies time and memory; what it looks for shows with fewer rows, and a bound on
// memory says nothing.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

template <typename T>
T scaled(T usual, T full) {
  return full_scale() ? full : usual;
}

inline int scaled_rows(int usual, int full) {
  return sanitized ? usual / 10 : scaled(usual, full);
}

}  // namespace outboxd::tests
