// `outboxd status`: what the process that runs here does now, from its own /readyz and /metrics.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "service/one_shot.hpp"
#include "service/samples.hpp"

namespace outboxd::service {

exit_code status(const settings& s, const status_command& c, const streams& to);

// ---- pure ----

// One look at a process.
struct status_look {
  bool ready = false;
  std::string checks;  // /readyz?verbose
  samples metrics;
};

// With the look before this one, and the time between them, also rates a second.
struct earlier_look {
  samples metrics;
  std::chrono::duration<double> ago{};
};

std::string render(const status_look& now, const std::optional<earlier_look>& before,
                   output_format format);

}  // namespace outboxd::service
