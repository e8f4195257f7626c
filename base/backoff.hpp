// Exponential back-off with jitter. Pure: luck is an argument.
#pragma once

#include <algorithm>
#include <chrono>

namespace outboxd::base {

class backoff {
 public:
  using duration = std::chrono::milliseconds;

  backoff(duration min, duration max) : min_(min), max_(max), next_(min) {}

  // u in [0,1): the answer lies between half the current step and the whole of it; the step doubles
  // up to max. Never below min/2.
  duration next(double u) {
    const auto step = next_;
    next_ = std::min(max_, next_ * 2);
    return duration(static_cast<duration::rep>(static_cast<double>(step.count()) * (0.5 + u / 2)));
  }

  void reset() { next_ = min_; }

 private:
  duration min_;
  duration max_;
  duration next_;
};

}  // namespace outboxd::base
