// How fast old rows are deleted: in batches, somewhat faster than new ones are confirmed, so that
// the table does not grow and the writing lane is there for marks most of the time; and where
// nothing is confirmed, for a quarter of the time. Pure.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
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
  // Confirms come thousands at once: between two of these lots is not idle.
  static constexpr std::chrono::milliseconds counted_over{1'000};

  void confirmed() { ++confirmed_; }
  void begin(time_point now) { began_ = now; }

  // So many rows were deleted: when to go on.
  time_point ended(std::size_t purged, time_point now) {
    if (now - counted_from_ >= counted_over) {
      const std::int64_t in = std::exchange(confirmed_, 0);
      const duration meanwhile = now - std::exchange(counted_from_, now);
      pause_ = in == 0 ? std::nullopt
                       : std::optional(meanwhile * static_cast<std::int64_t>(batch) * 4 / (in * 5));
    }
    if (purged < batch) return now + when_none_is_old;
    if (!pause_) return std::min(now + 3 * (now - began_) + shortest_pause, now + longest_pause);
    return std::clamp<time_point>(began_ + *pause_, now + shortest_pause, now + longest_pause);
  }

 private:
  std::int64_t confirmed_ = 0;     // since counted_from_
  std::optional<duration> pause_;  // between two batches; none: nothing is confirmed
  time_point began_{}, counted_from_{};
};

}  // namespace outboxd::relay
