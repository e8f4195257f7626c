// Notices, from a thread of its own, that the io thread hangs or that the shutdown does not end,
// and says so; its owner then ends the process, because whatever hangs cannot be ended otherwise.
// Never looks at dependencies. Made and called on the io thread; its events come from its own
// thread. Runs from start() to the destructor; rest() lets io_context::run() return, and ends the
// watch over the loop, not over the shutdown.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "service/silence.hpp"

namespace outboxd::service {

struct watchdog_limits {
  // Far above what any handler takes; by then the lead is lost anyway (ten seconds without a ping).
  std::chrono::milliseconds loop{30'000};
  std::chrono::milliseconds look_every{1'000};
};

class watchdog {
 public:
  struct handlers {
    std::function<void(std::chrono::milliseconds silent)> loop_hangs;
    std::function<void()> shutdown_hangs;
  };

  watchdog(const boost::asio::any_io_executor& executor, watchdog_limits limits, handlers on);
  ~watchdog();
  watchdog(const watchdog&) = delete;
  watchdog& operator=(const watchdog&) = delete;

  void start();
  void rest();

  // The process should be gone after `limit`. A later call counts if it is the shorter one.
  void shut_down_within(std::chrono::milliseconds limit);

 private:
  void beat();
  void watch();
  void look(std::unique_lock<std::mutex>& lock);

  struct shutdown {
    silence waiting;
    std::chrono::milliseconds limit;
    std::chrono::milliseconds waited{0};
  };

  const watchdog_limits limits_;
  const handlers on_;
  boost::asio::steady_timer timer_;  // the io thread alone, as the next
  bool resting_ = false;
  std::atomic<std::uint64_t> beats_{0};

  std::mutex mutex_;  // guards the rest
  std::condition_variable changed_;
  bool loop_watched_ = false;
  bool ending_ = false;
  silence loop_;
  std::optional<shutdown> shutdown_;

  std::thread thread_;
};

}  // namespace outboxd::service
