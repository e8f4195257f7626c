// What `outboxd check` says to one node of the broker and hears from it, over one connection that
// is opened as the relay opens its own. One thread; ends by itself, by end(), or when its time is
// over.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <string>

#include "base/result.hpp"
#include "relay/amqp/connection.hpp"

namespace outboxd::service {

class broker_dialogue : protected relay::amqp::connection_events {
 public:
  // Blocks until the handshake has succeeded or failed, at most the node's connection_timeout for
  // each step of it, and then until all is said. Fails where the handshake does. Once.
  base::result<void> hold(const relay::amqp::endpoint& node);

 protected:
  explicit broker_dialogue(std::chrono::milliseconds limit) : limit_(limit) {}

  void begin();  // the limit counts from now on
  void end();
  relay::amqp::connection& node() { return *connection_; }

  bool late() const { return late_; }
  const std::string& blocked_by() const { return blocked_; }  // empty: it is not
  const std::string& lost_over() const { return lost_; }

  void opened() override {}
  void channel_lost(int, const std::string&) override {}
  bool acked(relay::amqp::delivery_tag, bool) override { return false; }
  bool nacked(relay::amqp::delivery_tag, bool) override { return false; }
  bool returned(const relay::amqp::basic_return&) override { return false; }

 private:
  void blocked(bool is_blocked, const std::string& reason) final;
  void lost(relay::doubt why, int code, const std::string& text) final;
  void read_done() final {}
  void writable() final {}

  boost::asio::io_context io_{1};
  boost::asio::steady_timer timer_{io_};
  std::chrono::milliseconds limit_;
  relay::amqp::connection* connection_ = nullptr;  // while it is held
  bool late_ = false;
  std::string blocked_, lost_;
};

}  // namespace outboxd::service
