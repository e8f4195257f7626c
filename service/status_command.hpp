// `outboxd status`: what the process that runs here does now, from its own /readyz and /metrics.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "service/one_shot.hpp"

namespace outboxd::service {

exit_code status(const settings& s, const status_command& c, const streams& to);

// ---- pure ----

// Samples by what stands before the value: outbox_messages_failed_total{reason="returned"}.
using samples = std::map<std::string, double>;
samples parse_metrics(std::string_view text);

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
