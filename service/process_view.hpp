// What the process knows about itself at one moment: for health, metrics and the status page.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "outbox/db_call.hpp"
#include "relay/relay.hpp"

namespace outboxd::service {

struct process_view {
  relay::status relay;
  bool started = false;  // settings read, listener open, migrations tried where they were asked for
  std::string instance;
  std::chrono::seconds uptime{0};
  std::vector<outbox::db_call> database_calls;  // what the lanes do now
};

}  // namespace outboxd::service
