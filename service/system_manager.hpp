// What systemd is told, where it started the process (Type=notify, sd_notify(3)): that it is up,
// what it does, that its io thread turns (WatchdogSec), that it ends. Elsewhere nothing is said.
// Runs on the executor.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <string>
#include <string_view>

namespace outboxd::service {

class system_manager {
 public:
  explicit system_manager(const boost::asio::any_io_executor& executor);

  bool listens() const { return listens_; }
  void started();
  // For `systemctl status`; sent when it differs from the last one, and on one line whatever it
  // has: a line of its own would be an order of its own.
  void says(std::string_view what);
  void stopping();
  // Nothing more is said: lets io_context::run() return.
  void close();

 private:
  void beat();

  boost::asio::steady_timer timer_;
  std::chrono::microseconds interval_{0};  // between two signs of life; 0: none are wanted
  const bool listens_;
  std::string status_;
  bool closed_ = false;
};

}  // namespace outboxd::service
