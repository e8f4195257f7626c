#include "service/watchdog.hpp"

#include <pthread.h>

#include <utility>

namespace outboxd::service {

using std::chrono::milliseconds;

watchdog::watchdog(const boost::asio::any_io_executor& executor, watchdog_limits limits,
                   handlers on)
    : limits_(limits), on_(std::move(on)), timer_(executor), loop_(limits.look_every) {}

watchdog::~watchdog() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void watchdog::start() {
  loop_watched_ = true;
  beat();
  thread_ = std::thread([this] { watch(); });
}

void watchdog::rest() {
  resting_ = true;
  timer_.cancel();
  const std::lock_guard lock(mutex_);
  loop_watched_ = false;
}

void watchdog::shut_down_within(milliseconds limit) {
  const std::lock_guard lock(mutex_);
  if (shutdown_ && shutdown_->waited + limit >= shutdown_->limit) return;
  shutdown_ = shutdown{silence(limits_.look_every), limit};
}

void watchdog::beat() {
  if (resting_) return;  // a handler that was queued already is not cancelled
  ++beats_;
  timer_.expires_after(limits_.look_every);
  timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) beat();
  });
}

void watchdog::watch() {
  ::pthread_setname_np(::pthread_self(), "watchdog");
  std::unique_lock lock(mutex_);
  while (!ending_) {
    look(lock);
    changed_.wait_for(lock, limits_.look_every, [this] { return ending_; });
  }
}

// The handlers are called without the lock; they do not come back but in tests.
void watchdog::look(std::unique_lock<std::mutex>& lock) {
  const auto now = silence::clock::now();
  if (loop_watched_) {
    const auto silent = loop_.look(now, beats_.load());
    if (silent >= limits_.loop) {
      loop_watched_ = false;
      lock.unlock();
      on_.loop_hangs(std::chrono::duration_cast<milliseconds>(silent));
      lock.lock();
    }
  }
  if (shutdown_) {
    shutdown_->waited = std::chrono::duration_cast<milliseconds>(shutdown_->waiting.look(now, 0));
    if (shutdown_->waited >= shutdown_->limit) {
      shutdown_.reset();
      lock.unlock();
      on_.shutdown_hangs();
      lock.lock();
    }
  }
}

}  // namespace outboxd::service
