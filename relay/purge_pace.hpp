// How fast old rows are deleted: in batches, somewhat faster than new ones are confirmed, so that
// the table does not grow and the writing lane is there for marks most of the time; and where
// nothing is confirmed, for a quarter of the time. Pure.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace outboxd::relay {

class purge_pace {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  static constexpr std::size_t batch = 1'000;                  // rows of one statement
  static constexpr std::chrono::seconds when_none_is_old{10};  // then the next look
  static constexpr std::chrono::seconds longest_pause{1};      // between two full batches
  static constexpr std::chrono::milliseconds shortest_pause{5};

  void confirmed() { ++confirmed_; }
  void begin(time_point now) { began_ = now; }

  // So many rows were deleted: when to go on.
  time_point ended(std::size_t purged, time_point now) {
    const std::int64_t in = std::exchange(confirmed_, 0);
    const duration meanwhile = now - std::exchange(counted_from_, now);
    if (purged < batch) return now + when_none_is_old;
    if (in == 0) return std::min(now + 3 * (now - began_) + shortest_pause, now + longest_pause);
    const duration period = meanwhile * static_cast<std::int64_t>(batch) * 4 / (in * 5);
    return std::clamp<time_point>(began_ + period, now + shortest_pause, now + longest_pause);
  }

 private:
  std::int64_t confirmed_ = 0;  // since the last batch
  time_point began_{}, counted_from_{};
};

}  // namespace outboxd::relay
