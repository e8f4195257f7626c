// An AMQP proxy on 127.0.0.1 before a real broker that lets everything through but the confirms of
// one routing key: to a publisher a queue behind that key looks as if it had lost its quorum, or as
// if it refused everything, while all others go on. A confirm for several tags is split. Callable
// from any thread; the destructor cuts what is open.
#pragma once

#include "tests/support/amqp_proxy.hpp"

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>

namespace outboxd::tests {

class confirm_filter {
 public:
  explicit confirm_filter(int broker_port);

  int port() const { return proxy_.port(); }

  // Of messages published from now on with this routing key.
  void swallow(const std::string& routing_key);
  // Nothing is swallowed any more; what was, is confirmed now, where its connection is still open.
  void heal();

  // A channel that publishes with this routing key, from now on until relent(), gets a nack for it
  // and for all that it publishes so afterwards. (The broker has the messages nevertheless.)
  void refuse(const std::string& routing_key);
  // Channels that are opened from now on are refused nothing.
  void relent();

  // Publishes so far whose confirm was to be swallowed.
  std::size_t swallowed();

 private:
  class conversation;

  bool swallows(std::string_view routing_key);
  // stubborn: of the channel that publishes.
  bool refuses(std::string_view routing_key, bool& stubborn);

  std::mutex mutex_;
  std::string routing_key_;    // guarded by mutex_, empty: none
  std::string refused_key_;    // the same
  bool refusing_ = false;      // guarded by mutex_
  std::size_t swallowed_ = 0;  // guarded by mutex_
  amqp_proxy proxy_;           // last: its threads use what is above
};

}  // namespace outboxd::tests
