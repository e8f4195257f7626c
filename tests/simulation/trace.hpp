// What a simulation does, line by line, for whoever looks into a failing seed (OUTBOXD_TRACE=1).
#pragma once

#include <iostream>

#include "tests/simulation/clock.hpp"

namespace outboxd::simulation {

inline bool tracing = false;

template <typename... Words>
void trace(const clock& c, const Words&... words) {
  if (!tracing) return;
  std::cerr
      << std::chrono::duration_cast<std::chrono::milliseconds>(c.now - time_point(1h)).count();
  ((std::cerr << ' ' << words), ...);
  std::cerr << '\n';
}

}  // namespace outboxd::simulation
