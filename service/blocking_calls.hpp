// Runs calls that block, one after another, on a thread of its own, which is made for the first of
// them. submit() and stop() on the executor. A call that is abandoned is cut off as soon as it has
// said how (waits_for), and not begun at all if it has not begun. stop() is idempotent and abandons
// all; the destructor waits for the thread, which a connect may hold for connect_timeout.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

namespace outboxd::service {

// Any thread may call.
class blocking_call {
 public:
  // What the call waits for from now on; cut off at once when it was abandoned before.
  void waits_for(std::function<void()> cut_off);
  void abandon();
  bool abandoned() const;

 private:
  mutable std::mutex mutex_;
  bool abandoned_ = false;
  std::function<void()> cut_off_;
};

class blocking_calls {
 public:
  explicit blocking_calls(boost::asio::any_io_executor executor, std::size_t capacity = 16);
  ~blocking_calls();

  // work: on the thread, unless abandoned by then. done: on the executor, once, also when
  // abandoned. Nothing when too many wait already, or after stop(): then neither is called.
  std::shared_ptr<blocking_call> submit(std::function<void(blocking_call&)> work,
                                        std::function<void()> done);
  void stop();

 private:
  boost::asio::any_io_executor executor_;
  std::size_t capacity_;
  bool stopping_ = false;
  std::set<std::shared_ptr<blocking_call>> calls_;
  std::optional<boost::asio::thread_pool> thread_;
};

}  // namespace outboxd::service
