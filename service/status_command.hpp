// `outboxd status`: what the process that runs here does now, from its own /status.json.
#pragma once

#include <boost/json/object.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "service/one_shot.hpp"
#include "service/samples.hpp"

namespace outboxd::service {

exit_code status(const settings& s, const status_command& c, const streams& to);

// ---- pure ----

// One look at a process.
struct status_look {
  boost::json::object said;  // /status.json
  bool ready = false;
  std::string checks;        // a line each
  std::string dead_reasons;  // "nacked 3, too_large 14"
  samples metrics;
};

base::result<status_look> read_status(const std::string& said);

// With the look before this one, and the time between them, also rates a second.
struct earlier_look {
  samples metrics;
  std::chrono::duration<double> ago{};
};

// Of --watch: what the rates of the next look count from.
class last_look {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  // The one before this; none: nobody answered then.
  std::optional<earlier_look> replace(const samples& now, time_point at);
  void forget() { last_.reset(); }

 private:
  std::optional<std::pair<samples, time_point>> last_;
};

std::string render(const status_look& now, const std::optional<earlier_look>& before,
                   output_format format);

}  // namespace outboxd::service
