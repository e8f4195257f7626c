#include "service/lifecycle.hpp"

#include <csignal>
#include <utility>

namespace outboxd::service {

lifecycle::lifecycle(const boost::asio::any_io_executor& executor, handlers on)
    : signals_(executor), on_(std::move(on)) {}

void lifecycle::start() {
  signals_.add(SIGTERM);
  signals_.add(SIGINT);
  // A reader of our log that goes away must not take us with it.
  std::signal(SIGPIPE, SIG_IGN);
  wait();
}

void lifecycle::close() {
  signals_.cancel();
}

void lifecycle::wait() {
  signals_.async_wait([this](const boost::system::error_code& error, int signal) {
    if (error) return;  // close()
    const std::string_view name = signal == SIGINT ? "SIGINT" : "SIGTERM";
    const bool first = !std::exchange(draining_, true);
    (first ? on_.drain : on_.hurry)(name);
    wait();
  });
}

}  // namespace outboxd::service
