// SIGTERM and SIGINT: the first asks for a drain, the second for the end. Runs on the executor;
// close() is idempotent and lets io_context::run() return.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/signal_set.hpp>

#include <functional>
#include <string_view>

namespace outboxd::service {

class lifecycle {
 public:
  struct handlers {
    std::function<void(std::string_view signal)> drain;
    std::function<void(std::string_view signal)> hurry;  // every signal after the first
  };

  lifecycle(const boost::asio::any_io_executor& executor, handlers on);

  void start();
  void close();

 private:
  void wait();

  boost::asio::signal_set signals_;
  handlers on_;
  bool draining_ = false;
};

}  // namespace outboxd::service
