// What is said of a destination that is held, to the log and to operators.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "outbox/store.hpp"
#include "relay/row.hpp"

namespace outboxd::relay {

struct hold_info {
  outbox::destination where;
  std::string reason;  // "returned: 312 NO_ROUTE"
  time_point since{};
  time_point next_probe{};
  int probes = 0;  // that failed
  bool probing = false;
  bool paused = false;  // by an operator: there are no probes
};

struct hold_event {
  bool began = false;  // else it has ended
  hold_info what;
};

}  // namespace outboxd::relay
