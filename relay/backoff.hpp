// How long a failed row waits: doubling from min to max, then spread over the upper half so that
// rows that failed together do not come back together. Pure: luck is an argument.
#pragma once

#include <algorithm>
#include <chrono>

namespace outboxd::relay {

struct backoff {
  std::chrono::milliseconds min;
  std::chrono::milliseconds max;

  // attempts: failures so far, this one included (1 for the first). luck in [0, 1).
  std::chrono::milliseconds after(int attempts, double luck) const {
    const int doublings = std::clamp(attempts - 1, 0, 30);
    const auto longest = std::min(max, std::chrono::milliseconds(min.count() << doublings));
    return std::chrono::milliseconds(static_cast<std::chrono::milliseconds::rep>(
        static_cast<double>(longest.count()) * (0.5 + 0.5 * luck)));
  }
};

}  // namespace outboxd::relay
