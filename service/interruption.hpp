// SIGINT, SIGTERM and SIGHUP for a verb that works in steps: it ends between two of them. SIGINT or
// SIGTERM after any of them ends the process at once; a terminal that is gone may say so twice (the
// kernel does, and the shell). One object at a time; waits on the thread that asks.
#pragma once

#include <signal.h>

#include <array>
#include <chrono>

namespace outboxd::service {

class interruption {
 public:
  interruption();
  ~interruption();
  interruption(const interruption&) = delete;
  interruption& operator=(const interruption&) = delete;

  bool came() const;
  // True: a signal came, maybe earlier.
  bool came_until(std::chrono::steady_clock::time_point limit) const;

 private:
  std::array<struct sigaction, 3> before_{};
};

}  // namespace outboxd::service
