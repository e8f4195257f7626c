// The page at /: one self-contained HTML document. Pure.
#pragma once

#include <chrono>
#include <string>

#include "relay/relay.hpp"

namespace outboxd::service {

// What the process knows about itself at one moment.
struct process_view {
  relay::status relay;
  bool started = false;  // settings read, listener open, migrations tried where they were asked for
  std::string instance;
  std::chrono::seconds uptime{0};
};

std::string status_page(const process_view& now);

// The value of Content-Security-Policy: nothing but the style sheet inside the page.
std::string status_page_policy();

}  // namespace outboxd::service
