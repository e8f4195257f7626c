// A clock that stands still while the broker is blocked: what is measured with it does not age
// then. Pure; given the real time at each call.
#pragma once

#include <chrono>
#include <optional>

namespace outboxd::relay::amqp {

class pausable_clock {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  time_point at(time_point real) const { return (paused_at_ ? *paused_at_ : real) - stood_still_; }

  void pause(time_point real) {
    if (!paused_at_) paused_at_ = real;
  }

  // Answers how long it stood still this time.
  duration resume(time_point real) {
    if (!paused_at_) return duration::zero();
    const duration pause = real - *paused_at_;
    stood_still_ += pause;
    paused_at_.reset();
    return pause;
  }

 private:
  std::optional<time_point> paused_at_;
  duration stood_still_{0};
};

}  // namespace outboxd::relay::amqp
