// Keeps one lane connected: one connection after the other, until stop(). The nodes are tried in
// random order, the next at once when one fails, all of them again after a back-off, which starts
// anew once a connection was of use. Everything happens on one executor; the owner calls detach()
// before it, the log or the events go away.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/backoff.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "relay/amqp/connection.hpp"
#include "relay/amqp/uri.hpp"

namespace outboxd::relay::amqp {

struct link_options {
  // Asked before every round, so that rotated secrets are used.
  std::function<base::result<std::vector<endpoint>>()> nodes;
  base::backoff reconnect;
  connection_options connection;
};

class link : public std::enable_shared_from_this<link> {
 public:
  link(const boost::asio::any_io_executor& executor, link_options options, base::logger& log,
       connection_events& events);

  // Call once.
  void start();

  // Closes gracefully within `limit`, then by reset. `done` is called once that is over, never from
  // inside. Idempotent, legal before start().
  void stop(std::chrono::milliseconds limit, std::function<void()> done);

  void detach();

  // The one that is being made, open or ending; null between two of them.
  connection* current() { return current_.get(); }

 private:
  boost::asio::awaitable<void> run();
  boost::asio::awaitable<void> try_nodes();
  void finished();
  void failed(std::string_view node, std::string_view text);

  boost::asio::any_io_executor executor_;
  link_options options_;
  base::logger& log_;
  connection_events& events_;
  std::shared_ptr<connection> current_;
  boost::asio::steady_timer retry_;
  int rounds_failed_ = 0;
  bool started_ = false;
  bool running_ = false;
  bool stopping_ = false;
  std::vector<std::function<void()>> stopped_;
};

}  // namespace outboxd::relay::amqp
