// When to try again, and how often to say that it failed. Pure: time and luck are arguments.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <utility>

namespace outboxd::relay::amqp {

// Exponential back-off with full jitter above a small floor: a fleet that lost its broker in the
// same moment must not come back in the same moment.
class backoff {
 public:
  backoff(std::chrono::milliseconds min, std::chrono::milliseconds max)
      : min_(min), max_(std::max(min, max)), limit_(min) {}

  // u in [0,1).
  std::chrono::milliseconds next(double u) {
    const auto wait =
        std::chrono::duration_cast<std::chrono::milliseconds>(limit_ * 0.25 + limit_ * 0.75 * u);
    limit_ = std::min(max_, limit_ * 2);
    return wait;
  }

  void reset() { limit_ = min_; }

 private:
  std::chrono::milliseconds min_, max_, limit_;
};

// The first of a series is told, then at most one each interval, with the number that was left out.
class throttle {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  explicit throttle(std::chrono::milliseconds interval) : interval_(interval) {}

  // Nothing: keep quiet. Otherwise the number kept quiet since the last time.
  std::optional<std::size_t> admit(time_point now) {
    if (told_at_ && now - *told_at_ < interval_) {
      ++left_out_;
      return std::nullopt;
    }
    told_at_ = now;
    return std::exchange(left_out_, 0);
  }

  // The series has ended: the next is the first of another.
  void reset() {
    told_at_.reset();
    left_out_ = 0;
  }

 private:
  std::chrono::milliseconds interval_;
  std::optional<time_point> told_at_;
  std::size_t left_out_ = 0;
};

}  // namespace outboxd::relay::amqp
