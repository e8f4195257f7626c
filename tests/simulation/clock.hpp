// The simulation's time. The database has a clock of its own, which agrees with ours but counts
// from elsewhere.
#pragma once

#include <chrono>

#include "relay/row.hpp"

namespace outboxd::simulation {

using namespace std::chrono_literals;
using relay::time_point;

struct clock {
  time_point now{1h};

  std::chrono::microseconds database() const {
    return std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()) +
           1'700'000'000s;
  }
};

}  // namespace outboxd::simulation
