// What the process answers (sysexits.h); part of the contract, see docs/reference/cli.md.
#pragma once

#include <span>
#include <string_view>

namespace outboxd::service {

enum class exit_code {
  done = 0,       // or drained cleanly
  unhealthy = 1,  // healthcheck, status; dead show: no such row
  usage = 64,
  unavailable = 69,  // one-shot verbs: a dependency is away
  bug = 70,
  unconfirmed = 75,  // shutdown timed out with unconfirmed messages
  stopped = 75,      // replay, purge: a signal came before the end
  forbidden = 77,    // a grant is missing
  configuration = 78,
};

struct exit_meaning {
  exit_code code;
  std::string_view sentence;  // `…` is code
};

// For the manual; docs/reference/cli.md says the same, and a test compares them.
std::span<const exit_meaning> exit_meanings();

}  // namespace outboxd::service
