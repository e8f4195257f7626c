// Measures how long nothing has moved, as seen by somebody who looks at regular intervals. Time in
// which the looker itself was stopped (SIGSTOP, a paused machine) does not count. Pure.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace outboxd::service {

class silence {
 public:
  using clock = std::chrono::steady_clock;

  explicit silence(clock::duration look_every) : longest_gap_(2 * look_every) {}

  // moves: how often it has moved so far. Answers for how long it has not.
  clock::duration look(clock::time_point now, std::uint64_t moves) {
    if (!looked_at_ || moves != moves_) {
      total_ = {};
    } else {
      total_ += std::min(now - *looked_at_, longest_gap_);
    }
    looked_at_ = now;
    moves_ = moves;
    return total_;
  }

 private:
  clock::duration longest_gap_;
  std::optional<clock::time_point> looked_at_;
  std::uint64_t moves_ = 0;
  clock::duration total_{};
};

}  // namespace outboxd::service
