// What /readyz says, from a snapshot. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "service/process_view.hpp"

namespace outboxd::service {

struct readiness_check {
  std::string_view name;
  bool ok = true;
  std::string detail;  // why not, or what it does instead
};

// database, schema, lead, broker, blocked, quarantine, unconfirmed, held, paused, draining: always
// all of them, in this order. A healthy stand-by is ready: it would take over. Rows that fail do
// not make an instance unready, whatever waits for them: another one could not send them either.
std::vector<readiness_check> readiness(const process_view& now);

// For `systemctl status`: what is wrong first, else what it does.
std::string in_one_line(const process_view& now);

bool is_ready(const std::vector<readiness_check>& checks);

// All of them, one a line whatever texts come from outside, and whether it is ready.
std::string in_lines(const std::vector<readiness_check>& checks);

}  // namespace outboxd::service
