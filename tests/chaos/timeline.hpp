// The clock of a run, and the end of it. The wall clock, because the database is told times of it.
// Any thread may call.
#pragma once

#include "tests/chaos/facts.hpp"

#include <condition_variable>
#include <mutex>

namespace outboxd::chaos {

class timeline {
 public:
  moment now() const { return of(std::chrono::system_clock::now()); }
  moment of(std::chrono::system_clock::time_point t) const {
    return std::chrono::duration_cast<moment>(t - start_);
  }
  std::chrono::system_clock::time_point start() const { return start_; }

  void end() {
    const std::lock_guard lock(mutex_);
    over_ = true;
    changed_.notify_all();
  }
  bool over() const {
    const std::lock_guard lock(mutex_);
    return over_;
  }
  // False when the end comes first.
  bool pause(std::chrono::milliseconds t) const {
    std::unique_lock lock(mutex_);
    return !changed_.wait_for(lock, t, [this] { return over_; });
  }
  bool pause_until(moment t) const { return pause(std::max(moment{0}, t - now())); }

 private:
  const std::chrono::system_clock::time_point start_ = std::chrono::system_clock::now();
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool over_ = false;
};

}  // namespace outboxd::chaos
